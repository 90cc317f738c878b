"""An attempt: one run of one ticket by one agent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ticketd.domain.repair import RepairKind
from ticketd.domain.report import NOTHING_REPORTED, Report
from ticketd.domain.ticket import Reason


class AttemptState(StrEnum):
    """preparing (slot and claim held, no process yet) → running → collecting (slot free, work being kept) → ended."""

    PREPARING = "preparing"
    RUNNING = "running"
    COLLECTING = "collecting"
    ENDED = "ended"


class EndedFor(StrEnum):
    """Why ticketd itself has ended an agent for good: it has used up its budget, shows no progress, or does the same
    failing thing again and again."""

    BUDGET = "budget"
    STALL = "stall"
    LOOP = "loop"


class Drift(StrEnum):
    """How far the target matters that has moved meanwhile. `BEHIND`: in nothing that the attempt claims or has written;
    `RELEVANT`: in some of it, yet a rebase would be clean; `CONFLICT`: a rebase would meet one."""

    NONE = "none"
    BEHIND = "behind"
    RELEVANT = "relevant"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, order=True)
class AttemptKey:
    ticket: str
    number: int

    def __str__(self) -> str:
        return f"{self.ticket}/{self.number}"

    @property
    def ref(self) -> str:
        """The ref of the control repository that keeps this attempt's work."""
        return f"refs/ticketd/{self.ticket}/{self.number}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Times are epoch seconds; `outcome` is the agent's, once it has ended. `preempted`: it is being ended for another
    ticket; `restarted`: to begin anew on a target that it conflicts with; `ended_for`: why for good; `resumes`: the
    commit it goes on from, where it takes up what an earlier one has done. `mends`: what kept that from landing;
    `merges`: the commit that is merged into it before the agent begins. `batch`: the same for all attempts that
    were dispatched together. One that a person entered, without an agent, has slot 0. `held_up`: why its processes
    do not go on, or cannot be ended, as last seen. `spent_usd`: what it is seen to have cost so far, while it is
    under way; what it has cost is in `report`."""

    key: AttemptKey
    state: AttemptState
    slot: int
    base: str
    agent: str
    worktree: str | None = None
    pid: int | None = None
    dispatched_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    outcome: str | None = None
    reason: Reason | None = None
    detail: str = ""
    tip: str | None = None
    report: Report = NOTHING_REPORTED
    spent_usd: float | None = None
    ended_for: EndedFor | None = None
    behind: int = 0
    drift: Drift = Drift.NONE
    drift_paths: tuple[str, ...] = ()
    heartbeat_at: float | None = None
    output_at: float | None = None
    output_bytes: int = 0
    held_up: str = ""
    preempted: bool = False
    restarted: bool = False
    resumes: str | None = None
    mends: RepairKind | None = None
    merges: str | None = None
    batch: int = 0

    @property
    def is_ending(self) -> bool:
        """Whether ticketd has asked for its end, for good or to begin it again later."""
        return self.preempted or self.restarted or self.ended_for is not None
