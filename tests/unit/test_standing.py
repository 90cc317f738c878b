"""A few events by hand, what stands after them, and how a difference is put into words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from queues import ticket

from ticketd.domain.declared import declared, ticket_declared
from ticketd.domain.events import Event, EventKind
from ticketd.domain.pool import Pool, Stop
from ticketd.domain.replay import Replay, replay
from ticketd.domain.standing import Standing, differences
from ticketd.domain.ticket import Priority, TicketState

TICKET = ticket("a", touches=["/src/**"]).ticket
ADDED = Event(1, 5.0, EventKind.TICKET_ADDED, "a", data={"path": TICKET.path, "says": declared(TICKET)})
AFRESH = {"resumes": None, "mends": None, "merges": None}
NO_REPAIR = {"repair": None, "repairs": 0}
DISPATCHED = Event(
    2, 6.0, EventKind.DISPATCHED, "a", 1, {"slot": 3, "base": "b" * 40, "agent": "default", "batch": 0, **AFRESH}
)
REQUEUED = Event(
    3,
    7.0,
    EventKind.REQUEUED,
    "a",
    1,
    {"detail": "again", "not_before": 9.5, "failures": 1, "deferrals": 0, "preemptions": 0, "resume": None} | NO_REPAIR,
)


def of(*events: Event) -> Standing:
    return replay(events)


def test_what_a_ticket_declares_comes_back_as_it_was() -> None:
    assert ticket_declared("a", TICKET.path, declared(TICKET)) == TICKET


def test_a_dispatch_takes_the_claim_that_the_ticket_declares_and_an_end_lets_go_of_it() -> None:
    running = of(ADDED, DISPATCHED)
    assert running.tickets["a"].state is TicketState.RUNNING
    assert running.claims["a"].patterns == TICKET.touches
    queued = of(ADDED, DISPATCHED, REQUEUED)
    assert not queued.claims
    record = queued.tickets["a"]
    assert (record.state, record.failures, record.not_before, record.seen_at) == (TicketState.QUEUED, 1, 9.5, 5.0)


def test_a_new_daemon_ends_the_stop_but_not_the_pause() -> None:
    pool = [
        Event(1, 1.0, EventKind.PAUSED, data={"why": "lunch"}),
        Event(2, 2.0, EventKind.STOP_ASKED, "a", data={"how": "drain", "why": "a failed"}),
    ]
    assert of(*pool).pool == Pool(paused="lunch", stop=Stop.DRAIN, aborted="a failed")
    started = Event(3, 3.0, EventKind.DAEMON_STARTED, data={"pid": 7, "engine": "local", "slots": None})
    assert of(*pool, started).pool == Pool(paused="lunch")


def test_an_event_that_does_not_say_enough_is_named() -> None:
    replaying = Replay()
    replaying.take(ADDED)
    with pytest.raises(KeyError, match=r"event 2 \(bumped\) does not say `priority`"):
        replaying.take(Event(2, 6.0, EventKind.BUMPED, "a"))


def test_each_difference_is_one_line_that_says_where_and_what() -> None:
    told = of(ADDED, DISPATCHED)
    assert list(differences(told, told)) == []
    bumped = replace(told.tickets["a"], bumped=Priority.HIGH)
    stored = replace(told, tickets={"a": bumped}, claims={}, withdrawn=frozenset("a"), target="c" * 40)
    assert list(differences(stored, told)) == [
        "tickets a bumped is high, by the events nothing",
        "withdrawn: a",
        "claims a is nothing, by the events there",
        f"target is {'c' * 40}, by the events nothing",
    ]
