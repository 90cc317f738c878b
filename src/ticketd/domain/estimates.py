"""How long a ticket is expected to take, in seconds, before anything is known of it."""

from __future__ import annotations

from ticketd.domain.ticket import Size, Ticket

BY_SIZE: dict[Size, float] = {Size.S: 300.0, Size.M: 720.0, Size.L: 1800.0}


def estimate(ticket: Ticket) -> float:
    return BY_SIZE[ticket.size]
