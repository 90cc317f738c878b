"""The slot of a lost run is free once nothing of it is left, and not before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ticketd.app.guard import Guard
from ticketd.app.places import Places
from ticketd.app.slots import Slots
from ticketd.domain.attempt import AttemptKey, AttemptState
from ticketd.domain.globs import PatternSet
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.ticket import Ticket
from ticketd.domain.ticketfile import Lines, Parsed
from ticketd.ports import Alive, FoundFile, LostRun, RunState
from ticketd.store import SqliteStore, open_store

KEY = AttemptKey("a", 1)


def running(tmp_path: Path) -> SqliteStore:
    store = open_store(tmp_path / "store.db")
    ticket = Ticket(id="a", path="tickets/a.md", title="a", touches=PatternSet(("/a",)))
    store.save_files([FoundFile("", Parsed(ticket.path, "a", ticket, (), Lines({}, {})))], [], 1.0)
    record = store.ticket("a")
    assert record
    assert store.dispatch(Start("a", 1, "default"), record, "0" * 40, PatternSet(()), 2.0) == KEY
    store.attempt_started(KEY, "1", 7, 3.0)
    return store


def slots_of(store: SqliteStore, tmp_path: Path, settle: Callable[[Path, str], RunState]) -> Slots:
    session = SimpleNamespace(store=store, places=Places(tmp_path), clock=SimpleNamespace(now=lambda: 9.0))
    works: Any = SimpleNamespace(session=session, engine=SimpleNamespace(settle=settle))
    trees: Any = None
    return Slots(works, trees, Guard(works))


def test_records_that_somebody_has_deleted_are_a_lost_run(tmp_path: Path) -> None:
    store = running(tmp_path)
    slots_of(store, tmp_path, lambda *_: LostRun("its records have been deleted")).lost(KEY)
    attempt = store.attempt(KEY)
    assert attempt and (attempt.state, attempt.outcome) == (AttemptState.COLLECTING, "lost")


def test_what_cannot_be_ended_keeps_the_slot_and_is_shown_until_it_is_gone(tmp_path: Path) -> None:
    store = running(tmp_path)
    said: list[RunState] = [Alive(7, 3.0, None), LostRun("gone", left="7 (cat)"), LostRun("gone", left="7 (cat)")]
    slots = slots_of(store, tmp_path, lambda *_: said.pop(0) if said else LostRun("gone"))
    seen = []
    for _ in range(4):
        slots.lost(KEY)
        attempt = store.attempt(KEY)
        assert attempt
        seen.append((attempt.state, attempt.held_up))
    kept = (AttemptState.RUNNING, "cannot be ended: 7 (cat)")
    assert seen == [(AttemptState.RUNNING, ""), kept, kept, (AttemptState.COLLECTING, "")]
    assert store.disagreements() == []
