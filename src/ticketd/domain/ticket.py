"""A ticket: one unit of work, and the states it passes through."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ticketd.domain.globs import EVERYTHING, PatternSet
from ticketd.domain.repair import Repair

ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
GLOBAL_SCOPE = "_global"


class Priority(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return _URGENCY[self]


_URGENCY = {priority: number for number, priority in enumerate(Priority)}


class Size(StrEnum):
    S = "S"
    M = "M"
    L = "L"


class Gate(StrEnum):
    NONE = "none"
    START = "start"
    LAND = "land"


class OnFailure(StrEnum):
    BLOCK = "block"
    SKIP = "skip"
    ABORT = "abort"
    ASK = "ask"


class TicketState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    REVIEW = "review"
    LANDING = "landing"
    LANDED = "landed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in FINAL


FINAL = frozenset({TicketState.LANDED, TicketState.FAILED, TicketState.SKIPPED, TicketState.CANCELLED})

TRANSITIONS: dict[TicketState, frozenset[TicketState]] = {
    TicketState.QUEUED: frozenset(
        {TicketState.RUNNING, TicketState.REVIEW, TicketState.SKIPPED, TicketState.CANCELLED}
    ),
    TicketState.RUNNING: frozenset(
        {
            TicketState.QUEUED,
            TicketState.REVIEW,
            TicketState.LANDING,
            TicketState.FAILED,
            TicketState.CANCELLED,
        }
    ),
    TicketState.REVIEW: frozenset({TicketState.QUEUED, TicketState.LANDING, TicketState.FAILED, TicketState.CANCELLED}),
    TicketState.LANDING: frozenset(
        {TicketState.LANDED, TicketState.REVIEW, TicketState.QUEUED, TicketState.FAILED, TicketState.CANCELLED}
    ),
    TicketState.LANDED: frozenset(),
    TicketState.FAILED: frozenset({TicketState.QUEUED, TicketState.LANDING, TicketState.CANCELLED}),
    TicketState.SKIPPED: frozenset({TicketState.QUEUED, TicketState.CANCELLED}),
    TicketState.CANCELLED: frozenset({TicketState.QUEUED, TicketState.LANDING}),
}
"""The legal moves; the store's trigger is made from this table."""


class Reason(StrEnum):
    """Why a ticket has failed (contract, "Ticket states")."""

    AGENT_FAILED = "agent-failed"
    TIMEOUT = "timeout"
    NO_CHANGES = "no-changes"
    OUTSIDE_CLAIM = "outside-claim"
    CONFLICT = "conflict"
    VERIFY_FAILED = "verify-failed"
    PUSH_REJECTED = "push-rejected"
    BUDGET = "budget"
    DEPENDENCY_FAILED = "dependency-failed"
    REJECTED = "rejected"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket file says. `None` means "as the configuration says"; durations are seconds."""

    id: str
    path: str
    title: str
    scope: str = GLOBAL_SCOPE
    priority: Priority = Priority.NORMAL
    size: Size = Size.M
    touches: PatternSet = EVERYTHING
    depends_on: tuple[str, ...] = ()
    gate: Gate | None = None
    agent: str | None = None
    timeout_s: float | None = None
    retries: int | None = None
    verify: tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure.BLOCK
    budget_usd: float | None = None
    labels: tuple[str, ...] = ()
    body: str = ""


@dataclass(frozen=True, slots=True)
class TicketRecord:
    """A ticket and how it stands. `age` counts up in the order tickets were first seen, at `seen_at`; times are epoch
    seconds. `resume`: the attempt whose commits the next one goes on from. `gate_at`: where it waits while in review;
    `shown`: the commit that a person last saw there; `approved`: the one that they let land. `repair`: what its next
    attempt is to mend, or the one under way; `repairs`: how many it has been given. `spent_usd`: what
    its attempts have cost that have ended, as far as is known."""

    ticket: Ticket
    age: int
    state: TicketState = TicketState.QUEUED
    reason: Reason | None = None
    detail: str = ""
    held: bool = False
    bumped: Priority | None = None
    not_before: float | None = None
    failures: int = 0
    deferrals: int = 0
    attempts: int = 0
    cancel_requested: bool = False
    start_approved: bool = False
    landed_sha: str | None = None
    seen_at: float = 0.0
    preemptions: int = 0
    resume: int | None = None
    gate_at: Gate | None = None
    shown: str | None = None
    approved: str | None = None
    repair: Repair | None = None
    repairs: int = 0
    spent_usd: float = 0.0

    @property
    def id(self) -> str:
        return self.ticket.id

    @property
    def priority(self) -> Priority:
        return self.bumped or self.ticket.priority
