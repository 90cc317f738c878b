"""What a ticket that has not started waits on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NO_DAEMON = "no daemon runs; `ticketd start` starts one"
STOPPING = "the daemon is stopping"


class WaitKind(StrEnum):
    DEPENDENCY = "dependency"
    OVERLAP = "overlap"
    RESERVED = "reserved"
    SLOT = "slot"
    GATE = "gate"
    BACKOFF = "backoff"
    BUDGET = "budget"
    SCOPE_CAP = "scope-cap"
    HELD = "held"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class WaitsOn:
    """One thing a ticket waits on; `until` in epoch seconds."""

    kind: WaitKind
    ticket: str | None = None
    path: str | None = None
    detail: str = ""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    ticket: str
    rank: int
    waits_on: tuple[WaitsOn, ...]


def no_slot(paused: str, stopping: bool, short: str = "") -> WaitsOn:
    """What a ticket waits on that nothing else holds back."""
    if stopping:
        return WaitsOn(WaitKind.PAUSED, detail=STOPPING)
    if paused:
        return WaitsOn(WaitKind.PAUSED, detail=paused)
    if short:
        return WaitsOn(WaitKind.SLOT, detail=short)
    return WaitsOn(WaitKind.SLOT, detail="all slots are taken")
