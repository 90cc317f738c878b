"""What a ticket declares as plain values, for rows and events. Its id, path and body are kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ticketd.domain.globs import PatternSet
from ticketd.domain.ticket import Gate, OnFailure, Priority, Size, Ticket


def declared(ticket: Ticket) -> dict[str, object]:
    return {**spec(ticket), **terms(ticket)}


def spec(ticket: Ticket) -> dict[str, object]:
    """What is mostly its own."""
    return {
        "title": ticket.title,
        "scope": ticket.scope,
        "priority": ticket.priority,
        "size": ticket.size,
        "touches": ticket.touches.patterns,
        "depends_on": ticket.depends_on,
    }


def terms(ticket: Ticket) -> dict[str, object]:
    """What many tickets have alike."""
    return {
        "gate": ticket.gate,
        "agent": ticket.agent,
        "timeout_s": ticket.timeout_s,
        "retries": ticket.retries,
        "verify": ticket.verify,
        "on_failure": ticket.on_failure,
        "budget_usd": ticket.budget_usd,
        "labels": ticket.labels,
    }


def ticket_declared(id_: str, path: str, said: Mapping[str, Any], body: str = "") -> Ticket:
    return Ticket(
        id=id_,
        path=path,
        title=said["title"],
        scope=said["scope"],
        priority=Priority(said["priority"]),
        size=Size(said["size"]),
        touches=PatternSet(tuple(said["touches"])),
        depends_on=tuple(said["depends_on"]),
        gate=said["gate"] and Gate(said["gate"]),
        agent=said["agent"],
        timeout_s=said["timeout_s"],
        retries=said["retries"],
        verify=tuple(said["verify"]),
        on_failure=OnFailure(said["on_failure"]),
        budget_usd=said["budget_usd"],
        labels=tuple(said["labels"]),
        body=body,
    )
