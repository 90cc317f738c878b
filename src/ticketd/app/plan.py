"""Before a run: what could go side by side, what cannot and on which path, and how long it may take."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ticketd.app.observe import snapshot_of
from ticketd.domain.budget import ticket_used_up, today
from ticketd.domain.estimates import Estimates
from ticketd.domain.graph import fold, levels, spelled_circle
from ticketd.domain.overlaps import overlaps
from ticketd.domain.scheduler.schedule import Snapshot
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord, TicketState
from ticketd.ports import Board
from ticketd.sim.forecast import Forecast, at_once, forecast

SCHEMA = 1


def plan(board: Board, settings: Settings, now: float) -> dict[str, Any]:
    """The contract's `plan --json`, for the tickets that have not ended; `now` in epoch seconds. Beside its keys:
    `depends_on`, the edges; `stuck`, the tickets that can not run as things stand, and why; `over_budget`, those that
    wait for midnight; `ceiling`, `gantt` and `one_more_slot_s` (wiki/_global/simulation.md)."""
    snapshot = replace(snapshot_of(board, settings), paused="", stopping=False, short="")
    unfinished = {r.id: r for r in board.tickets.values() if not r.state.is_final}
    depends_on = {r.id: [d for d in r.ticket.depends_on if d in unfinished] for r in unfinished.values()}
    rows = levels(depends_on)
    path = _critical_path(unfinished, depends_on, snapshot.estimates)
    apart = overlaps(unfinished, settings.claims.shared)
    stuck = _stuck(board, unfinished, settings)
    ahead = forecast(snapshot, apart, now)
    return {
        "schema": SCHEMA,
        "tickets": len(unfinished),
        "slots": snapshot.slots,
        "levels": rows,
        "width": max((len(row) for row in rows), default=0),
        "critical_path": path,
        "critical_path_s": round(sum(snapshot.estimates.of(unfinished[id_].ticket).likely for id_ in path)),
        "ceiling": _ceiling(snapshot, unfinished, stuck, apart, ahead),
        "makespan_s": {
            "low": round(ahead.makespan.low),
            "likely": round(ahead.makespan.likely),
            "high": round(ahead.makespan.high),
        },
        "one_more_slot_s": round(ahead.one_more_slot_s),
        "gantt": _gantt(ahead),
        "depends_on": {ticket: dependencies for ticket, dependencies in depends_on.items() if dependencies},
        "overlaps": [{"a": a, "b": b, "path": witness} for (a, b), witness in apart.items()],
        "stuck": [{"ticket": ticket, "why": why} for ticket, why in stuck.items()],
        "over_budget": list(_over_budget(snapshot, unfinished, stuck, now)),
    }


def _ceiling(
    snapshot: Snapshot,
    unfinished: Mapping[str, TicketRecord],
    stuck: Mapping[str, str],
    apart: Mapping[tuple[str, str], str],
    ahead: Forecast,
) -> dict[str, Any]:
    """How many slots the queue could use: in the mean (all work over the longest chain of what has to run one after
    the other), and at most at one moment."""
    able = {ticket: record for ticket, record in unfinished.items() if ticket not in stuck}
    chain_s = max(ahead.bound.chain_s, ahead.bound.files_s)
    work_s = ahead.bound.work_s * snapshot.slots
    return {
        "mean": round(work_s / chain_s, 1) if chain_s else 0.0,
        "at_once": len(at_once(able, [pair for pair in apart if pair[0] in able and pair[1] in able])),
        "chain": list(ahead.bound.chain),
        "chain_s": round(chain_s),
    }


def _gantt(ahead: Forecast) -> list[dict[str, Any]]:
    """The run in which every ticket takes its likely time; seconds from now."""
    return [
        {
            "ticket": each.ticket,
            "slot": each.slot,
            "start_s": round(each.start - ahead.begins_at),
            "end_s": round(each.end - ahead.begins_at),
        }
        for each in sorted(ahead.runs, key=lambda each: (each.start, each.slot))
    ]


def _critical_path(
    records: Mapping[str, TicketRecord], depends_on: Mapping[str, list[str]], estimates: Estimates
) -> list[str]:
    """The chain of dependencies that takes longest."""
    before: dict[str, str] = {}

    def longest(ticket: str, seconds: list[float]) -> float:
        return max(seconds, default=0.0) + estimates.of(records[ticket].ticket).likely

    ends = fold(records, depends_on, longest)
    for ticket, dependencies in depends_on.items():
        if dependencies:
            before[ticket] = max(dependencies, key=lambda d: (ends[d], d))
    path: list[str] = []
    at = max(sorted(ends), key=lambda t: ends[t], default=None)
    while at is not None and at not in path:
        path.append(at)
        at = before.get(at)
    return path[::-1]


def _over_budget(
    snapshot: Snapshot, unfinished: Mapping[str, TicketRecord], stuck: Mapping[str, str], now: float
) -> Iterator[dict[str, str]]:
    """Queued tickets that a budget of the day keeps until midnight, of which all the times here know nothing."""
    spent = today(snapshot.spent, snapshot.attempts, snapshot.tickets, now)
    for ticket, record in sorted(unfinished.items()):
        why = spent.why_not(record.ticket.scope, snapshot.settings)
        if why and record.state is TicketState.QUEUED and ticket not in stuck:
            yield {"ticket": ticket, "why": why}


def _stuck(board: Board, unfinished: Mapping[str, TicketRecord], settings: Settings) -> dict[str, str]:
    """Tickets that will never be ready unless a person does something, and why."""
    stuck: dict[str, str] = {}
    waiting = dict(unfinished)
    held = {id_: why for id_, record in unfinished.items() if (why := _held(record, settings))}
    settled = {r.id for r in board.tickets.values() if r.state.is_final and r.landed_sha is not None}
    while ready := [t for t, r in waiting.items() if t not in held and settled.issuperset(r.ticket.depends_on)]:
        settled.update(ready)
        for ticket in ready:
            del waiting[ticket]
    for ticket in sorted(waiting):
        stuck[ticket] = held.get(ticket) or _why_stuck(board, waiting, waiting[ticket], settled, held)
    return stuck


def _held(record: TicketRecord, settings: Settings) -> str:
    """What of a queued ticket's own a person has to see to; empty if nothing."""
    if record.state is not TicketState.QUEUED:
        return ""
    if record.held:
        return f"held by a person; `ticketd unhold {record.id}` lets it go"
    return ticket_used_up(record.ticket, record.spent_usd, settings)


def _why_stuck(
    board: Board, stuck: Mapping[str, TicketRecord], record: TicketRecord, settled: set[str], held: Collection[str]
) -> str:
    for dependency in record.ticket.depends_on:
        before = board.tickets.get(dependency)
        if before is None:
            return f"depends on {dependency}, and there is no such ticket"
        if dependency not in settled and dependency not in stuck:
            return f"depends on {dependency}, which is {before.state}"
    first = next(dependency for dependency in record.ticket.depends_on if dependency in stuck)
    return f"depends on {first}, {_circle(stuck, first, held) or 'which cannot run either'}"


def _circle(stuck: Mapping[str, TicketRecord], ticket: str, held: Collection[str]) -> str:
    """The circle that the first dependencies of a ticket, each of the next, lead into, if they do."""
    path: dict[str, None] = {}
    while ticket in stuck and ticket not in path and ticket not in held:
        path[ticket] = None
        ticket = next((d for d in stuck[ticket].ticket.depends_on if d in stuck), "")
    if ticket not in path:
        return ""
    ring = list(path)[list(path).index(ticket) :]
    return f"in a circle: {spelled_circle(ring)}"
