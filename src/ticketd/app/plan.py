"""Before a run: what could go side by side, what cannot and on which path, and how long it may take."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any

from ticketd.domain.estimates import Estimates
from ticketd.domain.globs import PatternSet, overlap
from ticketd.domain.graph import fold, levels
from ticketd.domain.ranking import in_order, rank, weights
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord
from ticketd.ports import Board

SCHEMA = 1
LOW, HIGH = 0.6, 1.6
"""Nothing has been learned of these tickets yet; sizes are rough, and the range says so."""

Pair = tuple[str, str]
ESTIMATES = Estimates()


def plan(board: Board, settings: Settings) -> dict[str, Any]:
    """The contract's `plan --json`, for the tickets that have not ended. Beside its keys: `stuck`, the tickets that can
    not run as things stand, and why."""
    unfinished = {r.id: r for r in board.tickets.values() if not r.state.is_final}
    depends_on = {r.id: [d for d in r.ticket.depends_on if d in unfinished] for r in unfinished.values()}
    rows = levels(depends_on)
    path = _critical_path(unfinished, depends_on)
    slots = board.pool.slots or settings.slots
    apart = overlaps(unfinished, settings)
    stuck = _stuck(board, unfinished)
    likely = _makespan({t: r for t, r in unfinished.items() if t not in stuck}, depends_on, apart, slots)
    return {
        "schema": SCHEMA,
        "tickets": len(unfinished),
        "slots": slots,
        "levels": rows,
        "width": max((len(row) for row in rows), default=0),
        "critical_path": path,
        "critical_path_s": round(sum(ESTIMATES.of(unfinished[id_].ticket).likely for id_ in path)),
        "makespan_s": {"low": round(likely * LOW), "likely": round(likely), "high": round(likely * HIGH)},
        "overlaps": [{"a": a, "b": b, "path": witness} for (a, b), witness in apart.items()],
        "stuck": [{"ticket": ticket, "why": why} for ticket, why in stuck.items()],
    }


def overlaps(records: Mapping[str, TicketRecord], settings: Settings) -> dict[Pair, str]:
    """Each pair that cannot run at once, in order, and a path both can touch."""
    alike: dict[PatternSet, list[str]] = {}
    for ticket in sorted(records):
        alike.setdefault(records[ticket].ticket.touches, []).append(ticket)
    shared = settings.claims.shared
    found: dict[Pair, str] = {}
    # Tickets often declare the same patterns, and each pair of sets is searched only once.
    for patterns, tickets in alike.items():
        if len(tickets) > 1 and (witness := overlap(patterns, patterns, shared)) is not None:
            found |= dict.fromkeys(combinations(tickets, 2), witness)
    for (one, ones), (other, others) in combinations(alike.items(), 2):
        if (witness := overlap(one, other, shared)) is not None:
            found |= {(min(pair), max(pair)): witness for pair in product(ones, others)}
    return dict(sorted(found.items()))


def _critical_path(records: Mapping[str, TicketRecord], depends_on: Mapping[str, list[str]]) -> list[str]:
    """The chain of dependencies that takes longest."""
    before: dict[str, str] = {}

    def longest(ticket: str, seconds: list[float]) -> float:
        return max(seconds, default=0.0) + ESTIMATES.of(records[ticket].ticket).likely

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


def _stuck(board: Board, unfinished: Mapping[str, TicketRecord]) -> dict[str, str]:
    """Tickets that will never be ready unless a person does something, and why."""
    stuck: dict[str, str] = {}
    waiting = dict(unfinished)
    settled = {r.id for r in board.tickets.values() if r.state.is_final and r.landed_sha is not None}
    while ready := [t for t, r in waiting.items() if settled.issuperset(r.ticket.depends_on)]:
        settled.update(ready)
        for ticket in ready:
            del waiting[ticket]
    for ticket in sorted(waiting):
        stuck[ticket] = _why_stuck(board, waiting, waiting[ticket], settled)
    return stuck


def _why_stuck(board: Board, stuck: Mapping[str, TicketRecord], record: TicketRecord, settled: set[str]) -> str:
    for dependency in record.ticket.depends_on:
        before = board.tickets.get(dependency)
        if before is None:
            return f"depends on {dependency}, and there is no such ticket"
        if dependency not in settled and dependency not in stuck:
            return f"depends on {dependency}, which is {before.state}"
    first = next(dependency for dependency in record.ticket.depends_on if dependency in stuck)
    return f"depends on {first}, which cannot run either"


def _makespan(
    records: Mapping[str, TicketRecord], depends_on: Mapping[str, list[str]], apart: Mapping[Pair, str], slots: int
) -> float:
    """Seconds until all are done when each takes its estimate, in the order and by the rules of the scheduler."""
    neighbours: dict[str, set[str]] = {ticket: set() for ticket in records}
    for one, other in apart:
        if one in neighbours and other in neighbours:
            neighbours[one].add(other)
            neighbours[other].add(one)
    weight = weights(records, ESTIMATES)
    ranks = {id_: rank(record, weight[id_], None, 0.0) for id_, record in records.items()}
    waiting = [record.id for record in in_order(records.values(), ranks)]
    now, done, running = 0.0, set[str](), list[tuple[float, str]]()
    while waiting or running:
        under_way = {ticket for _, ticket in running}
        for ticket in list(_startable(waiting, depends_on, neighbours, done, under_way, slots)):
            heapq.heappush(running, (now + ESTIMATES.of(records[ticket].ticket).likely, ticket))
            waiting.remove(ticket)
        if not running:
            break
        now, over = heapq.heappop(running)
        done.add(over)
    return now


def _startable(
    waiting: list[str],
    depends_on: Mapping[str, list[str]],
    neighbours: Mapping[str, set[str]],
    done: set[str],
    under_way: set[str],
    slots: int,
) -> Iterator[str]:
    """Who starts now; one that only overlap holds back reserves its files against those behind it."""
    reserved: set[str] = set()
    for ticket in waiting:
        if len(under_way) >= slots:
            return
        if not done.issuperset(depends_on[ticket]):
            continue
        if neighbours[ticket].isdisjoint(under_way) and neighbours[ticket].isdisjoint(reserved):
            under_way.add(ticket)
            yield ticket
        else:
            reserved.add(ticket)
