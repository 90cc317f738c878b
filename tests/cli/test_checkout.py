"""`ticketd checkout`: an attempt's work as a branch, and nothing else changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hands_yard import Hands, git, make_hands

BRANCH = "ticketd/paint"


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    """`paint` has landed in its second attempt; `dream` changed nothing and failed."""
    hands = make_hands(tmp_path)
    # Each attempt's work is one commit of its own: equal commits of the same second would be the same commit.
    hands.ticket("paint", "append paint.txt blue", "fail-first 1", "append paint.txt green")
    hands.ticket("dream", "say hi", retries=0)
    hands.run("start", "--until-idle")
    return hands


def everything_else(hands: Hands) -> tuple[object, ...]:
    """All of the user's repository that a checkout must not touch."""
    refs = [line for line in git(hands.work, "for-each-ref").splitlines() if "refs/heads/ticketd/" not in line]
    files = ("HEAD", "config", "index", "FETCH_HEAD", "packed-refs", "logs/HEAD")
    contents = [p.read_bytes() if (p := hands.work / ".git" / name).exists() else None for name in files]
    return refs, contents, git(hands.work, "status", "--porcelain"), git(hands.work, "worktree", "list")


def kept(hands: Hands, number: int, id_: str = "paint") -> str:
    return git(hands.state / "control.git", "rev-parse", f"refs/ticketd/{id_}/{number}")


def test_it_makes_a_branch_and_touches_nothing_else(hands: Hands) -> None:
    before = everything_else(hands)
    said = hands.ok("checkout", "paint").splitlines()
    assert git(hands.work, "rev-parse", BRANCH) == kept(hands, 2)
    assert everything_else(hands) == before
    base = git(hands.work, "rev-parse", "main")
    assert said == [
        f"{BRANCH} is now at {kept(hands, 2)} (attempt 2)",
        f"base: {base}",
        f"look: git diff {base[:12]}...{BRANCH}",
    ]
    assert "+green" in git(hands.work, *said[2].split()[2:])


def test_it_runs_none_of_the_users_hooks(hands: Hands) -> None:
    hook = hands.work / ".git" / "hooks" / "reference-transaction"
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    hands.ok("checkout", "paint")
    assert not (hands.work / "ran").exists()
    assert not (hands.work / ".git" / "ran").exists()


def test_a_second_time_it_says_so(hands: Hands) -> None:
    hands.ok("checkout", "paint")
    assert "was already at" in hands.ok("checkout", "paint")


def test_a_branch_that_is_behind_is_moved_forward(hands: Hands) -> None:
    git(hands.work, "branch", BRANCH, "main")
    assert "is now at" in hands.ok("checkout", "paint")
    assert git(hands.work, "rev-parse", BRANCH) == kept(hands, 2)


def test_another_attempt_can_be_named_but_its_branch_is_not_thrown_away(hands: Hands) -> None:
    hands.ok("checkout", "paint", "--attempt", "1")
    assert git(hands.work, "rev-parse", BRANCH) == kept(hands, 1)
    said = hands.refused(2, "checkout", "paint")
    assert "exists and has other commits" in said
    assert f"git branch -m {BRANCH} NEW-NAME" in said
    assert git(hands.work, "rev-parse", BRANCH) == kept(hands, 1)


def test_a_branch_that_is_checked_out_is_left_alone(hands: Hands, tmp_path: Path) -> None:
    git(hands.work, "worktree", "add", "-q", "-b", BRANCH, str(tmp_path / "elsewhere"))
    said = hands.refused(2, "checkout", "paint")
    assert str(tmp_path / "elsewhere") in said
    assert git(hands.work, "rev-parse", BRANCH) == git(hands.work, "rev-parse", "main")


def test_a_branch_in_the_way_of_the_name_is_told(hands: Hands) -> None:
    git(hands.work, "branch", "ticketd")
    assert f"git could not make the branch {BRANCH}" in hands.refused(1, "checkout", "paint")


def test_without_work_there_is_nothing_to_check_out(hands: Hands) -> None:
    hands.ticket("later", "say hi")
    assert "changed nothing" in hands.refused(2, "checkout", "dream")
    assert "It has not run." in hands.refused(2, "checkout", "later")
    assert "Kept are the attempts 1, 2." in hands.refused(2, "checkout", "paint", "--attempt", "7")
    assert "Did you mean `paint`?" in hands.refused(2, "checkout", "pain")


def test_while_the_first_attempt_is_under_way_it_points_to_the_worktree(tmp_path: Path) -> None:
    hands = make_hands(tmp_path)
    hands.ticket("paint", "say hi")
    hands.ok("slots")
    hands.dispatch("paint")
    assert "`ticketd path paint`" in hands.refused(2, "checkout", "paint")
