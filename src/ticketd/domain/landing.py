"""Landing: rebase, verify exactly that tree, fast-forward. The phases a ticket in the lane passes through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ticketd.domain.attempt import AttemptKey


class Phase(StrEnum):
    """`WAITING`: the target cannot be asked. `BLOCKED`: git, the disk or a checkout is in the way. Both are tried again
    at `not_before`."""

    QUEUED = "queued"
    REBASING = "rebasing"
    VERIFYING = "verifying"
    PUSHING = "pushing"
    WAITING = "waiting"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Landing:
    """One ticket in the lane. `candidate` is the commit that may be pushed onto `onto`; times are epoch seconds."""

    key: AttemptKey
    base: str
    tip: str
    queued_at: float
    phase: Phase = Phase.QUEUED
    onto: str | None = None
    candidate: str | None = None
    races_lost: int = 0
    trouble: str = ""
    trouble_since: float | None = None
    not_before: float | None = None
