"""What a simulation is given: tickets, and what comes of their attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ticketd.domain.claims import Claim
from ticketd.domain.estimates import Estimates
from ticketd.domain.settings import AgentProfile, Settings
from ticketd.domain.ticket import TicketRecord


class Ends(StrEnum):
    """How an attempt ends that does not land."""

    FAILED = "failed"
    TIMEOUT = "timeout"
    LATER = "later"
    LOST = "lost"
    CONFLICT = "conflict"
    VERIFY_FAILED = "verify-failed"

    @property
    def is_in_the_lane(self) -> bool:
        return self in (Ends.CONFLICT, Ends.VERIFY_FAILED)


@dataclass(frozen=True, slots=True)
class Mishap:
    """An attempt that takes `seconds` and comes to nothing."""

    ends: Ends
    seconds: float


@dataclass(frozen=True, slots=True)
class Play:
    """One ticket's attempts: the mishaps in order, then one of `seconds` that lands after `landing_s` in the lane."""

    seconds: float
    landing_s: float = 0.0
    mishaps: tuple[Mishap, ...] = ()


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What has been dispatched already: `rest_s` more in its slot, or, without a slot, until it may land."""

    claim: Claim
    rest_s: float
    slot: int | None = None
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """`records` as they stand at `begins_at` (epoch seconds); one that is seen later joins then."""

    records: tuple[TicketRecord, ...]
    plays: Mapping[str, Play]
    slots: int
    settings: Settings
    estimates: Estimates = field(default_factory=Estimates)
    begins_at: float = 0.0
    under_way: tuple[UnderWay, ...] = ()


def with_agents(settings: Settings, records: Iterable[TicketRecord]) -> Settings:
    """The settings, with a stand-in for each agent profile that a ticket names, or needs, and that is not there."""
    missing = {r.ticket.agent or "default" for r in records if not settings.route_of(r.ticket)}
    standing_in = {name: AgentProfile(name, "scripted") for name in sorted(missing)}
    return replace(settings, agents={**settings.agents, **standing_in})
