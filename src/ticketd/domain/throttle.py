"""How much of its work an agent profile may be given now: caps, rate limits, refusals. Pure."""

from __future__ import annotations

from dataclasses import dataclass


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
