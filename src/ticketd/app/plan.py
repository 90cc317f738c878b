"""Before a run: what could go side by side, what cannot and on which path, and how long it may take."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from ticketd.domain.claims import ClaimTable
from ticketd.domain.estimates import estimate
from ticketd.domain.graph import fold, levels
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord
from ticketd.ports import Board

SCHEMA = 1
LOW, HIGH = 0.6, 1.6
"""Nothing has been learned of these tickets yet; sizes are rough, and the range says so."""


def plan(board: Board, settings: Settings) -> dict[str, Any]:
    """The contract's `plan --json`, for the tickets that have not ended."""
    unfinished = {r.id: r for r in board.tickets.values() if not r.state.is_final}
    depends_on = {r.id: [d for d in r.ticket.depends_on if d in unfinished] for r in unfinished.values()}
    rows = levels(depends_on)
    path = _critical_path(unfinished, depends_on)
    slots = board.pool.slots or settings.slots
    likely = _makespan(unfinished, depends_on, slots)
    return {
        "schema": SCHEMA,
        "tickets": len(unfinished),
        "slots": slots,
        "levels": rows,
        "width": max((len(row) for row in rows), default=0),
        "critical_path": path,
        "critical_path_s": round(sum(estimate(unfinished[id_].ticket) for id_ in path)),
        "makespan_s": {"low": round(likely * LOW), "likely": round(likely), "high": round(likely * HIGH)},
        "overlaps": overlaps(unfinished, settings),
    }


def overlaps(records: Mapping[str, TicketRecord], settings: Settings) -> list[dict[str, str]]:
    """Each pair that cannot run at once, and a path both can touch."""
    found = []
    for one, other in combinations(sorted(records), 2):
        table = ClaimTable(settings.claims.shared)
        table.add(one, records[one].ticket.touches)
        if blocker := table.first_blocker(records[other].ticket.touches):
            found.append({"a": one, "b": other, "path": blocker.path})
    return found


def _critical_path(records: Mapping[str, TicketRecord], depends_on: Mapping[str, list[str]]) -> list[str]:
    """The chain of dependencies that takes longest."""

    def longest(ticket: str, before: list[tuple[float, tuple[str, ...]]]) -> tuple[float, tuple[str, ...]]:
        seconds, chain = max(before, default=(0.0, ()))
        return seconds + estimate(records[ticket].ticket), (*chain, ticket)

    ends = fold(records, depends_on, longest)
    return list(max(ends.values(), default=(0.0, ()))[1])


def _makespan(records: Mapping[str, TicketRecord], depends_on: Mapping[str, list[str]], slots: int) -> float:
    """Seconds until all are done when each takes its estimate: dependencies and slots counted, overlaps not."""
    done_at: dict[str, float] = {}
    free_at = [0.0] * slots
    heapq.heapify(free_at)
    for row in levels(depends_on):
        for ticket in sorted(row, key=lambda id_: (records[id_].age, id_)):
            ready = max((done_at.get(d, 0.0) for d in depends_on[ticket]), default=0.0)
            done_at[ticket] = max(heapq.heappop(free_at), ready) + estimate(records[ticket].ticket)
            heapq.heappush(free_at, done_at[ticket])
    return max(done_at.values(), default=0.0)
