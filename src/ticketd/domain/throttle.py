"""How much of its work an agent profile may be given now: caps, rate limits, refusals. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ticketd.domain.settings import AgentProfile
from ticketd.domain.waits import WaitKind, WaitsOn


@dataclass(frozen=True, slots=True)
class Throttle:
    """What has been learned of a profile's capacity.

    `refused`: whole batches refused in a row. `until`: nothing is started before (epoch seconds), and `why`.
    `limit`: how many may run at once, fractional between steps; None: no limit known.
    """

    profile: str
    refused: int = 0
    until: float | None = None
    why: str = ""
    limit: float | None = None


def choose(
    route: Sequence[AgentProfile], throttles: Mapping[str, Throttle], running: Mapping[str, int], now: float
) -> AgentProfile | WaitsOn:
    """The first profile of the route that may start one more, or why none may. `now` in epoch seconds."""
    for profile in route:
        if profile.max_slots is None or running.get(profile.name, 0) < profile.max_slots:
            throttle = throttles.get(profile.name)
            if throttle is None or throttle.until is None or throttle.until <= now:
                return profile
    first = route[0]
    throttle = throttles.get(first.name)
    if throttle is not None and throttle.until is not None and throttle.until > now:
        return WaitsOn(WaitKind.BACKOFF, detail=throttle.why, until=throttle.until)
    return WaitsOn(WaitKind.SLOT, detail=f"profile {first.name} runs {first.max_slots} at a time")
