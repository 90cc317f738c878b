"""How much of its work an agent profile may be given now: caps, rate limits, refusals. Pure.

A rate limit is the account's, so it is noted for every profile that bills it; a refused start is the profile's alone.
Neither says anything about the tickets they met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from ticketd.domain.settings import AgentProfile, Settings
from ticketd.domain.verdict import LONGEST_BACKOFF_S, Finish, backoff

LONGEST_NAMED_S = 7 * 86400.0
"""No provider's word suspends a profile for longer than this."""
MOST_FAILING = 3
"""On how many tickets in a row a profile may come to nothing before it is suspended."""
FAILING_FROM = 3
"""Its backoff begins further on than that of others, at 40 s: such faults rarely pass by themselves."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """What has been learned of a profile's capacity.

    `refused`: whole batches refused in a row; `limited`: rate limits in a row. `until`: nothing is started before
    (epoch seconds), and `why`; `named`: the provider said so itself. `since`: when the last rate limit was met.
    `limit`: how many may run at once, fractional between steps; None: no limit known. `failing`: the tickets on which
    it has failed last without having done anything, by id; `failed`: how often in a row it was suspended for that.
    """

    profile: str
    refused: int = 0
    until: float | None = None
    why: str = ""
    limit: float | None = None
    limited: int = 0
    since: float | None = None
    named: bool = False
    failing: str = ""
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Limited:
    """An agent was told "later". `profiles` bill the same account; `until`: when it resets, if the provider said so."""

    profiles: tuple[str, ...]
    until: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Served:
    """An agent has done its work. `caps`: how many each profile of its account may run at most."""

    caps: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Failing:
    """An agent has failed and left nothing. `at_once`: for a reason that is its profile's, and not the ticket's."""

    profile: str
    detail: str
    at_once: bool


Capacity = Limited | Served | Failing
"""What the end of an attempt says of the account that it ran on."""


@dataclass(frozen=True, slots=True)
class NoRoom:
    """Why no profile of a route may start one more now. `until`: when that may change by itself (epoch seconds).
    `full`: at least one of them only has as many running as it may."""

    detail: str
    until: float | None
    full: bool


def learned(
    finish: Finish, profile: AgentProfile, settings: Settings, slots: int, has_fallback: bool = False
) -> Capacity | None:
    """What the end of an attempt says of its account or profile; None where it says nothing. What cannot be run at all
    is suspended only where another can take over (`has_fallback`): else each ticket fails by itself, and at once."""
    if finish.how == "cannot-run":
        return Failing(profile.name, finish.detail, at_once=True) if has_fallback else None
    sharing = {one.name: one for one in (*settings.agents.values(), profile) if one.bills == profile.bills}
    if finish.how != "exited":
        return None
    if finish.outcome == "later":
        return Limited(tuple(sorted(sharing)), finish.until, finish.detail)
    if finish.outcome == "done":
        return Served({name: min(slots, one.max_slots or slots) for name, one in sorted(sharing.items())})
    if finish.unusable or not finish.changed:
        return Failing(profile.name, finish.detail, finish.unusable)
    return None


def suspended_until(throttle: Throttle | None, now: float) -> float | None:
    """When its suspension ends; None if there is none. One that reaches further than any may was left by a clock that
    has been set back, and is over."""
    if throttle is None or throttle.until is None:
        return None
    longest = LONGEST_NAMED_S if throttle.named else LONGEST_BACKOFF_S
    return throttle.until if 0.0 < throttle.until - now <= longest else None


def is_blank(throttle: Throttle, now: float) -> bool:
    """Whether there is nothing left to remember."""
    counts = throttle.refused or throttle.limited or throttle.failing or throttle.limit is not None
    return not counts and suspended_until(throttle, now) is None


def is_harder(throttle: Throttle, than: Throttle, now: float) -> bool:
    """Whether it keeps more from starting, or for longer."""
    later = (suspended_until(throttle, now) or 0.0) > (suspended_until(than, now) or 0.0)
    return later or (throttle.limit or inf) < (than.limit or inf)


def refused(throttle: Throttle, whole_batch: bool, now: float, detail: str) -> Throttle:
    """A start found no capacity. The backoff grows only where a whole batch did: while some come through, asking
    again soon is right. Of the others of a batch nothing new is learned."""
    if not whole_batch and suspended_until(throttle, now) is not None:
        return throttle
    times = throttle.refused + whole_batch
    return _suspended(replace(throttle, refused=times), now, now + backoff(times), False, f"starts refused: {detail}")


def started(throttle: Throttle) -> Throttle:
    return replace(throttle, refused=0)


def limited(
    throttle: Throttle, running: int, dispatched_at: float, now: float, until: float | None, detail: str
) -> Throttle:
    """An agent dispatched at `dispatched_at` was told "later" while `running` of its profile ran, itself counted.

    Suspended until the provider's word (`until`), at least for the backoff; and half as many afterwards. Those that
    were under way when the suspension began learn nothing new: they add no penalty, at most a later end.
    """
    named = min(until, now + LONGEST_NAMED_S) if until is not None and until > now else None
    why = f"rate limited: {detail}"
    under_way = throttle.since is not None and dispatched_at <= throttle.since
    if under_way and suspended_until(throttle, now) is not None:
        return throttle if named is None else _suspended(throttle, now, named, True, why)
    most = max(running, 1) if throttle.limit is None else min(max(running, 1), throttle.limit)
    times = throttle.limited + 1
    less = replace(throttle, limited=times, since=now, limit=max(1.0, most / 2))
    end = now + backoff(times)
    if named is not None and named >= end:
        return _suspended(less, now, named, True, why)
    return _suspended(less, now, end, False, why)


def failed(throttle: Throttle, ticket: str, dispatched_at: float, now: float, detail: str, at_once: bool) -> Throttle:
    """One failure is the ticket's own. When so many tickets in a row have come to nothing it is the profile's: it is
    suspended, and then tried with one ticket at a time. Those that were under way then say nothing new."""
    under_way = throttle.since is not None and dispatched_at <= throttle.since
    if under_way and suspended_until(throttle, now) is not None:
        return throttle
    tickets = [*(each for each in throttle.failing.split() if each != ticket), ticket][-MOST_FAILING:]
    after = replace(throttle, failing=" ".join(tickets))
    if not at_once and len(tickets) < MOST_FAILING:
        return after
    times = throttle.failed + 1
    less = replace(after, failed=times, since=now, limit=1.0)
    why = f"cannot be used: {detail}" if at_once else f"has failed on {MOST_FAILING} tickets in a row: {detail}"
    return _suspended(less, now, now + backoff(FAILING_FROM + times), False, why)


def succeeded(throttle: Throttle, cap: int) -> Throttle:
    """The account has served an agent: about one more at once for each round of them, until `cap` makes the limit
    needless. A suspension stands."""
    limit = None if throttle.limit is None else throttle.limit + 1 / throttle.limit
    well = replace(throttle, refused=0, limited=0, failing="", failed=0)
    return replace(well, limit=None if limit is None or limit >= cap else limit)


def _suspended(throttle: Throttle, now: float, until: float, named: bool, why: str) -> Throttle:
    """Suspended until then; a suspension that reaches further already stands."""
    ends = suspended_until(throttle, now)
    if ends is not None and ends >= until:
        return throttle
    return replace(throttle, until=until, named=named, why=why)


def why_not(profile: AgentProfile, throttle: Throttle | None, running: int, now: float) -> NoRoom | None:
    """Why the profile may not start one more beside `running`; None if it may."""
    ends = suspended_until(throttle, now)
    if throttle is not None and ends is not None:
        return NoRoom(f"{profile.name}: {throttle.why}", ends, full=False)
    if profile.max_slots is not None and running >= profile.max_slots:
        return NoRoom(f"profile {profile.name} runs {profile.max_slots} at a time", None, full=True)
    if throttle is not None and throttle.limit is not None and running >= int(throttle.limit):
        return NoRoom(
            f"profile {profile.name} runs {int(throttle.limit)} at a time after a rate limit", None, full=True
        )
    return None


def choose(
    route: Sequence[AgentProfile], throttles: Mapping[str, Throttle], running: Mapping[str, int], now: float
) -> AgentProfile | NoRoom:
    """The first profile of a route that may start one more, or why none may. `running`: how many each has in a slot."""
    obstacles = []
    for profile in route:
        obstacle = why_not(profile, throttles.get(profile.name), running.get(profile.name, 0), now)
        if obstacle is None:
            return profile
        obstacles.append(obstacle)
    return NoRoom(
        detail="; ".join(obstacle.detail for obstacle in obstacles),
        until=min((obstacle.until for obstacle in obstacles if obstacle.until is not None), default=None),
        full=any(obstacle.full for obstacle in obstacles),
    )
