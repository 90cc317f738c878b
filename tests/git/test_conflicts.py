"""A conflict in a worktree as a person would find it, and what an agent has left of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitworld import ADA, KEY, World, commit, git, write

from ticketd.domain.attempt import AttemptKey
from ticketd.errors import GitFailed
from ticketd.ports import Conflict, Kept, Rebased

OURS = {"a.txt": "ours\n", "own.txt": "own\n"}
THEIRS = {"a.txt": "theirs\n", "new.txt": "new\n"}


def attempt(world: World, files: dict[str, str | None] | None = None) -> tuple[str, str]:
    """What an attempt has done, and the target's commit that it conflicts with."""
    base = world.tip()
    world.pool.prepare("1", base, "ticketd/fix-it/1", keep_ignored=False)
    commit(world.pool.path("1"), files or OURS, "ours")
    return world.pool.keep("1", KEY, base, "left", ADA).tip, base


def begin(world: World, tip: str, onto: str) -> tuple[Path, tuple[str, ...]]:
    world.pool.prepare("1", tip, "ticketd/fix-it/2", keep_ignored=False)
    return world.pool.path("1"), world.pool.begin_merge("1", onto)


def conflicting(world: World) -> tuple[Path, str, str]:
    """A tree with a merge under way; the attempt's commit, and the target's."""
    tip, _ = attempt(world)
    world.move_target(THEIRS)
    onto = world.tip()
    tree, paths = begin(world, tip, onto)
    assert paths == ("a.txt",)
    return tree, tip, onto


def keep(world: World, base: str) -> Kept:
    return world.pool.keep("1", AttemptKey("fix-it", 2), base, "left", ADA)


def left(world: World, kept: Kept, ours: str, theirs: str) -> tuple[str, ...]:
    return world.control.unresolved(kept.tip, kept.undecided, ours, theirs)[0]


def parents(world: World, sha: str) -> list[str]:
    return git(world.control.path, "log", "-1", "--format=%P", sha).split()


def test_the_merge_is_under_way_with_both_sides_in_the_file(world: World) -> None:
    tree, tip, onto = conflicting(world)
    assert git(tree, "rev-parse", "HEAD", "MERGE_HEAD").split() == [tip, onto]
    assert git(tree, "status", "--porcelain") == "UU a.txt\nA  new.txt"
    text = (tree / "a.txt").read_text()
    assert text == f"<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> {onto}\n"


def test_a_merge_without_conflicts_is_committed(world: World) -> None:
    tip, _ = attempt(world)
    world.move_target({"new.txt": "new\n"})
    tree, paths = begin(world, tip, world.tip())
    assert paths == ()
    assert parents(world, git(tree, "rev-parse", "HEAD")) == [tip, world.tip()]
    assert git(tree, "status", "--porcelain") == ""


def test_a_merge_begins_whatever_a_setup_has_left_and_whatever_a_person_has_set(
    world: World, hermetic_home: Path
) -> None:
    settings = "[merge]\n\tconflictStyle = diff3\n\tverifySignatures = true\n\tff = only\n[rerere]\n\tenabled = true\n"
    with (hermetic_home / ".gitconfig").open("a") as config:
        config.write(settings)
    tip, _ = attempt(world)
    world.move_target(THEIRS)
    world.pool.prepare("1", tip, "ticketd/fix-it/2", keep_ignored=False)
    write(world.pool.path("1"), {"new.txt": "in the way", "a.txt": "dirty"})
    assert world.pool.begin_merge("1", world.tip()) == ("a.txt",)
    assert "|||||||" not in (world.pool.path("1") / "a.txt").read_text()


def test_a_commit_that_is_not_there_is_no_merge(world: World) -> None:
    tip, _ = attempt(world)
    world.pool.prepare("1", tip, None, keep_ignored=False)
    with pytest.raises(GitFailed):
        world.pool.begin_merge("1", "1" * 40)


def test_a_resolved_merge_that_was_left_uncommitted_lands_without_the_old_conflict(world: World) -> None:
    tree, tip, onto = conflicting(world)
    (tree / "a.txt").write_text("ours and theirs\n")
    kept = keep(world, onto)
    assert parents(world, kept.tip) == [tip, onto]
    assert (kept.changed, kept.undecided) == (("a.txt", "own.txt"), ("a.txt",))
    assert left(world, kept, tip, onto) == ()
    world.move_target({"later.txt": "later\n"})
    landed = world.control.rebase(onto, kept.tip, world.tip(), ())
    assert isinstance(landed, Rebased)
    assert world.control.changed(world.tip(), landed.tip) == ("a.txt", "own.txt")


def test_a_resolved_merge_that_the_agent_committed_is_as_good(world: World) -> None:
    tree, tip, onto = conflicting(world)
    commit(tree, {"a.txt": "ours and theirs\n"}, "merged")
    kept = keep(world, onto)
    assert kept.tip == git(tree, "rev-parse", "HEAD")
    assert left(world, kept, tip, onto) == ()


def test_a_merge_that_the_agent_gave_up_is_no_merge(world: World) -> None:
    tree, tip, onto = conflicting(world)
    git(tree, "merge", "--abort")
    assert keep(world, onto).tip == tip
    assert isinstance(world.control.rebase(onto, tip, onto, ()), Conflict)


@pytest.mark.parametrize("how", ["leave", "add", "commit"])
def test_markers_that_are_left_are_found_however_the_agent_called_them(world: World, how: str) -> None:
    tree, tip, onto = conflicting(world)
    if how != "leave":
        git(tree, "add", "-A")
    if how == "commit":
        git(tree, "commit", "-q", "-m", "resolved, honestly")
    assert left(world, keep(world, onto), tip, onto) == ("a.txt",)


@pytest.mark.parametrize("line", ["<<<<<<< HEAD", "=======", ">>>>>>> {onto}"])
def test_one_forgotten_line_is_enough(world: World, line: str) -> None:
    tree, tip, onto = conflicting(world)
    commit(tree, {"a.txt": f"ours\n{line.format(onto=onto)}\ntheirs\n"}, "merged")
    assert left(world, keep(world, onto), tip, onto) == ("a.txt",)


def test_files_that_are_about_markers_may_have_them(world: World) -> None:
    about = "Title\n=======\n\n<<<<<<< HEAD\nis how it begins\n"
    tip, _ = attempt(world, {"a.txt": about + "ours\n"})
    world.move_target({"a.txt": about + "theirs\n"})
    onto = world.tip()
    tree, _ = begin(world, tip, onto)
    commit(tree, {"a.txt": about + "ours\ntheirs\n"}, "merged")
    assert left(world, keep(world, onto), tip, onto) == ()


def test_a_file_without_markers_is_left_in_conflict_until_somebody_decides(world: World) -> None:
    tip, _ = attempt(world, {"src/b.py": "b = 2\n", "bin": "\0ours"})
    world.move_target({"src/b.py": None, "bin": "\0theirs"})
    onto = world.tip()
    tree, paths = begin(world, tip, onto)
    assert paths == ("bin", "src/b.py")
    assert left(world, keep(world, onto), tip, onto) == ("bin", "src/b.py")
    git(tree, "add", "bin")
    git(tree, "rm", "-q", "src/b.py")
    assert left(world, keep(world, onto), tip, onto) == ()


def test_a_side_that_git_has_put_aside_is_left_too(world: World) -> None:
    tip, _ = attempt(world, {"place": "a file\n"})
    world.move_target({"place/in": "a folder\n"})
    onto = world.tip()
    tree, paths = begin(world, tip, onto)
    assert paths == ("place~HEAD",)
    assert left(world, keep(world, onto), tip, onto) == ("place~HEAD",)
    (tree / "place~HEAD").rename(tree / "place" / "file")
    assert left(world, keep(world, onto), tip, onto) == ()


def test_markers_of_a_merge_of_the_agents_own_are_found_as_well(world: World) -> None:
    tip, base = attempt(world)
    world.move_target(THEIRS)
    onto = world.tip()
    tree = world.pool.path("1")
    git(tree, "merge", "-q", onto, ok=False)
    kept = keep(world, base)
    assert kept.undecided == ("a.txt",)
    assert world.control.marked(kept.tip, kept.undecided, (base,)) == ("a.txt",)
    assert parents(world, kept.tip) == [tip, onto]


def test_paths_of_any_name_are_looked_into(world: World) -> None:
    strange = 'a \n*\t"é.txt'
    tip, _ = attempt(world, {strange: "ours\n", "plain": "x\n"})
    world.move_target({strange: "theirs\n"})
    onto = world.tip()
    _, paths = begin(world, tip, onto)
    assert paths == (strange,)
    assert left(world, keep(world, onto), tip, onto) == (strange,)


def test_a_merge_under_way_has_written_only_what_is_its_own(world: World) -> None:
    tree, _, onto = conflicting(world)
    assert world.pool.look("1", onto, onto).written == ("a.txt", "own.txt")
    (tree / "a.txt").write_text("ours and theirs\n")
    world.move_target({"later.txt": "later\n"})
    assert world.pool.look("1", onto, world.tip()).written == ("a.txt", "own.txt")


def test_a_tree_is_clean_again_after_a_merge_that_was_left(world: World) -> None:
    tree, _, onto = conflicting(world)
    world.pool.prepare("1", onto, "ticketd/other/1", keep_ignored=False)
    assert git(tree, "status", "--porcelain") == ""
    assert git(tree, "rev-parse", "--quiet", "--verify", "MERGE_HEAD", ok=False) == ""
