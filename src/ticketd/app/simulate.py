"""Policies compared: on the queue as it is, on a trace, or on what has been done already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from ticketd.app.observe import snapshot_of
from ticketd.app.session import Session
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord
from ticketd.errors import BadInput
from ticketd.sim import draw, history
from ticketd.sim.policies import Policy
from ticketd.sim.report import compare, entries
from ticketd.sim.trace import parse_trace
from ticketd.sim.workload import Play, Workload

SCHEMA = 1

Document = dict[str, Any]


def simulation(source: str, loads: Sequence[Workload], policies: Sequence[Policy], seed: int) -> Document:
    """`simulate --json`; `source` is `queue`, `trace` or `history`."""
    return {
        "schema": SCHEMA,
        "source": source,
        "tickets": len(loads[0].plays),
        "slots": loads[0].slots,
        "seed": seed,
        "runs": len(loads),
        "policies": entries(compare(loads, policies)),
    }


def from_queue(session: Session, settings: Settings, slots: int | None, seed: int, runs: int) -> list[Workload]:
    """The tickets that have not ended, `runs` times with other durations. A pool that is paused is taken to go on."""
    snapshot = replace(snapshot_of(session.store.board(), settings), paused="", stopping=False, short="")
    snapshot = replace(snapshot, slots=slots or snapshot.slots)
    rng, now = Random(seed), session.clock.now()
    return [draw.queue(snapshot, now, rng) for _ in range(runs)]


def from_history(session: Session, settings: Settings, slots: int | None) -> list[Workload]:
    """Every ticket that has landed or failed, from the moment the first of them was seen."""
    board = session.store.board()
    done = [record for record in board.tickets.values() if record.state.is_final]
    records, plays = history.past(
        done,
        {record.id: session.store.attempts(record.id) for record in done},
        {record.id: session.store.events(ticket=record.id) for record in done},
    )
    if not records:
        raise BadInput(
            "nothing has been done here yet, so there is no history",
            mend="Without --history the current tickets are simulated; or give a file: --trace FILE.",
        )
    return [_from_first_seen(records, plays, settings, slots or snapshot_of(board, settings).slots)]


def from_trace(file: Path, settings: Settings, slots: int | None) -> list[Workload]:
    """
    Raises:
        BadInput: the file cannot be read, or is no trace.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadInput(f"{file} cannot be read: {why}", mend="--trace takes a file of JSON lines.") from None
    trace = parse_trace(text, str(file))
    if trace.problems:
        first, *others = map(str, trace.problems)
        more = f"\n… and {len(others)} more" if others else ""
        raise BadInput(first + more, mend="The format is in wiki/_global/simulation.md.")
    return [_from_first_seen(trace.records, trace.plays, settings, slots or settings.slots)]


def _from_first_seen(
    records: tuple[TicketRecord, ...], plays: Mapping[str, Play], settings: Settings, slots: int
) -> Workload:
    begins_at = min(record.seen_at for record in records)
    return Workload(records, plays, slots, settings, begins_at=begins_at)
