"""What the scheduler is asked and what it answers. The rules are in `rules`, their quick form in `queue`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.budget import DaySpent
from ticketd.domain.claims import Claim
from ticketd.domain.estimates import Estimates
from ticketd.domain.scheduler.waits import Waiting
from ticketd.domain.settings import Settings
from ticketd.domain.throttle import Throttle
from ticketd.domain.ticket import TicketRecord

IN_A_SLOT = (AttemptState.PREPARING, AttemptState.RUNNING)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a decision may depend on, read in one transaction: the live `attempts`, the `throttles` by profile,
    what has been `spent` on the newest day that cost anything."""

    tickets: Mapping[str, TicketRecord]
    claims: tuple[Claim, ...]
    attempts: tuple[Attempt, ...]
    slots: int
    settings: Settings
    estimates: Estimates = field(default_factory=Estimates)
    throttles: Mapping[str, Throttle] = field(default_factory=dict)
    paused: str = ""
    stopping: bool = False
    short: str = ""
    spent: DaySpent = field(default_factory=DaySpent)

    @property
    def busy(self) -> Mapping[int, Attempt]:
        """The slots taken, and by whom."""
        return {attempt.slot: attempt for attempt in self.attempts if attempt.state in IN_A_SLOT}

    @property
    def free(self) -> list[int]:
        """The slots that something may be started in now."""
        if self.paused or self.stopping or self.short:
            return []
        busy = self.busy
        return [slot for slot in range(1, self.slots + 1) if slot not in busy][: max(0, self.slots - len(busy))]


@dataclass(frozen=True, slots=True)
class Start:
    """`agent`: the profile that runs it."""

    ticket: str
    slot: int
    agent: str


@dataclass(frozen=True, slots=True)
class AskToStart:
    """The ticket's gate wants a person's word before it runs."""

    ticket: str


@dataclass(frozen=True, slots=True)
class Skip:
    """`because` has failed, been skipped or cancelled, and its `on_failure` lets dependents go with it."""

    ticket: str
    because: str


@dataclass(frozen=True, slots=True)
class PreemptAttempt:
    """End this attempt, whose work is kept, so that `for_ticket` can run."""

    attempt: AttemptKey
    for_ticket: str


Decision = Skip | AskToStart | Start | PreemptAttempt


@dataclass(frozen=True, slots=True)
class Schedule:
    """`order`: the whole queue by rank. `next_at`: when waiting alone will change something (epoch seconds)."""

    order: tuple[str, ...]
    decisions: tuple[Decision, ...]
    waiting: tuple[Waiting, ...]
    next_at: float | None
