"""`ticketd review`: what waits for a person, what they are shown, and that a word is about exactly that."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hands_yard import SCRIPTED, Hands, git, make_hands

from ticketd.domain.ticket import Reason, TicketState


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    hands = make_hands(tmp_path)
    hands.ticket("paint-door", "say hi")
    hands.ticket("paint-wall", "say hi")
    hands.ok("list")
    return hands


def ask_to_start(hands: Hands, id_: str) -> None:
    with hands.store() as store:
        store.ask_to_start(id_, 1.0)


def line_of(hands: Hands, id_: str) -> Any:
    return next(line for line in hands.json("review")["review"] if line["ticket"] == id_)


def works(at: Path, config: str = "", **front: object) -> Hands:
    """A repository whose one ticket has run, as far as it may without a person."""
    hands = make_hands(at)
    (hands.work / "ticketd.toml").write_text(config + SCRIPTED)
    hands.ticket("paint-wall", "append paint-wall.txt blue", **front)
    hands.run("start", "--until-idle")
    return hands


def another_attempt(hands: Hands) -> None:
    """The work is sent back by a person and done again, differently."""
    hands.ok("review", "reject", "paint-wall", "--reason", "not blue")
    hands.ticket("paint-wall", "append paint-wall.txt green", gate="land")
    hands.ok("retry", "paint-wall")
    hands.run("start", "--until-idle")


def test_nothing_to_review(hands: Hands) -> None:
    assert hands.ok("review") == hands.ok("review", "list") == "nothing waits for review\n"
    assert hands.json("review") == hands.json("review", "list") == {"schema": 1, "review": []}


# --- before it runs -------------------------------------------------------------------------------------------------


def test_a_ticket_that_waits_to_start_is_shown_with_its_brief(hands: Hands) -> None:
    ask_to_start(hands, "paint-wall")
    commit = line_of(hands, "paint-wall")["commit"]
    assert hands.ok("review") == f"paint-wall  gate start  {commit[:12]}  paint-wall\n"
    assert "agent: say hi" in hands.ok("review", "show", "paint-wall")
    shown = hands.json("review", "show", "paint-wall")
    assert (shown["files"], shown["diff"], shown["commit"]) == ([], "", commit)
    assert hands.ok("review", "approve", "paint-wall") == "paint-wall is approved and queued (rank 2)\n"
    assert hands.state_of("paint-wall") is TicketState.QUEUED


def test_a_word_about_a_ticket_that_was_edited_after_it_was_shown_does_not_count(hands: Hands) -> None:
    ask_to_start(hands, "paint-wall")
    was = hands.json("review", "show", "paint-wall")["commit"]
    hands.ticket("paint-wall", "say something else")
    now = line_of(hands, "paint-wall")["commit"]
    said = hands.refused(1, "review", "approve", "paint-wall")
    assert f"paint-wall has changed since it was shown: was {was[:12]}, now {now[:12]}" in said
    assert "`ticketd review show paint-wall`" in said
    assert hands.state_of("paint-wall") is TicketState.REVIEW
    assert "something else" in hands.ok("review", "show", "paint-wall")
    assert "is approved" in hands.ok("review", "approve", "paint-wall")


def test_an_edit_after_approval_asks_again_and_a_mere_move_does_not(hands: Hands) -> None:
    file = hands.ticket("paint-wall", "say hi", gate="start")
    assert line_of(hands, "paint-wall")["gate"] == "start"
    hands.ok("review", "approve", "paint-wall")
    (hands.work / "tickets" / "_global").mkdir()
    file = file.rename(hands.work / "tickets" / "_global" / "paint-wall.md")
    hands.ok("list")
    assert hands.state_of("paint-wall") is TicketState.QUEUED
    file.write_text(file.read_text() + "agent: say more\n")
    hands.ok("list")
    assert hands.state_of("paint-wall") is TicketState.REVIEW


def test_deleting_the_file_of_a_ticket_that_waits_to_start_cancels_it(hands: Hands) -> None:
    file = hands.ticket("paint-wall", "say hi", gate="start")
    hands.ok("list")
    file.unlink()
    hands.ok("list")
    assert hands.state_of("paint-wall") is TicketState.CANCELLED


def test_reject_keeps_the_reason(hands: Hands) -> None:
    ask_to_start(hands, "paint-wall")
    assert "--reason" in hands.refused(2, "review", "reject", "paint-wall")
    assert "--reason is empty" in hands.refused(2, "review", "reject", "paint-wall", "--reason", " ")
    said = hands.ok("review", "reject", "paint-wall", "--reason", "not blue\nbut green")
    assert "`ticketd retry paint-wall`" in said
    with hands.store() as store:
        record = store.ticket("paint-wall")
        assert record is not None
        assert (record.reason, record.detail) == (Reason.REJECTED, "not blue\nbut green")


@pytest.mark.parametrize("answer", [("approve",), ("reject", "--reason", "no"), ("show",)])
def test_what_is_not_in_review_is_not_reviewed(hands: Hands, answer: tuple[str, ...]) -> None:
    assert "paint-wall is queued, not in review" in hands.refused(2, "review", *answer, "paint-wall")


# --- before it lands ------------------------------------------------------------------------------------------------


def test_a_ticket_that_waits_to_land_is_shown_with_its_change_and_lands(tmp_path: Path) -> None:
    hands = works(tmp_path, gate="land")
    line = line_of(hands, "paint-wall")
    assert (line["gate"], line["attempt"], line["shown"]) == ("land", 1, None)
    shown = hands.json("review", "show", "paint-wall")
    assert shown["files"] == [{"path": "paint-wall.txt", "added": 1, "removed": 0}]
    assert "+blue" in shown["diff"].splitlines()
    assert shown["base"] == git(hands.origin, "rev-parse", "main")
    said = hands.ok("review", "show", "paint-wall")
    assert "paint-wall.txt | 1 +" in said and "\n+blue\n" in said
    assert "ticketd checkout paint-wall" in said
    assert line_of(hands, "paint-wall")["shown"] == line["commit"]
    assert hands.ok("review", "approve", "paint-wall") == "paint-wall is approved and lands\n"
    assert hands.ok("start", "--until-idle").endswith("1 of 1 tickets landed\n")
    assert git(hands.origin, "show", "main:paint-wall.txt") == "blue"


def test_a_word_about_an_earlier_attempt_does_not_count_for_the_next(tmp_path: Path) -> None:
    hands = works(tmp_path, gate="land")
    was = hands.json("review", "show", "paint-wall")["commit"]
    another_attempt(hands)
    now = line_of(hands, "paint-wall")["commit"]
    said = hands.refused(1, "review", "approve", "paint-wall")
    assert f"was {was[:12]}, now {now[:12]}" in said
    assert f"what waits is {now[:12]}, not {was}" in hands.refused(
        1, "review", "approve", "paint-wall", "--commit", was
    )
    assert "too short" in hands.refused(2, "review", "approve", "paint-wall", "--commit", now[:6])
    assert "lands" in hands.ok("review", "approve", "paint-wall", "--commit", now[:7])
    assert hands.run("start", "--until-idle").returncode == 0
    assert git(hands.origin, "show", "main:paint-wall.txt") == "green"


def test_work_that_was_rejected_needs_another_word_before_it_lands_after_all(tmp_path: Path) -> None:
    hands = works(tmp_path, gate="land")
    hands.ok("review", "reject", "paint-wall", "--reason", "not blue")
    assert "if it needs a person's word" in hands.ok("land", "paint-wall")
    hands.run("start", "--until-idle")
    assert hands.state_of("paint-wall") is TicketState.REVIEW
    assert "is approved and lands next" in hands.ok("land", "paint-wall")
    assert hands.run("start", "--until-idle").returncode == 0
    assert git(hands.origin, "show", "main:paint-wall.txt") == "blue"


def test_what_a_person_rejected_is_in_the_next_brief(tmp_path: Path) -> None:
    hands = works(tmp_path, gate="land")
    another_attempt(hands)
    assert "not blue" in (hands.state / "runs" / "paint-wall" / "2" / "brief.md").read_text()


def test_protected_paths_wait_for_a_person_and_the_reason_is_told(tmp_path: Path) -> None:
    hands = works(tmp_path, '[review]\nprotect = ["paint-*"]\n')
    why = "waits for a person before it lands: touches paint-wall.txt, which is protected"
    assert line_of(hands, "paint-wall")["detail"] == hands.json("status")["review"][0]["detail"] == why
    assert why in hands.ok("review") and why in hands.ok("review", "show", "paint-wall")
    assert "before it lands: touches paint-wall.txt, which is protected" in hands.ok("status")
    assert "+blue" in hands.json("review", "show", "paint-wall")["diff"]
    hands.ok("review", "approve", "paint-wall")
    assert hands.run("start", "--until-idle").returncode == 0


@pytest.mark.parametrize("does", [("delete README",), ("delete README", "append README.txt hello")])
def test_a_protected_file_that_is_deleted_or_renamed_is_touched(tmp_path: Path, does: tuple[str, ...]) -> None:
    hands = make_hands(tmp_path)
    (hands.work / "ticketd.toml").write_text('[review]\nprotect = ["/README"]\n' + SCRIPTED)
    hands.ticket("tidy", *does, "commit Tidy up")
    hands.run("start", "--until-idle")
    assert "touches README, which is protected" in line_of(hands, "tidy")["detail"]


def test_a_released_claim_lets_others_run_and_the_work_lands_all_the_same(tmp_path: Path) -> None:
    hands = works(tmp_path, '[review]\nclaim = "release"\n', gate="land")
    with hands.store() as store:
        assert store.board().claims == ()
    hands.ticket("paint-door", "append paint-door.txt red", touches="paint-*")
    assert hands.run("start", "--until-idle").returncode == 1
    assert hands.state_of("paint-door") is TicketState.LANDED
    hands.ok("review", "approve", "paint-wall")
    assert hands.run("start", "--until-idle").returncode == 0
    assert git(hands.origin, "log", "--format=%s", "main").splitlines() == ["paint-wall", "paint-door", "first"]


def test_an_approved_push_that_was_refused_lands_by_retry_without_another_word(tmp_path: Path) -> None:
    hands = works(tmp_path, gate="land")
    hook = hands.origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    hands.ok("review", "approve", "paint-wall")
    hands.run("start", "--until-idle")
    assert hands.state_of("paint-wall") is TicketState.FAILED
    hook.unlink()
    hands.ok("retry", "paint-wall")
    assert hands.run("start", "--until-idle").returncode == 0


def test_what_was_not_approved_is_sent_back_from_the_lane(tmp_path: Path) -> None:
    hands = works(tmp_path, gate="land")
    hands.ok("review", "approve", "paint-wall")
    tampered = sqlite3.connect(hands.state / "store.db", isolation_level=None)
    tampered.execute("UPDATE tickets SET approved = ?", ["0" * 40])
    tampered.close()
    assert hands.run("start", "--until-idle").returncode == 1
    line = line_of(hands, "paint-wall")
    assert (line["gate"], "approved was 000000000000" in line["detail"]) == ("land", True)
    assert git(hands.origin, "log", "--format=%s", "main") == "first"
    hands.ok("review", "show", "paint-wall")
    hands.ok("review", "approve", "paint-wall")
    assert hands.run("start", "--until-idle").returncode == 0


def test_paths_that_are_protected_only_after_the_work_was_done_are_still_protected(tmp_path: Path) -> None:
    hands = works(tmp_path, '[landing]\nverify = ["false"]\n', retries=0)
    hook = hands.origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (hands.work / "ticketd.toml").write_text(SCRIPTED)
    hands.ok("retry", "paint-wall")
    hands.run("start", "--until-idle")
    hook.unlink()
    (hands.work / "ticketd.toml").write_text('[review]\nprotect = ["*.txt"]\n' + SCRIPTED)
    hands.ok("retry", "paint-wall")
    assert hands.run("start", "--until-idle").returncode == 1
    assert "touches paint-wall.txt, which is protected" in line_of(hands, "paint-wall")["detail"]
