"""Commands that steer the pool; on the store, without a daemon."""

from __future__ import annotations

from pathlib import Path

import pytest
from hands_yard import SCRIPTED, Hands, git, make_hands

from ticketd.domain.pool import PAUSED_BY_A_PERSON
from ticketd.domain.ticket import Priority, TicketState


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    """Two tickets that are seen."""
    hands = make_hands(tmp_path)
    hands.ticket("paint-door", "say hi")
    hands.ticket("paint-wall", "say hi")
    hands.ok("slots")
    return hands


# --- single tickets -------------------------------------------------------------------------------------------------


def test_retry_queues_again_and_tells_the_rank(hands: Hands) -> None:
    hands.fail("paint-wall")
    assert hands.ok("retry", "paint-wall") == "paint-wall is queued again (rank 2)\n"
    assert hands.state_of("paint-wall") is TicketState.QUEUED


@pytest.mark.parametrize("command", [("retry",), ("cancel",), ("hold",), ("unhold",), ("review", "show"), ("path",)])
def test_an_unknown_id_names_the_nearest(hands: Hands, command: tuple[str, ...]) -> None:
    assert "Did you mean `paint-wall`?" in hands.refused(2, *command, "paint-wal")


def test_an_id_like_no_other_points_to_the_list(hands: Hands) -> None:
    assert "`ticketd list`" in hands.refused(2, "cancel", "zzz")


@pytest.mark.parametrize("command", ["retry", "cancel", "hold", "unhold"])
def test_without_an_id_it_is_wrong_usage(hands: Hands, command: str) -> None:
    assert "Missing argument" in hands.refused(2, command)


def test_of_several_ids_all_must_fit_or_nothing_is_done(hands: Hands) -> None:
    hands.fail("paint-wall")
    assert "paint-door is queued" in hands.refused(2, "retry", "paint-wall", "paint-door")
    assert hands.state_of("paint-wall") is TicketState.FAILED
    hands.refused(2, "hold", "paint-door", "nobody")
    hands.refused(2, "cancel", "paint-door", "nobody")
    with hands.store() as store:
        assert not any(record.held for record in store.board().tickets.values())
    assert hands.ok("cancel", "paint-door", "paint-wall", "paint-door").splitlines() == [
        "paint-door is cancelled",
        "paint-wall is cancelled",
    ]


def test_retry_of_a_ticket_whose_file_is_gone_says_how_to_get_it_back(hands: Hands) -> None:
    (hands.work / "tickets" / "paint-wall.md").unlink()
    assert "Put tickets/paint-wall.md back" in hands.refused(2, "retry", "paint-wall")
    assert hands.state_of("paint-wall") is TicketState.CANCELLED


def test_cancel_of_a_running_ticket_without_a_daemon_says_when_it_takes_effect(hands: Hands) -> None:
    hands.dispatch("paint-wall")
    assert "when a daemon next runs" in hands.ok("cancel", "paint-wall")
    with hands.store() as store:
        record = store.ticket("paint-wall")
        assert record is not None
        assert (record.state, record.cancel_requested) == (TicketState.RUNNING, True)


def test_cancel_of_what_is_cancelled_is_refused(hands: Hands) -> None:
    hands.ok("cancel", "paint-wall")
    assert "There is nothing to cancel." in hands.refused(2, "cancel", "paint-wall")


def test_hold_and_unhold(hands: Hands) -> None:
    assert hands.ok("hold", "paint-door", "paint-wall").splitlines() == ["paint-door is held", "paint-wall is held"]
    with hands.store() as store:
        assert all(record.held for record in store.board().tickets.values())
    assert hands.ok("unhold", "paint-wall") == "paint-wall is not held (rank 2)\n"
    assert hands.ok("unhold", "paint-wall") == "paint-wall is not held (rank 2)\n"


def test_hold_of_a_running_ticket_says_that_it_goes_on(hands: Hands) -> None:
    hands.dispatch("paint-wall")
    assert "it is running and goes on" in hands.ok("hold", "paint-wall")


@pytest.mark.parametrize(
    ("word", "priority"), [("high", Priority.HIGH), ("P0", Priority.CRITICAL), ("p3", Priority.LOW)]
)
def test_bump_changes_the_priority_and_not_the_file(hands: Hands, word: str, priority: Priority) -> None:
    before = (hands.work / "tickets" / "paint-wall.md").read_bytes()
    rank = 2 if priority is Priority.LOW else 1
    assert hands.ok("bump", "paint-wall", word) == f"paint-wall has priority {priority} (rank {rank})\n"
    assert (hands.work / "tickets" / "paint-wall.md").read_bytes() == before
    with hands.store() as store:
        assert store.board().tickets["paint-wall"].priority is priority


def test_bump_to_what_is_no_priority_names_those_there_are(hands: Hands) -> None:
    assert "`critical`, `high`, `normal` or `low`" in hands.refused(2, "bump", "paint-wall", "urgent")


def test_bump_of_a_failed_ticket_points_to_retry(hands: Hands) -> None:
    hands.fail("paint-wall")
    assert "`ticketd retry`" in hands.refused(2, "bump", "paint-wall", "high")


# --- the pool -------------------------------------------------------------------------------------------------------


def test_pause_and_resume(hands: Hands) -> None:
    assert hands.ok("pause").startswith("paused: ")
    with hands.store() as store:
        assert store.pool().paused == PAUSED_BY_A_PERSON
    assert "once `ticketd start` runs" in hands.ok("resume")
    assert hands.ok("resume") == "the pool is not paused\n"


def test_slots_shows_sets_and_goes_back(hands: Hands) -> None:
    assert hands.ok("slots").startswith("8 slots, 0 busy (ticketd.toml")
    assert hands.ok("slots", "3").startswith("3 slots, 0 busy (set")
    assert hands.json("slots") == {"schema": 1, "slots": 3, "set": 3, "configured": 8, "busy": 0}
    assert hands.json("slots", "--default")["set"] is None
    assert "0 is not in the range" in hands.refused(2, "slots", "0")
    assert "were both given" in hands.refused(2, "slots", "3", "--default")


def test_fewer_slots_than_running_agents_end_none_of_them(hands: Hands) -> None:
    hands.dispatch("paint-door")
    hands.dispatch("paint-wall")
    assert "the 2 agents that run finish first" in hands.ok("slots", "1")


# --- path -----------------------------------------------------------------------------------------------------------


def test_path_is_the_state_directory_and_makes_nothing(hands: Hands, tmp_path: Path) -> None:
    assert hands.ok("path") == f"{hands.state}\n"
    assert hands.json("path") == {"schema": 1, "ticket": None, "path": str(hands.state)}
    git(tmp_path, "init", "-q", "other")
    other = Hands(tmp_path, tmp_path / "other")
    assert not Path(other.ok("path").strip()).exists()


def test_path_of_a_running_ticket_is_its_worktree(hands: Hands) -> None:
    key = hands.dispatch("paint-wall")
    assert "has no worktree now" in hands.refused(2, "path", "paint-wall")
    with hands.store() as store:
        store.set_worktree(key, "3")
    assert hands.ok("path", "paint-wall") == f"{hands.state / 'worktrees' / '3'}\n"


def test_a_broken_configuration_does_not_stop_a_person_from_steering(hands: Hands) -> None:
    (hands.work / "ticketd.toml").write_text("slots = [\n")
    assert hands.ok("hold", "paint-wall") == "paint-wall is held\n"
    (hands.work / "ticketd.toml").write_text(SCRIPTED)
