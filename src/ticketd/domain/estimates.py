"""How long a ticket is expected to take, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from ticketd.domain.ticket import Size, Ticket

BY_SIZE: dict[Size, float] = {Size.S: 300.0, Size.M: 720.0, Size.L: 1800.0}


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds from dispatch to landing; four in five are expected between `low` and `high`."""

    low: float
    likely: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimates:
    """What is expected of tickets, by what is known of them."""

    def of(self, ticket: Ticket, agent: str | None = None) -> Estimate:
        """`agent`: the profile that runs it, if that is known already."""
        likely = BY_SIZE[ticket.size]
        return Estimate(likely * 0.6, likely, likely * 1.6)
