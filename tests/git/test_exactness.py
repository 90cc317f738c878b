"""Repositories that hold what their own filters would not write: nothing changes there that nobody has touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from gitworld import ADA, KEY, World, git, write

from ticketd.domain.attempt import Drift
from ticketd.git import exactness
from ticketd.git.exactness import Change, untouched
from ticketd.ports import Kept, Rebased

# What the repository holds, and what it calls it afterwards.
CRLF = ("line.txt", b"one\r\ntwo\r\n", "*.txt text\n")
BATCH = ("run.bat", b"one\r\ntwo\r\n", "*.bat text eol=crlf\n")
IDENT = ("id.c", b"/* $Id: 0123456789abcdef $ */\n", "*.c ident\n")
CASES = pytest.mark.parametrize(("name", "content", "attributes"), [CRLF, BATCH, IDENT], ids=["text", "eol", "ident"])


def awkward(world: World, name: str, content: bytes, attributes: str) -> str:
    """A base whose content for `name` its attributes would not write; the attributes came later than the file."""
    (world.other / name).write_bytes(content)
    world.move_target({"own.txt": "own\n"})
    write(world.other, {".gitattributes": attributes})
    base = push_only(world, ".gitattributes")
    assert os.fsencode(git(world.control.path, "cat-file", "blob", f"{base}:{name}")) == content.rstrip()
    return base


def push_only(world: World, name: str) -> str:
    """Never `add -A` in such a repository."""
    git(world.other, "add", name)
    git(world.other, "commit", "-q", "-m", "theirs")
    git(world.other, "push", "-q")
    return world.tip()


def prepared(world: World, base: str, number: int = 1) -> Path:
    world.pool.prepare("1", base, f"ticketd/fix-it/{number}", keep_ignored=False)
    return world.pool.path("1")


def keep(world: World, base: str) -> Kept:
    return world.pool.keep("1", KEY, base, "left", ADA)


def forget_times(tree: Path) -> None:
    """As after an editor that writes what it has read, a restored backup, or a checkout within a tick of the clock."""
    for path in tree.iterdir():
        if path.is_file():
            os.utime(path, ns=(1, 1))


@CASES
def test_an_agent_that_touches_another_file_changes_only_that(
    world: World, name: str, content: bytes, attributes: str
) -> None:
    base = awkward(world, name, content, attributes)
    tree = prepared(world, base)
    forget_times(tree)
    assert f"M {name}" in git(tree, "status", "--porcelain"), "git itself takes it for changed"
    write(tree, {"own.txt": "mine\n", "new": "n"})
    kept = keep(world, base)
    assert set(kept.changed) == {"own.txt", "new"}
    assert git(world.control.path, "rev-parse", f"{kept.tip}:{name}") == git(
        world.control.path, "rev-parse", f"{base}:{name}"
    )


@CASES
def test_a_tree_that_only_looks_changed_is_kept_as_its_base(
    world: World, name: str, content: bytes, attributes: str
) -> None:
    base = awkward(world, name, content, attributes)
    forget_times(prepared(world, base))
    assert keep(world, base) == Kept(base, ())


@CASES
def test_an_agent_that_commits_everything_by_itself_commits_only_what_it_has_changed(
    world: World, name: str, content: bytes, attributes: str
) -> None:
    base = awkward(world, name, content, attributes)
    tree = prepared(world, base)
    write(tree, {"own.txt": "mine\n"})
    forget_times(tree)
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "mine")
    own = git(tree, "rev-parse", "HEAD")
    assert name in git(tree, "show", "--name-only", "--format=", own).split(), "git itself has fallen for it"
    kept = keep(world, base)
    assert kept.changed == ("own.txt",)
    assert git(world.control.path, "rev-parse", f"{kept.tip}^1") == own
    # Somebody else changes the file that the agent's commit has by mistake: no conflict, and one commit lands.
    write(world.other, {name: "theirs\n"})
    onto = push_only(world, name)
    assert world.drift("1", base, onto)[0] is Drift.RELEVANT
    done = world.control.rebase(base, kept.tip, onto, ())
    assert isinstance(done, Rebased)
    assert world.control.changed(onto, done.tip) == ("own.txt",)
    assert git(world.control.path, "log", "--format=%s", f"{onto}..{done.tip}") == "mine"
    assert keep(world, base).changed == ("own.txt",)


def test_an_agent_that_changes_the_attributes_means_what_follows(world: World) -> None:
    (world.other / "line.txt").write_bytes(b"one\r\n")
    base = push_only(world, "line.txt")
    tree = prepared(world, base)
    write(tree, {".gitattributes": "*.txt text\n"})
    git(tree, "add", "--renormalize", ".")
    git(tree, "add", ".gitattributes")
    git(tree, "commit", "-q", "-m", "line ends")
    assert keep(world, base) == Kept(git(tree, "rev-parse", "HEAD"), (".gitattributes", "line.txt"))


@CASES
def test_an_agent_that_commits_and_checks_out_again_has_changed_no_more(
    world: World, name: str, content: bytes, attributes: str
) -> None:
    base = awkward(world, name, content, attributes)
    tree = prepared(world, base)
    write(tree, {"own.txt": "mine\n"})
    git(tree, "commit", "-q", "-m", "mine", "own.txt")
    (tree / name).unlink()
    git(tree, "reset", "-q", "--hard")
    forget_times(tree)
    assert keep(world, base) == Kept(git(tree, "rev-parse", "HEAD"), ("own.txt",))


@CASES
def test_a_file_that_was_changed_in_such_a_repository_is_kept(
    world: World, name: str, content: bytes, attributes: str
) -> None:
    base = awkward(world, name, content, attributes)
    tree = prepared(world, base)
    (tree / name).write_bytes((tree / name).read_bytes() + b"more\n")
    kept = keep(world, base)
    assert kept.changed == (name,)
    assert git(world.control.path, "show", f"{kept.tip}:{name}").endswith("more")


@CASES
def test_a_mode_is_kept_with_the_content_as_it_was(world: World, name: str, content: bytes, attributes: str) -> None:
    base = awkward(world, name, content, attributes)
    tree = prepared(world, base)
    forget_times(tree)
    (tree / name).chmod(0o755)
    kept = keep(world, base)
    assert kept.changed == (name,)
    before, after = (git(world.control.path, "ls-tree", tip, name) for tip in (base, kept.tip))
    assert after == before.replace("100644", "100755")


@CASES
def test_what_only_looks_changed_is_no_drift(world: World, name: str, content: bytes, attributes: str) -> None:
    base = awkward(world, name, content, attributes)
    tree = prepared(world, base)
    forget_times(tree)
    write(world.other, {name: "theirs\n"})
    onto = push_only(world, name)
    assert world.drift("1", base, onto) == (Drift.BEHIND, ())


@CASES
def test_a_tree_that_is_there_already_stays_unwritten(world: World, name: str, content: bytes, attributes: str) -> None:
    base = awkward(world, name, content, attributes)
    tree = prepared(world, base)
    git(tree, "update-index", "--really-refresh", ok=False)
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    prepared(world, base, 2)
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before


@CASES
def test_a_tree_that_looks_changed_goes_on_to_the_next_commit(
    world: World, name: str, content: bytes, attributes: str
) -> None:
    base = awkward(world, name, content, attributes)
    tree = prepared(world, base)
    written = (tree / name).read_bytes()
    forget_times(tree)
    write(tree, {"own.txt": "mine\n"})
    prepared(world, base, 2)
    assert (tree / "own.txt").read_text() == "own\n"
    write(world.other, {"later": "l"})
    onto = push_only(world, "later")
    prepared(world, onto, 3)
    assert (tree / "later").exists()
    assert (tree / name).read_bytes() == written
    assert keep(world, onto) == Kept(onto, ())


def test_all_names_are_understood(world: World) -> None:
    names = ["with space.txt", "new\nline.txt", "ümlaut.txt", os.fsdecode(b"latin-\xe9.txt"), 'quo"te.txt', "-dash.txt"]
    for each in names:
        (world.other / each).write_bytes(b"one\r\n")
    base = awkward(world, *CRLF)
    tree = prepared(world, base)
    forget_times(tree)
    assert keep(world, base) == Kept(base, ())
    (tree / names[1]).write_bytes(b"two\r\n")
    assert keep(world, base).changed == (names[1],)


def test_a_filter_that_fails_leaves_it_to_add(world: World, hermetic_home: Path) -> None:
    with (hermetic_home / ".gitconfig").open("a") as config:
        config.write('[filter "odd"]\n\tclean = tr a-z A-Z\n\tsmudge = false\n\trequired = true\n')
    base = world.move_target({"x.odd": "lower\n"})
    world.tip()
    tree = prepared(world, base)
    write(tree, {".gitattributes": "*.odd filter=odd\n"})
    forget_times(tree)
    assert set(keep(world, base).changed) == {".gitattributes", "x.odd"}


def test_without_filters_nothing_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    base = world.tip()
    tree = prepared(world, base)
    write(tree, {"a.txt": "mine\n"})
    monkeypatch.setattr(exactness, "_as_checked_out", None)
    assert keep(world, base).changed == ("a.txt",)


def test_what_is_no_file_any_more_is_not_waited_for(world: World) -> None:
    tree = prepared(world, world.tip())
    (tree / "a.txt").unlink()
    os.mkfifo(tree / "a.txt")
    change = Change("a.txt", "100644", "100644", "1" * 40, "2" * 40, "M")
    assert untouched(world.control.git, tree, [change], {}) == ()
