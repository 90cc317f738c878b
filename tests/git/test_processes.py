"""How many git processes a ticket costs, and that what spares them never answers wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from gitworld import ADA, KEY, START, World, commit, git, write

from ticketd.domain.attempt import AttemptKey
from ticketd.git.door import Answer, Git
from ticketd.git.index import is_plain
from ticketd.ports import Pushed, Rebased

TRAILERS = (("Ticket", "fix-it"),)
Count = Callable[[], list[str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Count]:
    """The commands since it was last called."""
    commands: list[str] = []
    ask = Git.ask

    def count(self: Git, *args: str, **options: object) -> Answer:
        commands.append(args[0])
        return ask(self, *args, **options)  # type: ignore[arg-type]

    def take() -> list[str]:
        taken = list(commands)
        commands.clear()
        return taken

    monkeypatch.setattr(Git, "ask", count)
    return take


def prepare(world: World, commit_: str, number: int, keep_ignored: bool = False) -> Path:
    world.pool.prepare("1", commit_, f"ticketd/fix-it/{number}", keep_ignored=keep_ignored)
    return world.pool.path("1")


def test_a_tree_that_is_there_takes_three(world: World, asked: Count) -> None:
    base = world.tip()
    prepare(world, base, 1)
    asked()
    prepare(world, base, 2)
    assert asked() == ["cat-file", "status", "update-ref"]


def test_a_tree_at_another_commit_takes_four(world: World, asked: Count) -> None:
    base = world.tip()
    tree = prepare(world, base, 1)
    commit(tree, {"one": "1"})
    write(tree, {"two": "2"})
    world.pool.keep("1", AttemptKey("fix-it", 1), base, "left", ADA)
    world.move_target({"late": "l"})
    onto = world.tip()
    asked()
    prepare(world, onto, 2)
    assert asked() == ["cat-file", "clean", "reset", "update-ref"]
    assert world.control.read_ref("refs/heads/ticketd/fix-it/1") is None
    prepare(world, base, 3, keep_ignored=True)
    world.pool.keep("1", AttemptKey("fix-it", 3), base, "left", ADA)
    asked()
    prepare(world, onto, 4, keep_ignored=True)
    assert asked() == ["cat-file", "clean", "reset", "clean", "update-ref"]


def test_what_an_agent_left_unfinished_costs_no_more(world: World, asked: Count) -> None:
    base = world.tip()
    tree = prepare(world, base, 1)
    git(tree, "switch", "-q", "-c", "side")
    commit(tree, {"a.txt": "one\n"})
    git(tree, "bisect", "start")
    (world.control.path / "worktrees/1/index.lock").write_text("")
    asked()
    prepare(world, base, 2)
    assert asked() == ["cat-file", "clean", "reset", "update-ref"]


def test_keeping_takes_five_to_seven(world: World, asked: Count) -> None:
    base = world.tip()
    tree = prepare(world, base, 1)
    asked()
    world.pool.keep("1", KEY, base, "left", ADA)
    assert asked() == ["cat-file", "ls-files", "add", "write-tree", "update-ref"]
    write(tree, {"a.txt": "mine\n", "new": "n", "src/b.py": None})
    world.pool.keep("1", replace(KEY, number=2), base, "left", ADA)
    assert asked() == ["cat-file", "ls-files", "add", "write-tree", "diff-tree", "commit-tree", "update-ref"]
    commit(tree, {})
    world.pool.keep("1", replace(KEY, number=3), base, "left", ADA)
    assert asked() == ["cat-file", "ls-files", "add", "write-tree", "diff-tree", "update-ref"]


def test_a_landing_takes_seven_from_the_fetch_on(world: World, asked: Count) -> None:
    base = world.tip()
    tip = commit(prepare(world, base, 1), {"c": "c"})
    world.move_target({"d": "d"})
    asked()
    onto = world.tip()
    assert asked() == ["ls-remote", "fetch", "update-ref"]
    done = world.control.rebase(base, tip, onto, TRAILERS)
    assert isinstance(done, Rebased)
    assert asked() == ["merge-tree"]
    assert world.target.push(done.tip, onto) == Pushed()
    assert asked() == ["push", "update-ref"]
    assert world.control.contains(world.tip(), done.tip)
    assert asked() == ["ls-remote"]
    assert world.control.read_ref("refs/target/main") == done.tip
    assert world.control.read_ref("refs/remotes/origin/main") == done.tip


# --- what is not asked again ---


def test_a_target_ref_that_another_process_moves_is_noticed(world: World) -> None:
    first = world.tip()
    second = world.move_target({"c": "c"})
    assert world.tip() == second
    git(world.control.path, "update-ref", "refs/target/main", first)
    assert world.tip() == second
    assert world.control.read_ref("refs/target/main") == second
    git(world.control.path, "update-ref", "-d", "refs/target/main")
    assert world.tip() == second
    assert world.control.read_ref("refs/target/main") == second


def test_a_packed_ref_is_peeked_at_too(world: World) -> None:
    tip = world.tip()
    git(world.control.path, "pack-refs", "--all")
    assert not (world.control.path / "refs/target/main").exists()
    assert world.control.peek_ref("refs/target/main") == tip == world.tip()
    assert world.control.peek_ref("refs/target/nothing") is None
    git(world.control.path, "symbolic-ref", "refs/target/link", "refs/target/main")
    assert world.control.peek_ref("refs/target/link") == tip


def test_agents_that_hold_the_ref_they_see_do_not_hold_up_the_target(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ticketd.git.control.git_lives", lambda state: True)
    onto = world.tip()
    tip = commit(prepare(world, onto, 1), {"c": "c"})
    lock = world.control.path / "refs/remotes/origin/main.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text("")
    assert world.target.push(tip, onto) == Pushed()
    assert world.control.read_ref("refs/target/main") == tip
    assert world.control.read_ref("refs/remotes/origin/main") == onto
    moved = world.move_target({"d": "d"})
    assert world.tip() == moved


def test_what_a_rebase_has_proved_is_not_asked_and_nothing_else_is_believed(world: World, asked: Count) -> None:
    base = world.tip()
    tip = commit(prepare(world, base, 1), {"c": "c"})
    world.move_target({"d": "d"})
    onto = world.tip()
    done = world.control.rebase(base, tip, onto, TRAILERS)
    assert isinstance(done, Rebased)
    asked()
    assert world.control.contains(done.tip, onto)
    assert world.control.contains(tip, tip)
    assert asked() == []
    assert not world.control.contains(onto, done.tip)
    assert not world.control.contains(done.tip, tip)
    assert asked() == ["merge-base", "merge-base"]


# --- the index, read without git ---


def index_of(user: Path) -> Path:
    return user / ".git/index"


def test_a_plain_index_is_seen_as_such(world: World) -> None:
    names = [f"{'long/' * 20}{n}/{'x' * n}" for n in range(1, 40)] + ["y" * 250, f"{'z' * 200}/" * 21 + "over-4095"]
    for name in names[:-1]:
        write(world.user, {name: "x"})
    blob = git(world.user, "hash-object", "-w", "--stdin", stdin=b"x")
    git(world.user, "add", "-A")
    git(world.user, "update-index", "--add", "--cacheinfo", f"100644,{blob},{names[-1]}")
    assert len(names[-1]) > 4095
    assert is_plain(index_of(world.user), 20)
    assert not is_plain(index_of(world.user), 32)
    git(world.user, "commit", "-q", "-m", "a cache-tree extension")
    assert is_plain(index_of(world.user), 20)


def test_an_index_of_the_longer_names_is_read(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256")
    commit(tmp_path, START)
    assert is_plain(index_of(tmp_path), 32)
    git(tmp_path, "update-index", "--assume-unchanged", "a.txt")
    assert not is_plain(index_of(tmp_path), 32)


ODDITIES = {
    "assumed": ["update-index", "--assume-unchanged", "src/b.py"],
    "skipped": ["update-index", "--skip-worktree", "a.txt"],
    "intended": ["add", "--intent-to-add", "later"],
    "repository": ["update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub"],
    "version 4": ["update-index", "--index-version", "4"],
    "split": ["update-index", "--split-index"],
    "conflict": ["merge", "-q", "side"],
}


@pytest.mark.parametrize("oddity", ODDITIES)
def test_an_index_that_is_not_plain_is_left_to_git(world: World, oddity: str) -> None:
    git(world.user, "switch", "-q", "-c", "side")
    commit(world.user, {"a.txt": "one\n"})
    git(world.user, "switch", "-q", "main")
    commit(world.user, {"a.txt": "two\n"})
    assert is_plain(index_of(world.user), 20)
    write(world.user, {"later": "l"})
    git(world.user, *ODDITIES[oddity], ok=False)
    assert not is_plain(index_of(world.user), 20)


@pytest.mark.parametrize("damage", [b"", b"DIRC", b"rubbish" * 40])
def test_an_index_that_is_damaged_is_left_to_git(world: World, damage: bytes) -> None:
    whole = index_of(world.user).read_bytes()
    index_of(world.user).write_bytes(damage)
    assert not is_plain(index_of(world.user), 20)
    index_of(world.user).write_bytes(whole[:-30])
    assert not is_plain(index_of(world.user), 20)
    index_of(world.user).unlink()
    assert not is_plain(index_of(world.user), 20)
