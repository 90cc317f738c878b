"""The slot of a lost run is free once nothing of it is left, and not before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ticketd.app.places import Places
from ticketd.app.slots import Slots
from ticketd.domain.attempt import AttemptKey, AttemptState
from ticketd.domain.globs import PatternSet
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.ticket import Ticket
from ticketd.domain.ticketfile import Lines, Parsed
from ticketd.ports import Alive, FoundFile, LostRun, RunState
from ticketd.store import open_store

KEY = AttemptKey("a", 1)


def test_what_cannot_be_ended_keeps_the_slot_and_is_shown_until_it_is_gone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db")
    ticket = Ticket(id="a", path="tickets/a.md", title="a", touches=PatternSet(("/a",)))
    store.save_files([FoundFile("", Parsed(ticket.path, "a", ticket, (), Lines({}, {})))], [], 1.0)
    record = store.ticket("a")
    assert record
    assert store.dispatch(Start("a", 1, "default"), record, "0" * 40, PatternSet(()), 2.0) == KEY
    store.attempt_started(KEY, "1", 7, 3.0)
    said: list[RunState] = [Alive(7, 3.0, None), LostRun("gone", left="7 (cat)"), LostRun("gone", left="7 (cat)")]
    engine = SimpleNamespace(settle=lambda _: said.pop(0) if said else LostRun("gone"))
    session = SimpleNamespace(store=store, places=Places(tmp_path), clock=SimpleNamespace(now=lambda: 9.0))
    works: Any = SimpleNamespace(session=session, engine=engine)
    trees: Any = None
    slots, seen = Slots(works, trees), []
    for _ in range(4):
        slots.lost(KEY)
        attempt = store.attempt(KEY)
        assert attempt
        seen.append((attempt.state, attempt.held_up))
    kept = (AttemptState.RUNNING, "cannot be ended: 7 (cat)")
    assert seen == [(AttemptState.RUNNING, ""), kept, kept, (AttemptState.COLLECTING, "")]
    assert store.disagreements() == []
