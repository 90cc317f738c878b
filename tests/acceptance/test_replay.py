"""`scripts/replay` on a small history that has all that is awkward in real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@dataclass(frozen=True)
class Author:
    """Writes a history, one commit at a time."""

    root: Path

    def git(self, *args: str) -> str:
        done = subprocess.run(["git", *args], cwd=self.root, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode(errors="surrogateescape").strip()

    def write(self, name: str, content: bytes | str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, message: str, *options: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message, *options)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def author(tmp_path: Path) -> Author:
    made = Author(tmp_path / "real")
    made.root.mkdir()
    made.git("init", "--quiet")
    made.write("a.txt", "".join(f"line {n}\n" for n in range(20)))
    made.write(".gitignore", "*.log\nbuild/\n")
    made.commit("start")
    return made


def replay(repo: Path, *options: str) -> tuple[int, Any]:
    command = [sys.executable, str(SCRIPTS / "replay_main.py"), str(repo), *options]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def expect_exact(repo: Path, *options: str) -> Any:
    code, report = replay(repo, *options)
    assert (report["lost"], report["differing"], report["identical"], code) == ([], [], True, 0)
    assert report["landed"] == report["tickets"]
    return report


def test_steps_that_overlap_land_in_order(author: Author) -> None:
    for number in range(8):
        author.write("a.txt", f"version {number}\n")
        author.write(f"own/{number}.txt", f"{number}\n")
        author.commit(f"step {number}")
    report = expect_exact(author.root, "--commits", "8")
    assert report["schema"] == 1
    assert report["chain_s"] == report["agent_s"], "all eight are one chain"


def test_all_that_a_tree_can_hold_comes_through(author: Author) -> None:
    author.write("binary", bytes(range(256)) * 40)
    author.write("päth/日本 语.txt", "unicode\n")
    author.write("we ird [x]*?.txt ", "special\n")
    author.write("-n", "an option\n")
    author.write('tab\tand\nnewline"\\', "awful\n")
    author.write(os.fsdecode(b"latin-\xe9"), "not utf-8\n")
    author.commit("names\n\nof all kinds")
    (author.root / "a.txt").chmod(0o755)
    author.commit("a mode")
    author.git("mv", "a.txt", "renamed.txt")
    author.commit("a rename")
    author.write("renamed.txt", "new\n")
    author.write("binary", bytes(range(255, -1, -1)))
    author.commit("changes")
    (author.root / "link").symlink_to("renamed.txt")
    author.commit("a link")
    (author.root / "link").unlink()
    author.write("link/inner.txt", "a folder now\n")
    author.commit("a link becomes a folder")
    (author.root / "link" / "inner.txt").unlink()
    (author.root / "link").rmdir()
    author.write("link", "and a file\n")
    author.commit("a folder becomes a file")
    author.write("build/forced.log", "ignored, and yet here\n")
    author.git("add", "--force", "build/forced.log")
    author.commit("what is ignored")
    author.write("build/forced.log", "changed\n")
    author.commit("what is ignored changes")
    author.git("rm", "--quiet", "binary")
    author.commit("a deletion")
    expect_exact(author.root, "--commits", "10")


def test_a_moved_folder_takes_nothing_of_other_tickets_along(author: Author) -> None:
    for number in range(4):
        author.write(f"old/{number}.txt", f"content {number}\n" * 10)
    author.commit("before")
    author.git("mv", "old", "new")
    author.commit("move the folder")
    author.write("old/later.txt", "this one stays\n")
    author.commit("the old folder again")
    expect_exact(author.root, "--commits", "2")


def test_merges_count_as_what_they_bring_and_empty_steps_are_skipped(author: Author) -> None:
    author.git("switch", "--quiet", "--create", "side")
    author.write("side.txt", "one\n")
    author.commit("on the side")
    author.write("side.txt", "two\n")
    author.commit("on the side again")
    author.git("switch", "--quiet", "main")
    author.write("a.txt", "meanwhile\n")
    author.commit("meanwhile")
    author.git("merge", "--quiet", "--no-ff", "-m", "bring the side", "side")
    author.commit("nothing", "--allow-empty")
    author.write("a.txt", "last\n")
    author.commit("last")
    report = expect_exact(author.root, "--commits", "3")
    assert (report["tickets"], report["skipped_empty"]) == (3, 1)


def test_a_history_that_is_shorter_than_asked_for_is_replayed_whole(author: Author) -> None:
    author.write("a.txt", "one\n")
    end = author.commit("one")
    author.write("a.txt", "two\n")
    author.commit("two")
    assert expect_exact(author.root, "--commits", "50")["tickets"] == 2
    assert expect_exact(author.root, "--commits", "50", "--from", "HEAD~1")["end"] == end


def test_attributes_and_line_ends_change_nothing(author: Author) -> None:
    author.write(".gitattributes", "* text=auto\n*.win text eol=crlf\n*.id ident\n*.png binary\n")
    author.write("a.win", "one\r\ntwo\r\n")
    author.write("b.id", "$Id$\n")
    author.write("c.png", b"\x89PNG\r\n\x1a\n")
    author.write("d.txt", "unix\n")
    author.commit("attributes")
    author.write("a.win", "one\r\nthree\r\n")
    author.commit("windows")
    author.write("b.id", "$Id$\nmore\n")
    author.commit("ident")
    author.write("c.png", b"\x89PNG\r\n\x1a\nmore\n")
    author.commit("binary")
    expect_exact(author.root, "--commits", "4")


def test_a_submodule_that_comes_is_left_out_and_said(author: Author) -> None:
    sub = "1" * 40
    author.git("update-index", "--add", "--cacheinfo", f"160000,{sub},sub")
    author.git("commit", "--quiet", "--message", "only a submodule")
    author.git("update-index", "--add", "--cacheinfo", f"160000,{'2' * 40},sub")
    author.write("a.txt", "and a file\n")
    author.git("add", "a.txt")
    author.git("commit", "--quiet", "--message", "it moves, and a file")
    author.git("rm", "--quiet", "--cached", "sub")
    author.write("sub", "a file in its place\n")
    author.git("add", "sub")
    author.git("commit", "--quiet", "--message", "a file in its place")
    report = expect_exact(author.root, "--commits", "3")
    assert (report["tickets"], report["skipped_submodules"]) == (2, 1)


def test_files_that_the_repository_itself_lacks_are_left_out_and_said(author: Author) -> None:
    author.write("huge.bin", "too large for this copy\n")
    author.commit("start with a large file")
    author.write("a.txt", "changed\n")
    author.commit("first")
    author.write("huge.bin", "small now\n")
    author.commit("the large file becomes small")
    lost = author.git("rev-parse", "HEAD~2:huge.bin")
    (author.root / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    assert expect_exact(author.root, "--commits", "2")["left_out"] == []
    assert expect_exact(author.root, "--commits", "1", "--from", "HEAD~1")["left_out"] == ["huge.bin"]


def test_the_agent_refuses_a_path_that_is_not_as_it_was(author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    author.write("a.txt", "one\n")
    parent = author.commit("one")
    author.write("a.txt", "two\n")
    author.commit("two")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import replay_agent
    import replay_steps

    (step,) = replay_steps.load_history(author.root, "HEAD", 1, 0.0, 1).steps
    made = {"parent": step.parent, "changes": [(c.path, c.was, c.before, c.after) for c in step.changes]}
    monkeypatch.chdir(author.root)
    replay_agent.check_start(made, parent, str(author.root / ".git"))
    with pytest.raises(SystemExit, match=r"not as it was before the step: 'a\.txt'"):
        replay_agent.check_start(made, f"{parent}~1", str(author.root / ".git"))


def test_the_longest_chain_follows_folders_up_and_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from replay_steps import Change, Step, longest_chain

    def step(id_: str, *paths: str) -> Step:
        entry = ("100644", "1" * 40)
        return Step(id_, "", tuple(Change(path, entry, entry, entry) for path in paths), id=id_)

    steps = [step("1", "a"), step("2", "b"), step("3", "a/b"), step("4", "c"), step("5", "a", "c"), step("6", "a/x/y")]
    seconds = {"1": 1.0, "2": 10.0, "3": 2.0, "4": 0.5, "5": 4.0, "6": 8.0}
    assert longest_chain(steps, seconds) == 15.0
    assert longest_chain(steps[:4], seconds) == 10.0
    assert longest_chain([], {}) == 0.0


def test_a_repository_without_a_step_is_said_in_words(tmp_path: Path) -> None:
    author = Author(tmp_path)
    author.git("init", "--quiet")
    author.commit("nothing", "--allow-empty")
    command = [sys.executable, str(SCRIPTS / "replay_main.py"), str(tmp_path), "--commits", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no step" in done.stderr


def test_a_history_is_simulated_without_running_anything(author: Author) -> None:
    for number in range(12):
        author.write(f"dir/{number % 4}.txt", f"version {number}\n")
        author.commit(f"step {number}")
    code, exact = replay(author.root, "--commits", "12", "--simulate", "--slots", "4")
    assert (code, exact["tickets"], exact["slots"]) == (0, 12, 4)
    strict, _, wave, *_ = exact["policies"]
    assert (strict["policy"], wave["policy"], strict["landed"]) == ("strict", "wave", 12)
    assert strict["makespan_s"]["likely"] < wave["makespan_s"]["likely"]
    _, wide = replay(author.root, "--commits", "12", "--simulate", "--slots", "4", "--claims", "directory")
    assert wide["policies"][0]["ratio"] == 1.0, "all twelve are one chain"
    assert wide["policies"][0]["makespan_s"]["likely"] > strict["makespan_s"]["likely"]
