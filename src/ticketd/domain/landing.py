"""Landing: rebase, verify exactly that tree, fast-forward. The phases a ticket in the lane passes through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ticketd.domain.attempt import AttemptKey


class Phase(StrEnum):
    """`QUEUED`: until there is a lane for it. `WAITING`: the target cannot be asked. `BLOCKED`: git, the disk, a
    checkout or a target that fails by itself is in the way. Both are tried again at `not_before`."""

    QUEUED = "queued"
    VERIFYING = "verifying"
    PUSHING = "pushing"
    WAITING = "waiting"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Landing:
    """One ticket in the lane. `candidate` is the commit that may be pushed onto `onto`; times are epoch seconds.
    `races_lost`: how often others moved the target before its verification was worth anything; `passed_on`: the target
    that it has passed on. `refusals`: how often the remote would not take it."""

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
    passed_on: str | None = None
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Verification:
    """What the commands have said of a tree, last of `runs` times. `detail`: which of them failed, how, and where its
    output is."""

    passed: bool
    detail: str = ""
    runs: int = 1


@dataclass(frozen=True, slots=True)
class Landed:
    """A ticket whose `commit` is on the target. `detail`: what is to be said of it, if anything."""

    key: AttemptKey
    commit: str
    detail: str = ""
