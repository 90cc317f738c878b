"""Taking back what has landed, in real repositories: one commit, the same tree that `git revert` would leave."""

from __future__ import annotations

import pytest
from gitworld import World, commit, git, write

from ticketd.git.landed import landed_commits, runs, touching
from ticketd.git.revert import Reverted, revert
from ticketd.ports import Conflict, NothingLeft


def by(world: World, ticket: str, files: dict[str, str | None], message: str = "work") -> str:
    return world.move_target(files, f"{message}\n\nTicket: {ticket}\nTicket-Attempt: 1")


def undo(world: World, *shas: str) -> Reverted | Conflict | NothingLeft:
    tip = world.tip()
    return revert(world.control, runs(world.control, shas), tip, "Revert it\n", 1_790_000_000.0)


def by_git(world: World, *shas: str) -> str:
    """The tree that git's own revert leaves."""
    git(world.other, "checkout", "-q", "--detach", "origin/main")
    git(world.other, "revert", "--no-edit", *reversed(shas))
    tree = git(world.other, "rev-parse", "HEAD^{tree}")
    git(world.other, "checkout", "-q", "main")
    return tree


@pytest.mark.parametrize("apart", [False, True])
def test_several_commits_are_taken_back_by_one_that_stands_on_the_newest_target(world: World, apart: bool) -> None:
    first = by(world, "t", {"a.txt": "first\n", "new.txt": "1\n"})
    if apart:
        world.move_target({"between.txt": "x\n"})
    second = by(world, "t", {"new.txt": "1\n2\n", "src/b.py": None})
    tip = world.move_target({"after.txt": "x\n"})
    done = undo(world, first, second)
    assert isinstance(done, Reverted)
    assert git(world.control.path, "rev-parse", f"{done.tip}^") == tip
    assert world.control.tree(done.tip) == by_git(world, first, second)
    assert sorted(done.changed) == ["a.txt", "new.txt", "src/b.py"]


def test_a_rename_is_taken_back_with_what_others_have_written_to_the_file_since(world: World) -> None:
    text = "".join(f"line {n}\n" for n in range(20))
    moved = by(world, "t", {"a.txt": None, "moved/a.txt": text})
    world.move_target({"moved/a.txt": text + "more\n"})
    done = undo(world, moved)
    assert isinstance(done, Reverted)
    assert git(world.control.path, "show", f"{done.tip}:a.txt") == (text + "more").strip()
    assert sorted(done.changed) == ["a.txt", "moved/a.txt"]
    assert world.control.tree(done.tip) == by_git(world, moved)


def test_what_others_have_changed_since_is_a_conflict_and_they_are_named(world: World) -> None:
    landed = by(world, "t", {"src/b.py": "b = 2\n"})
    later = world.move_target({"src/b.py": "b = 3\n"}, "theirs: three")
    world.move_target({"other.txt": "x\n"})
    conflict = undo(world, landed)
    assert isinstance(conflict, Conflict)
    assert (conflict.paths, conflict.commit) == (("src/b.py",), landed)
    (line,) = touching(world.control, landed, world.tip(), ("src/b.py",))
    assert later.startswith(line.split()[0]) and line.endswith("theirs: three")


def test_what_is_taken_back_already_leaves_nothing(world: World) -> None:
    landed = by(world, "t", {"src/b.py": "b = 2\n"})
    world.move_target({"src/b.py": "b = 1\n"})
    assert undo(world, landed) == NothingLeft()


def test_a_rule_that_keeps_both_sides_has_no_part_in_it(world: World) -> None:
    world.move_target({".gitattributes": "*.md merge=union\n", "log.md": "one\n"})
    landed = by(world, "t", {"log.md": "one\ntwo\n"})
    world.move_target({"x.txt": "x\n"})
    done = undo(world, landed)
    assert isinstance(done, Reverted)
    assert git(world.control.path, "show", f"{done.tip}:log.md") == "one"


def test_the_same_question_gives_the_same_commit_by_the_user(world: World) -> None:
    landed = by(world, "t", {"src/b.py": "b = 2\n"})
    one, two = undo(world, landed), undo(world, landed)
    assert one == two and isinstance(one, Reverted)
    said = git(world.control.path, "log", "-1", "--format=%an <%ae> %at %cn", one.tip)
    assert said == "Ada Tester <ada@example.org> 1790000000 Ada Tester"


def test_the_commits_of_a_ticket_are_known_by_their_trailer_alone(world: World) -> None:
    base = world.tip()
    own = by(world, "fix.it", {"a": "1"})
    by(world, "fix-it", {"b": "1"})
    by(world, "fix.it-2", {"c": "1"})
    world.move_target({"d": "1"}, "talks of\nTicket: fix.it\n\nand no more")
    world.move_target({"e": "1"})
    last = by(world, "fix.it", {"f": "1"})
    assert landed_commits(world.control, "fix.it", base, world.tip()) == (own, last)
    assert landed_commits(world.control, "fix.it", own, world.tip()) == (last,)
    assert len(runs(world.control, (own, last))) == 2


def test_a_working_tree_is_neither_needed_nor_touched(world: World) -> None:
    landed = by(world, "t", {"src/b.py": "b = 2\n"})
    commit(world.user, {"mine.txt": "x"})
    write(world.user, {"dirty.txt": "x"})
    before = git(world.user, "status", "--porcelain"), git(world.user, "rev-parse", "HEAD")
    assert isinstance(undo(world, landed), Reverted)
    assert (git(world.user, "status", "--porcelain"), git(world.user, "rev-parse", "HEAD")) == before
