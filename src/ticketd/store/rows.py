"""Rows to values and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState, Drift
from ticketd.domain.claims import Claim
from ticketd.domain.declared import declared, ticket_declared
from ticketd.domain.events import Event, EventKind
from ticketd.domain.globs import PatternSet
from ticketd.domain.landing import Landing, Phase
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.throttle import Throttle
from ticketd.domain.ticket import (
    Priority,
    Reason,
    Ticket,
    TicketRecord,
    TicketState,
)
from ticketd.domain.ticketfile import Lines, Parsed

Row = Mapping[str, Any]


def spec_of(ticket: Ticket) -> str:
    """What a ticket declares, as JSON; its id, path and body have columns of their own."""
    return json.dumps(declared(ticket))


# The same tickets are read at every tick; only a changed file makes a new text.
@lru_cache(maxsize=1 << 17)
def ticket_of(id_: str, path: str, spec: str, body: str) -> Ticket:
    return ticket_declared(id_, path, json.loads(spec), body)


def record_of(row: Row) -> TicketRecord:
    return TicketRecord(
        ticket=ticket_of(row["id"], row["path"], row["spec"], row["body"]),
        age=row["age"],
        state=TicketState(row["state"]),
        reason=row["reason"] and Reason(row["reason"]),
        detail=row["detail"],
        held=bool(row["held"]),
        bumped=row["bumped"] and Priority(row["bumped"]),
        not_before=row["not_before"],
        failures=row["failures"],
        deferrals=row["deferrals"],
        attempts=row["attempts"],
        cancel_requested=bool(row["cancel_requested"]),
        start_approved=bool(row["start_approved"]),
        landed_sha=row["landed_sha"],
        seen_at=row["seen_at"],
        preemptions=row["preemptions"],
        resume=row["resume"],
    )


def attempt_of(row: Row) -> Attempt:
    return Attempt(
        key=AttemptKey(row["ticket"], row["number"]),
        state=AttemptState(row["state"]),
        slot=row["slot"],
        base=row["base"],
        agent=row["agent"],
        worktree=row["worktree"],
        pid=row["pid"],
        dispatched_at=row["dispatched_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        exit_code=row["exit_code"],
        outcome=row["outcome"],
        reason=row["reason"] and Reason(row["reason"]),
        detail=row["detail"],
        tip=row["tip"],
        cost_usd=row["cost_usd"],
        behind=row["behind"],
        drift=Drift(row["drift"]),
        drift_paths=tuple(json.loads(row["drift_paths"])),
        heartbeat_at=row["heartbeat_at"],
        output_at=row["output_at"],
        output_bytes=row["output_bytes"],
        batch=row["batch"],
    )


def throttle_of(row: Row) -> Throttle:
    return Throttle(
        profile=row["profile"],
        refused=row["refused"],
        until=row["until"],
        why=row["why"],
        limit=row["limit"],
        limited=row["limited"],
        since=row["since"],
        named=bool(row["named"]),
    )


def claim_of(row: Row) -> Claim:
    return Claim(row["ticket"], row["attempt"], PatternSet(tuple(json.loads(row["patterns"]))))


def parsed_of(row: Row) -> Parsed:
    """A file as it was read. Its ticket is the one in the queue, unless another file has the same id."""
    lines = json.loads(row["lines"])
    return Parsed(
        path=row["path"],
        id=row["names"],
        ticket=ticket_of(row["id"], row["path"], row["spec"], row["body"]) if row["sound"] and row["id"] else None,
        problems=tuple(
            Problem(p["file"], p["line"], p["what"], p["mend"], Severity(p["severity"]))
            for p in json.loads(row["problems"])
        ),
        lines=Lines(lines["keys"], {(key, item): line for key, item, line in lines["items"]}),
    )


def lines_text(lines: Lines) -> str:
    items = [[key, item, line] for (key, item), line in lines.items.items()]
    return json.dumps({"keys": dict(lines.keys), "items": items})


def patterns_text(patterns: PatternSet) -> str:
    return json.dumps(patterns.patterns)


def landing_of(row: Row) -> Landing:
    return Landing(
        key=AttemptKey(row["ticket"], row["attempt"]),
        base=row["base"],
        tip=row["tip"],
        queued_at=row["queued_at"],
        phase=Phase(row["phase"]),
        onto=row["onto"],
        candidate=row["candidate"],
        races_lost=row["races_lost"],
        trouble=row["trouble"],
        trouble_since=row["trouble_since"],
        not_before=row["not_before"],
    )


def event_of(row: Row) -> Event:
    return Event(
        row["number"], row["at"], EventKind(row["kind"]), row["ticket"], row["attempt"], json.loads(row["data"])
    )


def dump(values: Sequence[object] | Mapping[str, object]) -> str:
    return json.dumps(values)
