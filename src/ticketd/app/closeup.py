"""One ticket, whole: the document of `ticketd show`."""

from __future__ import annotations

from ticketd.app.costs import cost_of, tokens_of
from ticketd.app.outlook import outlook_of
from ticketd.app.queries import (
    BADLY,
    SCHEMA,
    Document,
    collides_with,
    event_document,
    mends_of,
    repair_document,
    ticket_line,
    waiting,
)
from ticketd.app.session import Session
from ticketd.domain.attempt import Attempt
from ticketd.domain.days import iso
from ticketd.domain.prices import DIGITS
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord
from ticketd.ports import Board


def ticket(session: Session, settings: Settings, record: TicketRecord) -> Document:
    """Everything about one ticket: its line of `list --json`, what its file says, its attempts and its events."""
    said, attempts = record.ticket, session.store.attempts(record.id)
    board = session.store.board()
    outlook = outlook_of(board, settings, session.is_running(), session.clock.now())
    return {
        "schema": SCHEMA,
        **ticket_line(record),
        "path": said.path,
        "size": said.size,
        "touches": list(said.touches.patterns),
        "depends_on": list(said.depends_on),
        "gate": said.gate,
        "agent": said.agent,
        "timeout_s": settings.timeout_of(said),
        "estimate_s": _estimate(board, settings, record),
        "retries": settings.retries_of(said),
        "failures": record.failures,
        "repairs": record.repairs,
        "repair": repair_document(record, settings),
        "verify": list(said.verify),
        "on_failure": said.on_failure,
        "budget_usd": settings.budget_of(said),
        "cost_usd": round(sum(cost_of(each) or 0.0 for each in attempts), DIGITS),
        "labels": list(said.labels),
        "body": said.body,
        "mend": list(mends_of(session, record)) if record.state in BADLY else [],
        "waits_on": [waiting(on) for on in outlook.waits.get(record.id, ())],
        "collides_with": collides_with(board, record.id),
        "attempt_list": [_attempt(session, attempt) for attempt in attempts],
        "events": [event_document(event) for event in session.store.events(ticket=record.id)],
    }


def _estimate(board: Board, settings: Settings, record: TicketRecord) -> Document:
    """Of one attempt, by the agent that runs it, or would: seconds from dispatch to the agent's end."""
    running = next((attempt.agent for attempt in board.attempts if attempt.key.ticket == record.id), None)
    route = settings.route_of(record.ticket)
    expected = board.estimates.of(record.ticket, running or (route[0].name if route else None))
    return {
        "low": round(expected.low),
        "likely": round(expected.likely),
        "high": round(expected.high),
        "from": expected.learned_from,
    }


def _attempt(session: Session, attempt: Attempt) -> Document:
    return {
        "attempt": attempt.key.number,
        "state": attempt.state,
        "slot": attempt.slot,
        "agent": attempt.agent,
        "base": attempt.base,
        "tip": attempt.tip,
        "ref": attempt.key.ref if attempt.tip else None,
        "started_at": iso(attempt.started_at),
        "ended_at": iso(attempt.ended_at),
        "exit_code": attempt.exit_code,
        "outcome": attempt.outcome,
        "mends": attempt.mends,
        "reason": attempt.reason,
        "detail": attempt.detail,
        "ended_for": attempt.ended_for,
        "held_up": attempt.held_up,
        "cost_usd": cost_of(attempt),
        "tokens": tokens_of(attempt),
        "models": [each.model for each in attempt.report.usage],
        "session": attempt.report.session,
        "turns": attempt.report.turns,
        "log": str(session.places.log(attempt.key)),
    }
