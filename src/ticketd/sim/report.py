"""How well a policy did: numbers of one run, and of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean

from ticketd.domain.overlaps import Pair, overlaps
from ticketd.domain.ticket import Priority, TicketState
from ticketd.sim.bound import Bound, bound_of
from ticketd.sim.policies import Policy, decider, under
from ticketd.sim.workload import Workload, with_agents
from ticketd.sim.world import Outcome, simulate


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one policy on one workload. `waits`: seconds from being ready to the first start, by priority."""

    policy: Policy
    makespan_s: float
    utilisation: float
    waits: Mapping[Priority, tuple[float, ...]]
    blocked_s: float
    bound: Bound
    landed: int
    left: tuple[str, ...]

    @property
    def ratio(self) -> float:
        return self.makespan_s / self.bound.seconds if self.bound.seconds else 1.0


def compare(loads: Sequence[Workload], policies: Sequence[Policy]) -> dict[Policy, list[Measures]]:
    """Each policy on each workload. The loads differ in their durations only."""
    apart = apart_in(loads[0]) if loads else {}
    return {policy: [measure(load, policy, apart) for load in loads] for policy in policies}


def apart_in(load: Workload) -> dict[Pair, str]:
    """The overlaps of what is still to be done."""
    unfinished = {r.id: r for r in load.records if not r.state.is_final}
    return overlaps(unfinished, load.settings.claims.shared)


def run(load: Workload, policy: Policy) -> tuple[Workload, Outcome]:
    """The workload as it was run: under the policy's settings, no agent profile missing."""
    settings = under(policy, with_agents(load.settings, load.records))
    ready = Workload(load.records, load.plays, load.slots, settings, load.estimates, load.begins_at, load.under_way)
    return ready, simulate(ready, decider(policy))


def measure(load: Workload, policy: Policy, apart: Mapping[Pair, str]) -> Measures:
    ready, outcome = run(load, policy)
    busy = sum(each.end - each.start for each in outcome.runs)
    room = load.slots * outcome.makespan_s
    landed = [r for r in outcome.records.values() if r.state is TicketState.LANDED and r.id in outcome.landed_at]
    return Measures(
        policy=policy,
        makespan_s=outcome.makespan_s,
        utilisation=busy / room if room else 0.0,
        waits=waits_of(load, outcome),
        blocked_s=outcome.blocked_s,
        bound=bound_of(ready, outcome, apart, policy),
        landed=len(landed),
        left=tuple(sorted(t for t in load.plays if t not in outcome.landed_at)),
    )


def waits_of(load: Workload, outcome: Outcome) -> dict[Priority, tuple[float, ...]]:
    """Seconds from being ready (seen, and all that it depends on landed) to the first start."""
    under_way = {each.claim.ticket for each in load.under_way}
    begun: dict[str, float] = {}
    for each in outcome.runs:
        begun.setdefault(each.ticket, each.start)
    waits: dict[Priority, list[float]] = {}
    for record in load.records:
        if record.id not in begun or record.id in under_way:
            continue
        before = [outcome.landed_at.get(d, load.begins_at) for d in record.ticket.depends_on]
        ready_at = max([record.seen_at, load.begins_at, *before])
        waits.setdefault(record.priority, []).append(begun[record.id] - ready_at)
    return {priority: tuple(waits[priority]) for priority in Priority if priority in waits}


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of them does not exceed; 0 where there is none."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0


@dataclass(frozen=True, slots=True)
class Range:
    """Four in five runs are expected between `low` and `high`; half of them below `likely`."""

    low: float
    likely: float
    high: float


def range_of(values: Sequence[float]) -> Range:
    return Range(quantile(values, 0.1), quantile(values, 0.5), quantile(values, 0.9))


def entries(measured: Mapping[Policy, Sequence[Measures]]) -> list[dict[str, object]]:
    """One entry for each policy, as `simulate --json` has them; of several runs the mean, of makespans the range."""
    return [_entry(policy, runs) for policy, runs in measured.items()]


def _entry(policy: Policy, runs: Sequence[Measures]) -> dict[str, object]:
    makespan = range_of([each.makespan_s for each in runs])
    bounds = [each.bound for each in runs]
    return {
        "policy": policy.value,
        "makespan_s": {"low": round(makespan.low), "likely": round(makespan.likely), "high": round(makespan.high)},
        "utilisation": round(fmean(each.utilisation for each in runs), 3),
        "waiting_s": {priority.value: _waiting(runs, priority) for priority in Priority if priority in runs[0].waits},
        "overlap_blocked_s": round(fmean(each.blocked_s for each in runs)),
        "lower_bound_s": round(fmean(bound.seconds for bound in bounds)),
        "bound_is_chain": sum(bound.is_a_chain for bound in bounds) * 2 > len(bounds),
        "ratio": round(fmean(each.ratio for each in runs), 3),
        "landed": min(each.landed for each in runs),
        "left": list(runs[0].left),
    }


def _waiting(runs: Sequence[Measures], priority: Priority) -> dict[str, int]:
    waits = [seconds for each in runs for seconds in each.waits.get(priority, ())]
    return {
        "tickets": len(waits) // len(runs),
        "mean": round(fmean(waits)) if waits else 0,
        "p90": round(quantile(waits, 0.9)),
    }
