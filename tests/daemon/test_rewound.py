"""Somebody takes commits off the target: nothing is put back, nothing lands, all is told, and a person goes on."""

from __future__ import annotations

from acceptance_yard import git
from lane_yard import LaneYard, commit

from ticketd.domain.events import EventKind

GOOD = 'verify = ["true"]'


def alarm(lane: LaneYard) -> str:
    return lane.works.session.store.pool().alarm


def rewind(lane: LaneYard, to: str) -> None:
    git(lane.yard.origin, "update-ref", "refs/heads/main", to)


def test_a_target_taken_back_stops_landing_and_names_what_is_lost_until_a_person_goes_on(lane: LaneYard) -> None:
    lane.config(GOOD)
    first = lane.target()
    lane.kept("a")
    lane.until_quiet()
    landed = lane.target()
    lane.kept("b")
    rewind(lane, first)
    lane.until_quiet()
    lane.time_passes()
    assert (lane.target(), lane.states("a", "b")) == (first, ["landed", "landing"])
    assert "what a had landed" in alarm(lane)
    assert "ticketd resume" in alarm(lane)
    assert len(lane.told(EventKind.ALARM)) == 1
    assert landed[:12] in lane.record("a").detail
    assert git(lane.yard.control, "rev-parse", f"refs/rewound/{landed}") == landed
    lane.works.session.store.resume(2.0)
    lane.until_quiet()
    assert (alarm(lane), lane.states("a", "b")) == ("", ["landed", "landed"])
    assert lane.subjects() == ["Work of b"]


def test_a_target_taken_back_between_verification_and_push_gets_nothing_pushed(lane: LaneYard) -> None:
    lane.config(GOOD)
    first = lane.target()
    lane.outsider(o="x")
    lane.kept("a")
    lane.turn()
    rewind(lane, first)
    lane.until_quiet()
    assert (lane.target(), lane.states("a")) == (first, ["landing"])
    assert "taken commits off" in alarm(lane)


def test_another_history_under_the_same_name_is_a_target_taken_back(lane: LaneYard) -> None:
    lane.config(GOOD)
    other = git(lane.yard.origin, "commit-tree", "-m", "Another first", "main^{tree}")
    lane.kept("a")
    rewind(lane, other)
    lane.until_quiet()
    assert (lane.target(), lane.states("a")) == (other, ["landing"])
    assert alarm(lane)


def test_a_deleted_target_is_waited_for_and_made_by_nobody(lane: LaneYard) -> None:
    lane.config(GOOD)
    first = lane.target()
    lane.kept("a")
    git(lane.yard.origin, "update-ref", "-d", "refs/heads/main")
    lane.until_quiet()
    assert "no branch main" in lane.landing("a").trouble
    assert git(lane.yard.origin, "for-each-ref") == ""
    rewind(lane, first)
    lane.time_passes()
    assert (alarm(lane), lane.states("a")) == ("", ["landed"])


def test_a_target_taken_back_while_no_daemon_ran_is_found_at_its_start(lane: LaneYard) -> None:
    first = lane.target()
    moved = lane.outsider(o="x")
    lane.daemon.tracker.ask()
    rewind(lane, first)
    lane.daemon._prepare()
    assert moved[:12] in alarm(lane)


def test_a_target_that_only_goes_on_raises_no_alarm(lane: LaneYard) -> None:
    lane.config(GOOD)
    lane.kept("a")
    lane.until_quiet()
    git(lane.yard.origin, "update-ref", "refs/heads/main", commit(lane.yard.origin, lane.target(), {"o": "x"}, "more"))
    lane.daemon.tracker.ask()
    assert alarm(lane) == ""
