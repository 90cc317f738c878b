"""What the eyes see: documents with stable keys, the same for the screen and for `--json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any

from ticketd.app.costs import today_document
from ticketd.app.outlook import Outlook, making_way, stalled
from ticketd.app.room import no_room
from ticketd.app.session import Session
from ticketd.app.sight import Sight
from ticketd.domain.attempt import Attempt, AttemptKey
from ticketd.domain.budget import today
from ticketd.domain.days import iso as iso
from ticketd.domain.events import Event
from ticketd.domain.landing import Landing, Phase
from ticketd.domain.problems import Problem
from ticketd.domain.scheduler.schedule import IN_A_SLOT
from ticketd.domain.scheduler.waits import WaitsOn
from ticketd.domain.settings import LandingMode, Settings
from ticketd.domain.throttle import Throttle, suspended_until
from ticketd.domain.ticket import Reason, TicketRecord, TicketState
from ticketd.ports import Board

SCHEMA = 1
Document = dict[str, Any]

MANY_WAIT = 3
BADLY = (TicketState.FAILED, TicketState.SKIPPED)
WITH_WORK = (
    Reason.CONFLICT,
    Reason.VERIFY_FAILED,
    Reason.PUSH_REJECTED,
    Reason.OUTSIDE_CLAIM,
    Reason.REJECTED,
    Reason.BUDGET,
    Reason.TIMEOUT,
)
"""Failures after which the attempt's commits are worth a look."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a document is to have of its long lists: at most so many rows of each, and only those of tickets with these
    words in id, title or scope. `counts` has all."""

    most: int | None = None
    words: str = ""

    def of(self, records: Iterable[TicketRecord]) -> list[TicketRecord]:
        words = self.words.casefold()
        return list(islice((record for record in records if not words or self._has(record, words)), self.most))

    def _has(self, record: TicketRecord, words: str) -> bool:
        return any(words in text.casefold() for text in (record.id, record.ticket.title, record.ticket.scope))


WHOLE = Part()


def status(
    session: Session, settings: Settings, problems: Iterable[Problem], part: Part = WHOLE, sight: Sight | None = None
) -> Document:
    """The contract's `status --json`; beside its keys `at` (when this was read), `repository`, `collecting` (agents
    that have ended, their work being kept), `throttles` (agent profiles that may start nothing until a time, or fewer
    than they otherwise might), `lane_hint` (what would help where tickets wait for each other's verification),
    `stalled` (where nothing runs and nothing can: each ticket with the cause), `ended` (what failed or was skipped, and
    the commands that mend it), `problems` (of ticket files and the configuration), `daemon.alarm` (why nothing lands),
    `daemon.short` (why the disk lets nothing start), `today`
    (what the day has cost, and may), and in each part what a screen shows of it.

    `sight`: of whoever looks again and again."""
    running, now = session.is_running(), session.clock.now()
    look = (sight or Sight(session.store)).look(settings, running, now)
    board, outlook, by_state = look.board, look.outlook, look.by_state
    return {
        "schema": SCHEMA,
        "at": iso(now),
        "repository": str(session.root),
        "daemon": _daemon(session, board, running),
        "target": _target(board, settings),
        "slots": _slots(session, board, settings, outlook),
        "queue": _queue(board, outlook, part),
        "collecting": _collecting(board),
        "landing": [_landing(landing) for landing in board.landings],
        "lane_hint": _lane_hint(board, settings),
        "review": _review(part.of(by_state[TicketState.REVIEW])),
        "throttles": list(_throttles(board, now)),
        "stalled": list(stalled(board, outlook)) if running else [],
        "counts": {str(state): len(by_state[state]) for state in TicketState},
        "cost_usd": round(board.cost_usd, 6),
        "today": today_document(today(board.spent, board.attempts, board.tickets, now), settings),
        "ended": [_ended(session, record) for record in part.of(_ended_badly(by_state))],
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


def _daemon(session: Session, board: Board, running: bool) -> Document:
    record = board.daemon if running else None
    return {
        "running": running,
        "pid": record and record.pid,
        "since": record and iso(record.since),
        "paused": bool(board.pool.paused),
        "paused_why": board.pool.paused,
        "stopping": board.pool.stop if running else None,
        "aborted": board.pool.aborted,
        "alarm": board.pool.alarm,
        "short": no_room(session.places.state) or (board.pool.short if running else ""),
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


def _slots(session: Session, board: Board, settings: Settings, outlook: Outlook) -> list[Document]:
    busy = {attempt.slot: attempt for attempt in board.attempts if attempt.state in IN_A_SLOT}
    count = max([board.pool.slots or settings.slots, *busy])
    return [
        _busy(session, busy[slot], board, settings)
        if slot in busy
        else {"slot": slot, "state": "idle", "why": outlook.idle_why()}
        for slot in range(1, count + 1)
    ]


def _busy(session: Session, attempt: Attempt, board: Board, settings: Settings) -> Document:
    return {
        "slot": attempt.slot,
        "state": "busy",
        "ticket": attempt.key.ticket,
        "title": board.tickets[attempt.key.ticket].ticket.title,
        "attempt": attempt.key.number,
        "agent": attempt.agent,
        "phase": attempt.state,
        "pid": attempt.pid,
        "started_at": iso(attempt.started_at or attempt.dispatched_at),
        "base": attempt.base,
        "behind": attempt.behind,
        "drift": attempt.drift,
        "drift_paths": list(attempt.drift_paths),
        "collides_with": collides_with(board, attempt.key.ticket),
        "worktree": _worktree(session, attempt),
        "heartbeat_at": iso(attempt.heartbeat_at),
        "output_at": iso(attempt.output_at),
        "output_bytes": attempt.output_bytes,
        "cost_usd": attempt.spent_usd,
        "held_up": attempt.held_up,
        "making_way_for": making_way(session.store, attempt),
        "repair": repair_document(board.tickets[attempt.key.ticket], settings),
        "begins_anew": attempt.restarted,
        "ended_for": attempt.ended_for,
    }


def repair_document(record: TicketRecord, settings: Settings) -> Document | None:
    """What its attempt is to mend, the one that runs or the next; of a ticket that has ended there is none."""
    repair = record.repair if record.state in (TicketState.QUEUED, TicketState.RUNNING) else None
    if repair is None:
        return None
    most = max(settings.landing.repairs, record.repairs)
    return {"kind": repair.kind, "number": record.repairs, "of": most, "told": repair.told}


def collides_with(board: Board, id_: str) -> list[Document]:
    """The other ticket and the path, whichever of the two wrote outside its claim."""
    own = (each for each in board.collisions if id_ in (each.ticket, each.other))
    return [{"ticket": each.seen_by(id_), "path": each.path} for each in own]


def _worktree(session: Session, attempt: Attempt) -> str | None:
    return str(session.places.worktree(attempt.worktree)) if attempt.worktree else None


def _collecting(board: Board) -> list[Document]:
    return [
        {"ticket": attempt.key.ticket, "attempt": attempt.key.number}
        for attempt in board.attempts
        if attempt.state not in IN_A_SLOT
    ]


def _queue(board: Board, outlook: Outlook, part: Part) -> list[Document]:
    ranks = {id_: rank for rank, id_ in enumerate(outlook.order, start=1)} if part.words else {}
    rows = part.of(board.tickets[id_] for id_ in outlook.order)
    return [
        {
            "ticket": record.id,
            "rank": ranks.get(record.id, at),
            "priority": record.priority,
            "scope": record.ticket.scope,
            "title": record.ticket.title,
            "waits_on": [waiting(on) for on in outlook.waits[record.id]],
        }
        for at, record in enumerate(rows, start=1)
    ]


def waiting(on: WaitsOn) -> Document:
    said = {"kind": on.kind, "ticket": on.ticket, "path": on.path, "detail": on.detail, "until": iso(on.until)}
    return {key: value for key, value in said.items() if value}


def _lane_hint(board: Board, settings: Settings) -> str:
    """What would help where several wait for one verification."""
    waiting = sum(each.phase is Phase.QUEUED for each in board.lane)
    verifying = any(each.phase is Phase.VERIFYING for each in board.lane)
    limits = settings.landing
    if not verifying or waiting < MANY_WAIT or limits.train > 1 or limits.mode is not LandingMode.PUSH:
        return ""
    return f"{waiting} wait; `[landing] train = 4` verifies several together, `lanes = 2` two side by side"


def _landing(landing: Landing) -> Document:
    return {
        "ticket": landing.key.ticket,
        "attempt": landing.key.number,
        "phase": landing.phase,
        "candidate": landing.candidate,
        "races_lost": landing.races_lost,
        "queued_at": iso(landing.queued_at),
        "trouble": landing.trouble,
        "not_before": iso(landing.not_before),
        "proposal": landing.proposal.url if landing.proposal else None,
        "ahead": landing.ahead,
    }


def _review(records: Iterable[TicketRecord]) -> list[Document]:
    return [
        {
            "ticket": record.id,
            "gate": record.gate_at,
            "title": record.ticket.title,
            "attempt": record.attempts or None,
            "detail": record.detail,
        }
        for record in records
    ]


def _throttles(board: Board, now: float) -> Iterator[Document]:
    for name, throttle in sorted(board.throttles.items()):
        until = suspended_until(throttle, now)
        if until is not None or throttle.limit is not None:
            yield {"profile": name, "until": iso(until), "why": throttle.why, "limit": _whole(throttle)}


def _whole(throttle: Throttle) -> int | None:
    return None if throttle.limit is None else int(throttle.limit)


def _ended_badly(by_state: Mapping[TicketState, list[TicketRecord]]) -> Iterable[TicketRecord]:
    """By age."""
    return merge(*(by_state[state] for state in BADLY), key=lambda record: record.age)


def _ended(session: Session, record: TicketRecord) -> Document:
    return {
        "ticket": record.id,
        "state": record.state,
        "reason": record.reason,
        "detail": record.detail,
        "attempts": record.attempts,
        "mend": list(mends_of(session, record)),
    }


def mends_of(session: Session, record: TicketRecord) -> Iterator[str]:
    """Commands that show more of a failure, then the one that tries again."""
    key = AttemptKey(record.id, record.attempts)
    if record.reason is Reason.VERIFY_FAILED and session.places.log(key, "verify").exists():
        yield f"ticketd logs {record.id} --verify"
    elif record.attempts and record.reason not in (Reason.CONFLICT, Reason.DEPENDENCY_FAILED):
        yield f"ticketd logs {record.id}"
    if record.reason in WITH_WORK and record.attempts:
        yield f"ticketd checkout {record.id}"
    yield f"ticketd retry {record.id}"


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


def event_document(event: Event) -> Document:
    return {
        "number": event.number,
        "at": iso(event.at),
        "kind": event.kind,
        "ticket": event.ticket,
        "attempt": event.attempt,
        **event.data,
    }
