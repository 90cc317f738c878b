"""The store, of work that is sent back to be mended: due until it is used up, whatever comes between."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from ticketd.domain.attempt import Attempt, AttemptKey
from ticketd.domain.events import EventKind
from ticketd.domain.globs import NOTHING
from ticketd.domain.landing import Landed
from ticketd.domain.pool import TargetRecord
from ticketd.domain.repair import Repair, RepairKind
from ticketd.domain.report import NOTHING_REPORTED
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import Reason, TicketRecord, TicketState
from ticketd.domain.ticketfile import parse_ticket
from ticketd.domain.verdict import Fail, Requeue, ToLanding, Verdict
from ticketd.ports import FoundFile, Kept
from ticketd.store import SqliteStore, open_store

BASE, TIP, ONTO, LATER = "b" * 40, "c" * 40, "d" * 40, "e" * 40
MERGE = Repair(RepairKind.CONFLICT, ONTO, TIP, "conflicts in x", merges=ONTO, ours=TIP)
SENT_BACK = Requeue("conflicts in x", reason=Reason.CONFLICT, repair=MERGE)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    opened = open_store(tmp_path / "store.db")
    for id_ in ("a", "b"):
        parsed = parse_ticket(f"tickets/{id_}.md", f"---\ntouches: ['/{id_}']\n---\n# {id_}\n".encode(), Settings())
        opened.save_files([FoundFile(id_, parsed)], [], 1.0)
    return opened


def record(store: SqliteStore, id_: str = "a") -> TicketRecord:
    found = store.ticket(id_)
    assert found is not None
    return found


def dispatch(store: SqliteStore) -> Attempt:
    key = store.dispatch(Start("a", 1, "default"), record(store), BASE, NOTHING, 2.0)
    assert isinstance(key, AttemptKey), key
    attempt = store.attempt(key)
    assert attempt is not None
    return attempt


def end(store: SqliteStore, attempt: Attempt, verdict: Verdict, tip: str = TIP) -> None:
    store.attempt_started(attempt.key, "1", 42, 3.0)
    store.attempt_over(attempt.key, 0, "exited", "", 4.0)
    store.close_attempt(attempt.key, Kept(tip, ("a",)), verdict, NOTHING_REPORTED, 5.0, retire=False)


def sent_back(store: SqliteStore) -> Attempt:
    """The attempt that mends what the first one's landing met."""
    first = dispatch(store)
    end(store, first, ToLanding())
    store.landing_failed(first.key, SENT_BACK, 6.0)
    return dispatch(store)


def test_a_repair_begins_from_the_work_and_uses_up_no_retry(store: SqliteStore) -> None:
    attempt = sent_back(store)
    begun = (attempt.base, attempt.resumes, attempt.mends, attempt.merges)
    assert begun == (ONTO, TIP, RepairKind.CONFLICT, ONTO)
    assert (record(store).repair, record(store).repairs, record(store).failures) == (MERGE, 1, 0)
    first = store.attempt(AttemptKey("a", 1))
    assert first is not None and (first.reason, first.detail) == (Reason.CONFLICT, "conflicts in x")
    assert store.disagreements() == []


def test_the_ticket_keeps_its_place(store: SqliteStore) -> None:
    age = record(store).age
    first = dispatch(store)
    end(store, first, ToLanding())
    store.landing_failed(first.key, SENT_BACK, 6.0)
    assert (record(store).state, record(store).age, record(store).not_before) == (TicketState.QUEUED, age, None)


@pytest.mark.parametrize("verdict", [Requeue("ended"), Requeue("lost", deferred=True, not_before=9.0)])
def test_what_interrupts_a_repair_leaves_it_due_and_costs_none(store: SqliteStore, verdict: Requeue) -> None:
    attempt = sent_back(store)
    end(store, attempt, verdict, LATER)
    again = dispatch(store)
    assert replace(again, key=attempt.key, dispatched_at=attempt.dispatched_at) == attempt
    assert record(store).repairs == 1


def test_a_start_that_was_refused_leaves_it_due(store: SqliteStore) -> None:
    attempt = sent_back(store)
    store.start_refused(attempt.key, "no processes left", 7.0)
    assert dispatch(store) == attempt
    assert store.disagreements() == []


def test_one_that_makes_way_goes_on_mending_from_where_it_was(store: SqliteStore) -> None:
    attempt = sent_back(store)
    end(store, attempt, Requeue("made way", preempted=True), LATER)
    again = dispatch(store)
    assert (again.base, again.resumes, again.mends, again.merges) == (ONTO, LATER, RepairKind.CONFLICT, None)
    assert record(store).repairs == 1
    next_one = replace(MERGE, tip=LATER, merges=None, fault="b is left")
    end(store, again, Requeue("b is left", reason=Reason.CONFLICT, repair=next_one))
    assert (dispatch(store).resumes, record(store).repairs) == (LATER, 2)


def test_a_failure_that_uses_up_a_retry_begins_afresh(store: SqliteStore) -> None:
    end(store, sent_back(store), Requeue("exit code 3", failed=True, reason=Reason.AGENT_FAILED))
    attempt = dispatch(store)
    assert (attempt.base, attempt.resumes, attempt.mends, attempt.merges) == (BASE, None, None, None)
    assert (record(store).repair, record(store).repairs, record(store).failures) == (None, 1, 1)


def test_a_persons_retry_gives_all_repairs_back(store: SqliteStore) -> None:
    end(store, sent_back(store), Fail(Reason.CONFLICT, "it changed nothing"))
    store.retry("a", 9.0)
    assert (record(store).repair, record(store).repairs) == (None, 0)
    assert dispatch(store).resumes is None
    assert store.disagreements() == []


def test_nothing_is_learned_from_the_time_that_a_repair_took(store: SqliteStore) -> None:
    attempt = sent_back(store)
    end(store, attempt, ToLanding())
    store.land([Landed(attempt.key, ONTO)], TargetRecord("origin", "main", ONTO, 9.0), 9.0)
    assert store.samples(10) == ()


def test_a_merge_without_work_to_merge_into_is_refused(store: SqliteStore) -> None:
    with store.connections.transaction() as db, pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        db.execute(
            "INSERT INTO attempts (ticket, number, state, slot, base, agent, dispatched_at, merges)"
            " VALUES ('b', 1, 'preparing', 1, 'b', 'default', 1, 'd')"
        )


def test_the_events_say_what_is_to_be_mended(store: SqliteStore) -> None:
    sent_back(store)
    told = {event.kind: event.data for event in store.events(ticket="a")}
    requeued, dispatched = told[EventKind.REQUEUED], told[EventKind.DISPATCHED]
    assert (requeued["reason"], requeued["repairs"]) == ("conflict", 1)
    assert (dispatched["mends"], dispatched["merges"], dispatched["resumes"]) == ("conflict", ONTO, TIP)
