"""What a plan can say of the time ahead: simulated runs of the queue under the policy in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from statistics import fmean

from ticketd.domain.graph import levels
from ticketd.domain.overlaps import Pair
from ticketd.domain.scheduler.schedule import Snapshot
from ticketd.domain.settings import Backfill
from ticketd.domain.ticket import TicketRecord
from ticketd.sim.bound import Bound, bound_of
from ticketd.sim.draw import queue
from ticketd.sim.policies import Policy
from ticketd.sim.report import Range, range_of, run
from ticketd.sim.world import Ran

SEED = 1
MOST_RUNS, LEAST_RUNS = 40, 5
TICKETS_IN_ALL = 2400
"""About how many tickets all runs together may have: a plan is made while somebody waits for it."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds. `runs` and `bound` are of the run in which each ticket takes its likely time; `makespan` and
    `one_more_slot_s`, what one more slot would gain, come from several runs with drawn times."""

    begins_at: float
    makespan: Range
    one_more_slot_s: float
    runs: tuple[Ran, ...]
    bound: Bound


def forecast(snapshot: Snapshot, apart: Mapping[Pair, str], now: float) -> Forecast:
    """`now` in epoch seconds. A pool that is paused or stopping is taken to go on."""
    policy = Policy.ESTIMATE if snapshot.settings.scheduler.backfill is Backfill.ESTIMATE else Policy.STRICT
    load, outcome = run(queue(snapshot, now), policy)
    rng = Random(SEED)
    drawn = [queue(snapshot, now, rng) for _ in range(_runs(len(load.plays)))]
    makespans = [run(each, policy)[1].makespan_s for each in drawn]
    # The same times with and without the slot, so that luck is no part of the difference.
    fewer = drawn[: max(1, len(drawn) // 4)]
    wider = [run(replace(each, slots=each.slots + 1), policy)[1].makespan_s for each in fewer]
    return Forecast(
        begins_at=now,
        makespan=range_of(makespans),
        one_more_slot_s=max(0.0, fmean(a - b for a, b in zip(makespans, wider, strict=False))),
        runs=outcome.runs,
        bound=bound_of(load, outcome, apart, policy),
    )


def _runs(tickets: int) -> int:
    return max(LEAST_RUNS, min(MOST_RUNS, TICKETS_IN_ALL // max(tickets, 1)))


def at_once(records: Mapping[str, TicketRecord], apart: Iterable[Pair]) -> tuple[str, ...]:
    """Tickets that could all run at the same moment: no two overlap, none needs another. Found by taking those with
    the fewest such others first, so a larger set may exist where the overlaps are tangled."""
    against: dict[str, set[str]] = {ticket: set() for ticket in records}
    for one, other in apart:
        against[one].add(other)
        against[other].add(one)
    needed = _needed(records)
    for ticket, above in needed.items():
        against[ticket] |= above
        for other in above:
            against[other].add(ticket)
    left = {ticket: len(others) for ticket, others in against.items()}
    taken: list[str] = []
    while left:
        ticket = min(left, key=lambda t: (left[t], t))
        taken.append(ticket)
        gone = {ticket, *(other for other in against[ticket] if other in left)}
        for each in gone:
            del left[each]
        for each in gone:
            for other in against[each]:
                if other in left:
                    left[other] -= 1
    return tuple(sorted(taken))


def _needed(records: Mapping[str, TicketRecord]) -> dict[str, set[str]]:
    """All that has to land before each ticket, directly or through others."""
    depends_on = {t: [d for d in r.ticket.depends_on if d in records] for t, r in records.items()}
    needed: dict[str, set[str]] = {}
    for row in levels(depends_on):
        for ticket in row:
            before = depends_on[ticket]
            needed[ticket] = {*before, *(each for d in before for each in needed.get(d, ()))}
    return needed
