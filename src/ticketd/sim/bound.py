"""No schedule can be quicker than this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ticketd.domain.globs import NOTHING
from ticketd.domain.graph import levels
from ticketd.domain.overlaps import Pair
from ticketd.domain.scheduler.ranking import in_order, ranks, weights
from ticketd.domain.ticket import Priority, TicketRecord, TicketState
from ticketd.sim.policies import Policy
from ticketd.sim.workload import Workload
from ticketd.sim.world import Outcome


@dataclass(frozen=True, slots=True)
class Bound:
    """Seconds. `chain_s`: the longest chain of tickets that have to run one after the other; `files_s`: the most that
    is to be done on one path; `work_s`: all attempts shared among the slots; `lane_s`: all landings, one by one."""

    chain_s: float
    files_s: float
    work_s: float
    lane_s: float
    chain: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return max(self.chain_s, self.files_s, self.work_s, self.lane_s)

    @property
    def is_a_chain(self) -> bool:
        """Whether it is what must run one after the other that sets it: more slots would gain nothing."""
        return max(self.chain_s, self.files_s) > max(self.work_s, self.lane_s)


def bound_of(load: Workload, outcome: Outcome, apart: Mapping[Pair, str], policy: Policy) -> Bound:
    """For what was run in the outcome. `apart`: the overlapping pairs, each with a path."""
    slotted: dict[str, float] = {}
    for run in outcome.runs:
        slotted[run.ticket] = slotted.get(run.ticket, 0.0) + run.end - run.start
    landing = {t: load.plays[t].landing_s for t in outcome.landed_at}
    rest = {u.claim.ticket: u.rest_s for u in load.under_way if u.slot is None}
    held = {t: slotted.get(t, rest.get(t, 0.0)) + landing.get(t, 0.0) for t in {*slotted, *landing}}
    released = {u.claim.ticket for u in load.under_way if u.claim.patterns == NOTHING}
    records = {r.id: r for r in load.records if r.id in held and r.id not in released}
    chain_s, chain = _longest(load, records, held, _Forced(load, outcome, records, apart, policy))
    return Bound(
        chain_s=chain_s,
        files_s=_most_on_one_path(records, held, apart),
        work_s=_work(load, records, slotted) if slotted else 0.0,
        lane_s=sum(landing.values()),
        chain=chain,
    )


class _Forced:
    """Which tickets have to wait for which: dependencies, and overlaps whose order the policy keeps in any case."""

    def __init__(
        self,
        load: Workload,
        outcome: Outcome,
        records: Mapping[str, TicketRecord],
        apart: Mapping[Pair, str],
        policy: Policy,
    ) -> None:
        self.load = load
        self.records = records
        tries: dict[str, int] = {}
        for run in outcome.runs:
            tries[run.ticket] = tries.get(run.ticket, 0) + 1
        self.tries = tries
        self.urgency = {t: weight.urgency for t, weight in weights(records, load.estimates)[0].items()}
        self.leading = {d for r in records.values() for d in r.ticket.depends_on}
        comes_late = any(r.seen_at > load.begins_at for r in load.records)
        # Who leads to others changes its rank when those come, or are skipped.
        self.is_static = not comes_late and all(r.state is TicketState.LANDED for r in outcome.records.values())
        self.place = self._places(policy)
        self.before: dict[str, set[str]] = {
            t: {d for d in r.ticket.depends_on if d in records} for t, r in records.items()
        }
        self.order = [t for row in levels(self.before) for t in row]
        self.above = self._ancestors()
        if policy.is_by_rank or policy.is_by_age:
            self._add_overlaps(apart, self._keeps_rank if policy.is_by_rank else self._keeps_age)

    def _places(self, policy: Policy) -> dict[str, int]:
        under_way = {u.claim.ticket for u in self.load.under_way}
        waiting = [r for r in self.records.values() if r.id not in under_way]
        unfinished = {r.id: r for r in self.load.records if not r.state.is_final}
        ranked = in_order(waiting, ranks(unfinished, self.load.estimates, None, 0.0))
        by_age = sorted(waiting, key=lambda r: (r.age, r.id))
        places = {r.id: place for place, r in enumerate(by_age if policy.is_by_age else ranked)}
        return places | dict.fromkeys(under_way, -1)

    def _ancestors(self) -> dict[str, int]:
        """All that has to land before, as a bit for each ticket."""
        bit = {t: 1 << at for at, t in enumerate(self.order)}
        above: dict[str, int] = {}
        for ticket in self.order:
            above[ticket] = 0
            for dependency in self.before[ticket]:
                above[ticket] |= above.get(dependency, 0) | bit[dependency]
        return above

    def _add_overlaps(self, apart: Mapping[Pair, str], keeps: Callable[[TicketRecord, TicketRecord], bool]) -> None:
        needs = {t: self.above[t] for t in self.records}
        for one, other in apart:
            if one not in self.records or other not in self.records or self.place[one] == self.place[other]:
                continue
            first, then = (one, other) if self.place[one] < self.place[other] else (other, one)
            a, b = self.records[first], self.records[then]
            runs_already = self.place[first] < 0
            is_there = a.seen_at <= max(b.seen_at, self.load.begins_at) and not needs[first] & ~needs[then]
            if runs_already or (is_there and self.tries.get(first, 1) == 1 and keeps(a, b)):
                self.before[then].add(first)
        self.order.sort(key=lambda t: (self.above[t].bit_count(), self.place[t]))

    def _keeps_rank(self, a: TicketRecord, b: TicketRecord) -> bool:
        """Whether nothing but rank can have a say: no cap that lets `b` pass, no priority that rises with time."""
        settings = self.load.settings
        scope = settings.scopes.get(a.ticket.scope)
        if (scope and scope.max_slots is not None) or any(p.max_slots is not None for p in settings.route_of(a.ticket)):
            return False
        if settings.scheduler.fair_share and a.ticket.scope != b.ticket.scope:
            return False
        urgent, other = self.urgency[a.id], self.urgency[b.id]
        if not self.is_static and not self.leading.isdisjoint((a.id, b.id)):
            return False
        is_stable = settings.scheduler.aging_s is None or b.id not in self.leading
        return is_stable and (urgent == other or urgent == a.priority.rank == Priority.CRITICAL.rank)

    def _keeps_age(self, a: TicketRecord, b: TicketRecord) -> bool:
        return True


def _longest(
    load: Workload, records: Mapping[str, TicketRecord], held: Mapping[str, float], forced: _Forced
) -> tuple[float, tuple[str, ...]]:
    """The end of the longest chain, in seconds after the beginning, and its tickets."""
    ends: dict[str, float] = {}
    after: dict[str, str | None] = {}
    for ticket in forced.order:
        seen = max(0.0, records[ticket].seen_at - load.begins_at)
        last = max((t for t in forced.before[ticket] if t in ends), key=lambda t: (ends[t], t), default=None)
        waits = last is not None and ends[last] > seen
        ends[ticket] = (ends[last] if last is not None and waits else seen) + held[ticket]
        after[ticket] = last if waits else None
    at = max(ends, key=lambda t: (ends[t], t), default=None)
    seconds = ends[at] if at is not None else 0.0
    chain: list[str] = []
    while at is not None:
        chain.append(at)
        at = after[at]
    return seconds, tuple(reversed(chain))


def _most_on_one_path(
    records: Mapping[str, TicketRecord], held: Mapping[str, float], apart: Mapping[Pair, str]
) -> float:
    """All that can touch one path run one by one, in whatever order."""
    on: dict[str, set[str]] = {}
    for pair, path in apart.items():
        on.setdefault(path, set()).update(t for t in pair if t in records)
    return max((sum(held[t] for t in tickets) for tickets in on.values()), default=0.0)


def _work(load: Workload, records: Mapping[str, TicketRecord], slotted: Mapping[str, float]) -> float:
    """What is seen only later cannot be begun before."""
    seen = sorted(((max(0.0, records[t].seen_at - load.begins_at), slotted[t]) for t in slotted), reverse=True)
    most = total = 0.0
    for at, seconds in seen:
        total += seconds
        most = max(most, at + total / load.slots)
    return most
