"""How long a ticket is expected to take, learned from those that have landed. Pure: the same samples, the same answer.

All is reckoned with logarithms of seconds: what takes long varies by factors, not by minutes. A group of samples (size;
size and scope; size and agent; all three) has a median and a spread, and moves what the wider group before it says
towards that by n / (n + 5), n being its samples. So few say little, and none leave what the size alone says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, inf, log
from statistics import median

from ticketd.domain.ticket import Size, Ticket

BY_SIZE: dict[Size, float] = {Size.S: 300.0, Size.M: 720.0, Size.L: 1800.0}
LANDING_S = 60.0
FACTOR = 1.6
"""Before anything is known, four in five are expected within this factor of what their size says."""

NEWEST = 100
"""Of each group; what was true before those is history: agents and projects change."""

ENOUGH = 5
"""Samples that weigh as much as what was believed before them, and the least that make a narrower group."""

STEP = log(1.1)
FOUR_IN_FIVE = 1.2816
"""Standard deviations to either side of the median of a normal distribution."""

MAD_TO_DEVIATION = 1.4826
LEAST_SPREAD = 0.1

Group = tuple[Size, str | None, str | None]
"""Size, scope, agent; None: any."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An attempt that has landed. `seconds`: from dispatch to the end of its agent; `landing_s`: in the lane."""

    size: Size
    scope: str
    agent: str
    seconds: float
    landing_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds that an attempt takes its slot, from dispatch to the end of its agent; four in five are expected between
    `low` and `high`. `learned_from`: how many attempts at tickets of its size have told."""

    low: float
    likely: float
    high: float
    learned_from: int = field(default=0, compare=False)


def _by_size_alone() -> dict[Group, Estimate]:
    return {(size, None, None): Estimate(s / FACTOR, s, s * FACTOR) for size, s in BY_SIZE.items()}


@dataclass(frozen=True, slots=True)
class Fit:
    """A median and a spread, in logarithms of seconds; `samples` that have told."""

    middle: float
    spread: float
    samples: int


NOTHING_KNOWN = Fit(0.0, 0.0, 0)


@dataclass(frozen=True, slots=True)
class Estimates:
    """What is expected of tickets, by what is known of them. A claim is held longer than a slot is taken: by
    `landing_s` seconds, in the lane. The wait for a person's approval is in neither."""

    by_group: Mapping[Group, Estimate] = field(default_factory=_by_size_alone)
    landing_s: float = LANDING_S

    def of(self, ticket: Ticket, agent: str | None = None) -> Estimate:
        """`agent`: the profile that runs it, if that is known already."""
        size, scope, known = ticket.size, ticket.scope, self.by_group
        return (
            known.get((size, scope, agent))
            or known.get((size, None, agent))
            or known.get((size, scope, None))
            or known[size, None, None]
        )


def learn(samples: Iterable[Sample]) -> Estimates:
    """What `samples`, the newest first, say. Those that took no time at all say nothing."""
    seconds: dict[Group, list[float]] = {(size, None, None): [] for size in Size}
    landings: list[float] = []
    for sample in samples:
        if 0 < sample.landing_s < inf:
            landings.append(log(sample.landing_s))
        if 0 < sample.seconds < inf:
            for group in _groups(sample.size, sample.scope, sample.agent):
                seconds.setdefault(group, []).append(log(sample.seconds))
    fits = {group: _fit(of_group) for group, of_group in seconds.items()}
    # All pairs, so that one look into the table answers: a scope that this agent has not worked for yet is known too.
    by_group = {
        (size, scope, agent): _estimate(fits, size, scope, agent)
        for size in Size
        for scope in dict.fromkeys(scope for of_size, scope, _ in fits if of_size is size)
        for agent in dict.fromkeys(agent for of_size, _, agent in fits if of_size is size)
    }
    landing = _moved(Fit(log(LANDING_S), 0.0, 0), _fit(landings))
    return Estimates(by_group, LANDING_S * exp(_steady(landing.middle - log(LANDING_S))))


def _groups(size: Size, scope: str | None, agent: str | None) -> tuple[Group, Group, Group, Group]:
    """The wider before the narrower."""
    return (size, None, None), (size, scope, None), (size, None, agent), (size, scope, agent)


def _fit(logs: Sequence[float]) -> Fit:
    """Both median and spread stand up to samples that are far off, up to half of them."""
    if not logs:
        return NOTHING_KNOWN
    newest = logs[:NEWEST]
    middle = median(newest)
    deviation = MAD_TO_DEVIATION * median(abs(each - middle) for each in newest)
    return Fit(middle, max(LEAST_SPREAD, deviation), len(logs))


def _estimate(fits: Mapping[Group, Fit], size: Size, scope: str | None, agent: str | None) -> Estimate:
    of_size, of_scope, of_agent, of_both = (fits.get(group, NOTHING_KNOWN) for group in _groups(size, scope, agent))
    anchor = log(BY_SIZE[size])
    believed = _moved(Fit(anchor, log(FACTOR) / FOUR_IN_FIVE, 0), of_size)
    # A group that has as many samples as a wider one has the same: they must not be counted twice.
    if ENOUGH <= of_scope.samples < of_size.samples:
        believed = _moved(believed, of_scope)
    if ENOUGH <= of_agent.samples < of_size.samples:
        believed = _moved(believed, of_agent)
    if ENOUGH <= of_both.samples < of_agent.samples < of_size.samples:
        believed = _moved(believed, of_both)
    likely = BY_SIZE[size] * exp(_steady(believed.middle - anchor))
    factor = exp(max(STEP, _steady(FOUR_IN_FIVE * believed.spread))) if of_size.samples else FACTOR
    return Estimate(likely / factor, likely, likely * factor, min(of_size.samples, NEWEST))


def _moved(believed: Fit, towards: Fit) -> Fit:
    weight = min(towards.samples, NEWEST) / (min(towards.samples, NEWEST) + ENOUGH)
    return Fit(
        believed.middle + weight * (towards.middle - believed.middle),
        believed.spread + weight * (towards.spread - believed.spread),
        towards.samples,
    )


def _steady(logarithm: float) -> float:
    """In steps of 10 %. The rank of what is queued depends on estimates: if each ticket that lands moved them all by a
    little, the queue would be reordered all the time, for nothing that anybody can tell apart."""
    return round(logarithm / STEP) * STEP
