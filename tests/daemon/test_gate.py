"""What a person has approved is what runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ticketd.app.guard import Guard
from ticketd.app.places import Places
from ticketd.app.slots import Slots
from ticketd.clock import SystemClock
from ticketd.domain.attempt import AttemptKey, AttemptState
from ticketd.domain.globs import NOTHING
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import Gate, Ticket
from ticketd.domain.ticketfile import Lines, Parsed
from ticketd.ports import FoundFile
from ticketd.store import open_store


def test_a_ticket_edited_between_its_dispatch_and_its_launch_waits_for_a_person_again(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db")
    ticket = Ticket(id="a", path="tickets/a.md", title="a", gate=Gate.START)

    def save(ticket: Ticket) -> None:
        store.save_files([FoundFile(ticket.body, Parsed(ticket.path, "a", ticket, (), Lines({}, {})))], [], 1.0)

    save(ticket)
    store.ask_to_start("a", 2.0)
    store.approve("a", 3.0)
    key = store.dispatch(Start("a", 1, "default"), store.board().tickets["a"], "b" * 40, NOTHING, 4.0)
    assert isinstance(key, AttemptKey)
    save(replace(ticket, body="something else"))
    session = SimpleNamespace(store=store, clock=SystemClock(), places=Places(tmp_path))
    works: Any = SimpleNamespace(session=session, settings=Settings)
    trees: Any = None  # none is taken
    Slots(works, trees, Guard(works)).launch(key)
    attempt = store.attempt(key)
    assert attempt is not None
    assert (attempt.state, attempt.outcome) == (AttemptState.COLLECTING, "never-started")
