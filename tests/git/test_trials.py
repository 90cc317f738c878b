"""The quick trial says what landing would meet, whatever agents and the target have done; and it leaves no trace."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from gitworld import ADA, World, commit, git, write

from ticketd.domain.attempt import AttemptKey, Drift
from ticketd.domain.drift import judge
from ticketd.domain.globs import NOTHING
from ticketd.git import snapshot
from ticketd.git.trials import read_merges
from ticketd.ports import Conflict, Moved, Tried

LINES = [f"line {number}\n" for number in range(12)]
FILES = [f"{folder}{name}" for folder in ("", "d/", "d/e/") for name in ("a", "b", "c")]


def start(world: World, names: tuple[str, ...] = ("1",), more: dict[str, str] | None = None) -> str:
    base = world.move_target({**dict.fromkeys(FILES, "".join(LINES)), **(more or {})})
    world.tip()
    for name in names:
        world.pool.prepare(name, base, f"ticketd/t{name}/1", keep_ignored=False)
    return base


def would_land(world: World, name: str, base: str, onto: str) -> tuple[str, ...]:
    """The truth: what is kept when the agent ends, rebased as the lane does it."""
    kept = world.pool.keep(name, AttemptKey(f"kept{name}", 1), base, "left", ADA)
    done = world.control.rebase(base, kept.tip, onto, ())
    # A file in the way of a folder is named after a commit, which is not the same one in a trial.
    return tuple(path.partition("~")[0] for path in done.paths) if isinstance(done, Conflict) else ()


def someones_work(rng: random.Random, root: Path) -> None:
    """A change or two: of a line, at an end, a file gone, renamed, new, or in the place of a folder and the reverse."""
    for _ in range(rng.randint(1, 2)):
        path = root / rng.choice(FILES)
        match rng.randrange(8):
            case 0 | 1 | 2 | 3 if path.is_file():
                lines = path.read_text().splitlines(keepends=True) or ["x\n"]
                lines[rng.randrange(len(lines))] = f"{rng.randrange(3)}\n"
                path.write_text("".join(lines))
            case 4 if path.is_file():
                path.unlink()
            case 5 if path.is_file():
                path.rename(path.with_name(rng.choice(["n", "m"])))
            case 6 if path.parent.is_dir():
                write(root, {f"{path.parent.relative_to(root)}/new{rng.randrange(2)}": f"{rng.randrange(2)}\n"})
            case 7 if path.is_file():
                path.unlink()
                write(path, {"inside": "x\n"})


def works(rng: random.Random, root: Path) -> None:
    """Commits, and something uncommitted; now and then only staged, or taken back by a later commit."""
    for _ in range(rng.randint(0, 3)):
        someones_work(rng, root)
        git(root, "add", "-A")
        git(root, "commit", "-q", "--allow-empty", "-m", "one")
        if rng.random() < 0.2:
            git(root, "revert", "--no-edit", "HEAD", ok=False)
    if rng.random() < 0.7:
        someones_work(rng, root)
    if rng.random() < 0.3:
        git(root, "add", "-A")
        someones_work(rng, root)


NAMES = ("1", "2", "3", "4")


@pytest.mark.parametrize("seed", range(12))
def test_for_several_trees_at_once_the_verdict_is_that_of_landing(world: World, seed: int) -> None:
    rng = random.Random(seed)
    base = start(world, NAMES)
    for name in NAMES:
        works(rng, world.pool.path(name))
    for _ in range(2):
        git(world.other, "pull", "-q", "--ff-only")
        someones_work(rng, world.other)
        git(world.other, "add", "-A")
        git(world.other, "commit", "-q", "--allow-empty", "-m", "theirs")
    git(world.other, "push", "-q", "origin", "main")
    onto = world.tip()
    looks = [world.pool.look(name, base, onto) for name in NAMES]
    moves = world.control.moved({look.fork for look in looks}, onto)
    judged = [judge(moves[look.fork].paths, NOTHING, look.touched) for look in looks]
    due = [name for name, each in zip(NAMES, judged, strict=True) if each.tried]
    wanted = [Tried(name, base, looks[int(name) - 1].touched, judged[int(name) - 1].tried) for name in due]
    found = dict(zip(due, world.pool.trials(wanted, onto), strict=True))
    assert {name: found.get(name, ()) for name in NAMES} == {
        name: would_land(world, name, base, onto) for name in NAMES
    }


def test_a_commit_that_is_taken_back_conflicts_all_the_same(world: World) -> None:
    base = start(world)
    tree = world.pool.path("1")
    commit(tree, {"a": "mine\n"})
    git(tree, "revert", "--no-edit", "HEAD")
    write(tree, {"b": "other\n"})
    onto = world.move_target({"a": "theirs\n"})
    world.tip()
    assert world.pool.look("1", base, onto).written == ("b",)
    assert (
        world.drift("1", base, onto) == (Drift.CONFLICT, ("a",)) == (Drift.CONFLICT, would_land(world, "1", base, onto))
    )


def test_what_was_renamed_is_followed(world: World) -> None:
    base = start(world)
    write(world.pool.path("1"), {"renamed": "".join([*LINES, "mine\n"]), "a": None})
    onto = world.move_target({"a": "".join(["theirs\n", *LINES])})
    world.tip()
    assert world.drift("1", base, onto) == (Drift.RELEVANT, ("a",))
    assert would_land(world, "1", base, onto) == ()


def test_a_rename_in_two_commits_is_none_and_conflicts(world: World) -> None:
    base = start(world)
    commit(world.pool.path("1"), {"renamed": "".join(LINES)})
    commit(world.pool.path("1"), {"a": None})
    onto = world.move_target({"a": "".join(["theirs\n", *LINES])})
    world.tip()
    assert world.drift("1", base, onto) == (Drift.CONFLICT, ("a",))
    assert would_land(world, "1", base, onto) == ("a",)


def test_an_agent_that_has_merged_or_rebased_is_behind_from_there(world: World) -> None:
    base = start(world)
    tree = world.pool.path("1")
    commit(tree, {"a": "mine\n"})
    onto = world.move_target({"b": "theirs\n"})
    world.tip()
    git(tree, "rebase", "-q", onto)
    assert world.pool.look("1", base, onto).fork == onto
    later = world.move_target({"b": "again\n"})
    world.tip()
    write(tree, {"b": "mine\n"})
    assert world.drift("1", base, later) == (Drift.CONFLICT, ("b",))
    git(tree, "checkout", "-q", "b")
    git(tree, "merge", "-q", later)
    assert world.drift("1", base, later) == (Drift.BEHIND, ())


def test_what_the_target_merges_by_a_driver_is_tried_by_it(world: World) -> None:
    base = start(world, more={".gitattributes": "a merge=union\nb -merge\n"})
    tree = world.pool.path("1")
    onto = world.move_target({"a": "".join([*LINES, "theirs\n"]), "b": "".join([*LINES, "theirs\n"])})
    world.tip()
    write(tree, {"a": "".join([*LINES, "mine\n"])})
    assert world.drift("1", base, onto) == (Drift.RELEVANT, ("a",))
    write(tree, {"b": "".join(["mine\n", *LINES])})
    assert (
        world.drift("1", base, onto) == (Drift.CONFLICT, ("b",)) == (Drift.CONFLICT, would_land(world, "1", base, onto))
    )


@pytest.mark.parametrize("oddity", ["assumed", "conflict", "no index", "no HEAD", "gone"])
def test_a_tree_that_cannot_be_read_quickly_is_read_whole(world: World, oddity: str) -> None:
    base = start(world)
    tree, admin = world.pool.path("1"), world.control.path / "worktrees/1"
    commit(tree, {"a": "mine\n"})
    match oddity:
        case "assumed":
            git(tree, "update-index", "--assume-unchanged", "b")
            write(tree, {"b": "mine\n"})
        case "conflict":
            git(tree, "switch", "-q", "-c", "side", base)
            commit(tree, {"a": "other\n"})
            git(tree, "merge", "ticketd/t1/1", ok=False)
        case "no index":
            (admin / "index").unlink()
        case "no HEAD":
            (admin / "HEAD").write_text("ref: refs/heads/nowhere\n")
        case "gone":
            git(tree, "rm", "-r", "-q", "--cached", ".")
    onto = world.move_target({"a": "theirs\n", "b": "theirs\n"})
    world.tip()
    assert world.drift("1", base, onto)[0] is Drift.CONFLICT
    assert set(world.drift("1", base, onto)[1]) == set(would_land(world, "1", base, onto))


def test_no_file_of_any_tree_is_written_and_no_object_stays(world: World) -> None:
    base = start(world, NAMES)
    for name in NAMES:
        commit(world.pool.path(name), {"a": f"{name}\n"})
        write(world.pool.path(name), {"b": f"{name}\n"})
    onto = world.move_target({"a": "theirs\n", "b": "theirs\n"})
    world.tip()
    before = {path: path.read_bytes() for path in world.state.rglob("*") if path.is_file()}
    wanted = [Tried(name, base, ("a", "b"), ("a", "b")) for name in NAMES]
    assert world.pool.trials(wanted, onto) == (("a",),) * 4
    assert {path: path.read_bytes() for path in world.state.rglob("*") if path.is_file()} == before


def test_nothing_is_asked_for_nobody(world: World) -> None:
    assert world.pool.trials([], start(world)) == ()


def test_a_tree_is_read_whole_only_where_it_must_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    base = start(world)
    commit(world.pool.path("1"), {"a": "".join([*LINES, "mine\n"])})
    write(world.pool.path("1"), {"b": "".join([*LINES, "mine\n"])})
    onto = world.move_target({name: "".join(["theirs\n", *LINES]) for name in ("a", "b")})
    world.tip()
    monkeypatch.setattr(snapshot, "take", None)
    assert world.pool.trials([Tried("1", base, ("a", "b"), ("a", "b"))], onto) == ((),)


# --- what is fresh ---


def test_what_was_written_since_a_look_is_fresh_whatever_its_time_says(world: World) -> None:
    start(world)
    tree = world.pool.path("1")
    changed = {"a": True, "b": True, "d/e/a": True, "new": False, "a/below": False}
    later = time.time() + 3600.0
    assert world.pool.fresh("1", changed, later) == ()
    earlier = (tree / "a").stat().st_ctime
    write(tree, {"a": "mine\n"})
    os.utime(tree / "a", (0, 0))
    assert "a" in world.pool.fresh("1", changed, earlier)
    write(tree, {"b": None, "new": "n"})
    assert world.pool.fresh("1", changed, later) == ("b",)
    assert "new" in world.pool.fresh("1", changed, earlier)


# --- what has moved ---


def test_how_far_the_target_is_from_each_of_several_commits(world: World) -> None:
    first = start(world)
    second = world.move_target({"a": "2\n", "d/b": None})
    tip = world.move_target({"new": "n"})
    world.tip()
    assert world.control.moved({first, second, tip}, tip) == {
        first: Moved(2, {"a": True, "d/b": True, "new": False}),
        second: Moved(1, {"new": False}),
        tip: Moved(0, {}),
    }
    assert world.control.moved({tip}, first) == {tip: Moved(0, {"a": True, "d/b": False, "new": True})}
    assert world.control.moved({second, tip}, first) == {
        second: Moved(0, {"a": True, "d/b": False}),
        tip: Moved(0, {"a": True, "d/b": False, "new": True}),
    }
    assert world.control.moved((), tip) == {}


def test_merges_by_the_dozen_are_read_one_by_one(world: World) -> None:
    conflict = "0\0" + "a" * 40 + "\0f\0g\0\0" + "1\0f\0Auto-merging\0Auto-merging f\n\0" + "1\0f\0C\0C f\n\0" + "\0"
    clean = "1\0" + "b" * 40 + "\0\0"
    assert read_merges(conflict + clean + conflict + clean, 4) == [None, "b" * 40, None, "b" * 40]
