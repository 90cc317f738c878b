"""What a person has asked of the pool, who runs it, and what it lands on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PAUSED_BY_A_PERSON = "paused by a person; `ticketd resume` goes on"


class Stop(StrEnum):
    """`DRAIN`: running agents finish and land. `NOW`: agents are ended, their work kept, their tickets requeued."""

    DRAIN = "drain"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class Pool:
    """`slots` overrides the configuration; `paused` says why, empty while it runs; `alarm` says why nothing lands until
    a person has looked; `short` why nothing is started until there is room on the disk again."""

    slots: int | None = None
    paused: str = ""
    stop: Stop | None = None
    aborted: str = ""
    alarm: str = ""
    short: str = ""


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    """`slots`: what `start --slots` asked for, for this run only."""

    pid: int
    since: float
    engine: str
    slots: int | None = None


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """`sha` as last seen at `seen_at` (epoch seconds); `trouble` if the remote last gave no answer."""

    remote: str
    branch: str
    sha: str | None = None
    seen_at: float | None = None
    trouble: str = ""
