"""What the eyes see: documents with stable keys, the same for the screen and for `--json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ticketd.app.observe import IN_A_SLOT, snapshot_of
from ticketd.app.session import Session
from ticketd.domain.attempt import Attempt
from ticketd.domain.events import Event
from ticketd.domain.problems import Problem
from ticketd.domain.schedule import Schedule, WaitsOn, decide
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import Gate, TicketRecord, TicketState
from ticketd.ports import Board

SCHEMA = 1
Document = dict[str, Any]


def iso(at: float | None) -> str | None:
    """Epoch seconds as UTC ISO 8601 with `Z`."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def status(session: Session, settings: Settings, problems: Iterable[Problem]) -> Document:
    board = session.store.board()
    running = session.is_running()
    schedule = decide(snapshot_of(board, settings), session.clock.now())
    return {
        "schema": SCHEMA,
        "daemon": _daemon(board, running),
        "target": _target(board, settings),
        "slots": _slots(session, board, settings, schedule, running),
        "queue": _queue(board, schedule),
        "landing": [
            {
                "ticket": each.key.ticket,
                "attempt": each.key.number,
                "phase": each.phase,
                "candidate": each.candidate,
                "trouble": each.trouble,
                "not_before": iso(each.not_before),
            }
            for each in board.landings
        ],
        "review": [
            {"ticket": r.id, "gate": _gate(r), "title": r.ticket.title}
            for r in board.tickets.values()
            if r.state is TicketState.REVIEW
        ],
        "counts": _counts(board),
        "cost_usd": round(board.cost_usd, 6),
        "ended": [
            {"ticket": r.id, "state": r.state, "reason": r.reason, "detail": r.detail}
            for r in board.tickets.values()
            if r.state in (TicketState.FAILED, TicketState.SKIPPED)
        ],
        "problems": [problem_document(problem) for problem in problems],
    }


def problem_document(problem: Problem) -> Document:
    return {
        "file": problem.file,
        "line": problem.line,
        "severity": problem.severity,
        "what": problem.what,
        "mend": problem.mend,
    }


def _daemon(board: Board, running: bool) -> Document:
    record = board.daemon if running else None
    return {
        "running": running,
        "pid": record and record.pid,
        "since": record and iso(record.since),
        "paused": bool(board.pool.paused),
        "paused_why": board.pool.paused,
        "stopping": board.pool.stop if running else None,
        "engine": record.engine if record else "local",
    }


def _target(board: Board, settings: Settings) -> Document:
    target = board.target
    return {
        "remote": target.remote if target else settings.target.remote,
        "branch": target.branch if target else settings.target.branch,
        "sha": target and target.sha,
        "seen_at": iso(target.seen_at) if target else None,
        "trouble": target.trouble if target else "",
    }


def _slots(
    session: Session, board: Board, settings: Settings, schedule: Schedule, running: bool
) -> list[Document]:
    busy = {attempt.slot: attempt for attempt in board.attempts if attempt.state in IN_A_SLOT}
    count = max([board.pool.slots or settings.slots, *busy])
    why = schedule.idle_why if running else "no daemon runs; `ticketd start` starts one"
    if running and board.target is not None and board.target.sha is None:
        why = f"the target is not known yet: {board.target.trouble}"
    return [
        _busy(session, slot, busy[slot]) if slot in busy else {"slot": slot, "state": "idle", "why": why}
        for slot in range(1, count + 1)
    ]


def _busy(session: Session, slot: int, attempt: Attempt) -> Document:
    return {
        "slot": slot,
        "state": "busy",
        "ticket": attempt.key.ticket,
        "attempt": attempt.key.number,
        "agent": attempt.agent,
        "phase": attempt.state,
        "pid": attempt.pid,
        "started_at": iso(attempt.started_at or attempt.dispatched_at),
        "base": attempt.base,
        "behind": attempt.behind,
        "drift": attempt.drift,
        "drift_paths": list(attempt.drift_paths),
        "worktree": _worktree(session, attempt),
        "heartbeat_at": iso(attempt.heartbeat_at),
        "output_at": iso(attempt.output_at),
        "output_bytes": attempt.output_bytes,
    }


def _worktree(session: Session, attempt: Attempt) -> str | None:
    return str(session.places.worktree(attempt.worktree)) if attempt.worktree else None


def _queue(board: Board, schedule: Schedule) -> list[Document]:
    waits = {waiting.ticket: waiting.waits_on for waiting in schedule.waiting}
    return [
        {
            "ticket": id_,
            "rank": rank,
            "priority": board.tickets[id_].priority,
            "scope": board.tickets[id_].ticket.scope,
            "title": board.tickets[id_].ticket.title,
            "waits_on": [_waits_on(on) for on in waits.get(id_, ())],
        }
        for rank, id_ in enumerate(schedule.order, start=1)
    ]


def _waits_on(on: WaitsOn) -> Document:
    said = {"kind": on.kind, "ticket": on.ticket, "path": on.path, "detail": on.detail, "until": iso(on.until)}
    return {key: value for key, value in said.items() if value}


def _gate(record: TicketRecord) -> Gate:
    return Gate.LAND if record.attempts and not record.detail.endswith("it runs") else Gate.START


def _counts(board: Board) -> dict[str, int]:
    counted = Counter(record.state for record in board.tickets.values())
    return {str(state): counted[state] for state in TicketState}


def tickets(session: Session) -> Document:
    return {"schema": SCHEMA, "tickets": [ticket_line(record) for record in session.store.board().tickets.values()]}


def ticket_line(record: TicketRecord) -> Document:
    return {
        "id": record.id,
        "title": record.ticket.title,
        "scope": record.ticket.scope,
        "priority": record.priority,
        "state": record.state,
        "reason": record.reason,
        "detail": record.detail,
        "attempts": record.attempts,
        "landed_sha": record.landed_sha,
        "held": record.held,
    }


def ticket(session: Session, settings: Settings, record: TicketRecord) -> Document:
    said = record.ticket
    schedule = decide(snapshot_of(session.store.board(), settings), session.clock.now())
    waits = next((waiting.waits_on for waiting in schedule.waiting if waiting.ticket == record.id), ())
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
        "retries": settings.retries_of(said),
        "failures": record.failures,
        "verify": list(said.verify),
        "on_failure": said.on_failure,
        "budget_usd": said.budget_usd,
        "labels": list(said.labels),
        "body": said.body,
        "waits_on": [_waits_on(on) for on in waits],
        "attempt_list": [_attempt(session, attempt) for attempt in session.store.attempts(record.id)],
        "events": [event_document(event) for event in session.store.events(ticket=record.id)],
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
        "reason": attempt.reason,
        "detail": attempt.detail,
        "cost_usd": attempt.cost_usd,
        "log": str(session.places.log(attempt.key)),
    }


def event_document(event: Event) -> Document:
    return {
        "number": event.number,
        "at": iso(event.at),
        "kind": event.kind,
        "ticket": event.ticket,
        "attempt": event.attempt,
        **event.data,
    }
