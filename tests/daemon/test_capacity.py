"""Starts that are refused, and ends that come all at once: the daemon in this process, on a clock that runs fast."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from acceptance_yard import Yard, make_yard

from ticketd.app.places import Places
from ticketd.boot.daemon import open_daemon
from ticketd.boot.session import open_session
from ticketd.daemon.loop import Loop
from ticketd.daemon.scheduling import Scheduling
from ticketd.domain.attempt import AttemptKey, AttemptState
from ticketd.domain.globs import PatternSet
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import Ticket
from ticketd.domain.ticketfile import Lines, Parsed
from ticketd.engines.local import LocalEngine
from ticketd.ports import Alive, Exited, FoundFile, NoCapacity, RunSpec
from ticketd.store import open_store

FAST = 200.0


@dataclass(frozen=True)
class FastClock:
    """A backoff of 5 s takes 25 ms."""

    begun: float

    def now(self) -> float:
        return 1_790_000_000.0 + self.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self.begun) * FAST


class StingyEngine(LocalEngine):
    """Refuses the first starts that are asked of it."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.left = refusals

    def start(self, spec: RunSpec) -> Alive | Exited | NoCapacity:
        if self.left > 0:
            self.left -= 1
            return NoCapacity("no process left")
        return super().start(spec)


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    return make_yard(tmp_path, monkeypatch)


def run_with(yard: Yard, engine: LocalEngine) -> Any:
    """A whole run, to its end."""
    opened = open_session(yard.work)
    opened = replace(opened, session=replace(opened.session, clock=FastClock(time.monotonic())))
    with open_daemon(opened) as daemon:
        daemon.works = replace(daemon.works, engine=engine)
        daemon.run(os.getpid(), None, until_idle=True)
    return opened.session.store


def test_refused_starts_use_up_nothing_and_the_tickets_land_once_there_is_room(yard: Yard) -> None:
    for number in range(4):
        yard.ticket(f"t{number}", touches=f"/f{number}", does=(f"append f{number} x",), retries=0)
    store = run_with(yard, StingyEngine(10))
    lines = yard.json("list")["tickets"]
    assert [(line["state"], line["attempts"]) for line in lines] == [("landed", 1)] * 4
    kinds = [event.kind for event in store.events()]
    assert (kinds.count("start-refused"), kinds.count("dispatched")) == (10, 14)
    assert "throttle-lifted" in kinds and store.board().throttles == {}


def test_a_worktrees_setup_that_finds_no_process_is_a_refused_start_too(yard: Yard) -> None:
    yard.config('[worktrees]\nsetup = ["true"]\n')
    yard.ticket("a", touches="/a", does=("append a x",), retries=0)
    run_with(yard, StingyEngine(2))
    line = yard.ticket_line("a")
    assert (line["state"], line["attempts"]) == ("landed", 1)


COUNT = 1000
OVER = Exited(0, None, "exited", "", 1.0, 2.0, None, None, 0)


def test_a_thousand_ends_in_one_tick_are_all_noted(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.db")
    ids = [f"t{number:04}" for number in range(COUNT)]
    tickets = [Ticket(id=id_, path=f"tickets/{id_}.md", title=id_, touches=PatternSet((f"/{id_}",))) for id_ in ids]
    store.save_files([FoundFile("", Parsed(t.path, t.id, t, (), Lines({}, {}))) for t in tickets], [], 1.0)
    with store.connections.transaction() as db:
        db.execute("PRAGMA defer_foreign_keys = ON")
        db.execute("UPDATE tickets SET state = 'running', attempts = 1")
        db.execute(
            "INSERT INTO attempts (ticket, number, state, slot, base, agent, dispatched_at)"
            " SELECT id, 1, 'running', age, 'x', 'default', 1.0 FROM tickets"
        )
    clock = FastClock(time.monotonic())
    handed_out: list[AttemptKey] = []
    session = SimpleNamespace(store=store, clock=clock, places=Places(tmp_path))
    works: Any = SimpleNamespace(
        session=session, engine=SimpleNamespace(look=lambda _: OVER), settings=lambda: Settings(slots=COUNT)
    )
    slots: Any = SimpleNamespace(
        over=lambda key, state: store.attempt_over(key, state.code, state.reason, "", clock.now()),
        launch=None,
        collect=None,
    )
    chores: Any = SimpleNamespace(take=lambda key, _: handed_out.append(key))
    lane: Any = SimpleNamespace()
    Loop(works, slots, chores, lane, False, lambda: False, lambda: None, Scheduling(store)).tick()
    assert {attempt.state for attempt in store.live_attempts()} == {AttemptState.COLLECTING}
    assert sorted(handed_out) == [AttemptKey(id_, 1) for id_ in ids]
    assert [event.kind for event in store.events(limit=5000)].count("agent-ended") == COUNT
