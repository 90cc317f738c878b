"""Why a ticket has not started or landed, all the way down, and what would have to happen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ticketd.app.observe import snapshot_of
from ticketd.app.outlook import causes_of, making_way, outlook_of
from ticketd.app.queries import SCHEMA, iso, problem_document, repair_document
from ticketd.app.session import Session
from ticketd.domain.attempt import Attempt
from ticketd.domain.landing import Landing
from ticketd.domain.problems import Severity
from ticketd.domain.scheduler.backfill import FOREVER, remaining
from ticketd.domain.scheduler.causes import Because
from ticketd.domain.scheduler.roots import Root
from ticketd.domain.scheduler.schedule import IN_A_SLOT
from ticketd.domain.scheduler.waits import NO_DAEMON, WaitKind, WaitsOn
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord, TicketState
from ticketd.ports import Board

Document = dict[str, Any]


def explain(session: Session, settings: Settings, record: TicketRecord) -> Document:
    """`because`: what it waits on, as one reads a tree (`depth`), each before what lies under it; where there is a
    `root` it ends. `roots`: where the waiting ends, those that need a person (`mend`) first; of the others `hint` says
    what a person may do all the same, `left_s` after how many seconds it is expected to pass, and `until` when it does.
    `room`: the attempts of which one has to end. `starts`: whether nothing is in its way. `attempt`, `landing`: its
    own; `resumes`: the attempt that the next one goes on from; `repair`: what its attempt is to mend. `problems`:
    errors of its file as it is now."""
    board, running, now = session.store.board(), session.is_running(), session.clock.now()
    outlook = outlook_of(board, settings, running, now)
    causes = causes_of(board, outlook, running)
    seen = _Seen(session, settings, board, now, remaining(snapshot_of(board, settings), now))
    queued = record.state is TicketState.QUEUED
    roots = causes.roots(record.id) or (() if queued else (causes.root_of(record),))
    waits = outlook.waits.get(record.id, ())
    return {
        "schema": SCHEMA,
        "at": iso(now),
        "ticket": record.id,
        "title": record.ticket.title,
        "state": record.state,
        "reason": record.reason,
        "detail": record.detail,
        "landed_sha": record.landed_sha,
        "rank": outlook.order.index(record.id) + 1 if queued else None,
        "queued": len(outlook.order),
        "resumes": record.resume,
        "repair": repair_document(record, settings),
        "starts": queued and not waits,
        "attempt": seen.attempt(record.id),
        "landing": seen.landing(record.id),
        "because": [_because(each) for each in causes.of(record.id)],
        "roots": [seen.root(root) for root in roots],
        "room": list(seen.room(record, waits)),
        "problems": _problems(session, record),
    }


def _because(because: Because) -> Document:
    on = because.on
    said = {"path": on.path, "detail": on.detail, "until": iso(on.until), "root": because.root and because.root.what}
    document = {"depth": because.depth, "ticket": because.ticket, "kind": on.kind, "on": on.ticket}
    return document | {key: value for key, value in said.items() if value}


def _problems(session: Session, record: TicketRecord) -> list[Document]:
    found = session.store.file_problems()
    own = (each for each in found if each.file == record.ticket.path and each.severity is Severity.ERROR)
    return [problem_document(problem) for problem in own]


@dataclass(slots=True)
class _Seen:
    """What an explanation says of tickets that run or land. `left`: seconds until each claim is expected to be
    released."""

    session: Session
    settings: Settings
    board: Board
    now: float
    left: Mapping[str, int]

    def root(self, root: Root) -> Document:
        id_ = root.ticket or ""
        record, left = self.board.tickets.get(id_), self.left.get(id_)
        failed = record is not None and record.state is TicketState.FAILED
        said = {
            "detail": record.detail if record and failed else "",
            "until": iso(root.until),
            "attempt": self.attempt(id_),
            "landing": self.landing(id_),
            "left_s": left if left is not None and left < FOREVER and root.passes else None,
        }
        document = {"ticket": root.ticket, "what": root.what, "mend": root.mend, "hint": root.hint}
        return (
            document | {"passes": root.passes} | {key: value for key, value in said.items() if value not in (None, "")}
        )

    def _left(self) -> dict[str, int]:
        return remaining(snapshot_of(self.board, self.settings), self.now)

    def attempt(self, ticket: str) -> Document | None:
        """The live one. `left_s`: seconds until its agent is expected to end, below 0 where it is overdue."""
        found = next((each for each in self.board.attempts if each.key.ticket == ticket), None)
        return None if found is None else self._attempt(found)

    def _attempt(self, attempt: Attempt) -> Document:
        record = self.board.tickets[attempt.key.ticket]
        since = attempt.started_at or attempt.dispatched_at
        likely = self.board.estimates.of(record.ticket, attempt.agent).likely
        return {
            "ticket": attempt.key.ticket,
            "attempt": attempt.key.number,
            "slot": attempt.slot,
            "agent": attempt.agent,
            "phase": attempt.state,
            "since": iso(since),
            "left_s": round(since + likely - self.now),
            "making_way_for": making_way(self.session.store, attempt),
            "repair": repair_document(record, self.settings),
            "begins_anew": attempt.restarted,
            "ended_for": attempt.ended_for,
            "held_up": attempt.held_up,
        }

    def landing(self, ticket: str) -> Document | None:
        """`ahead`: how many are in the lane before it."""
        lane = self.board.landings
        ahead, found = next(((at, each) for at, each in enumerate(lane) if each.key.ticket == ticket), (0, None))
        return None if found is None else _landing(found, ahead)

    def room(self, record: TicketRecord, waits: tuple[WaitsOn, ...]) -> Iterator[Document]:
        """If the ticket waits for room: the attempts that have it now."""
        kinds = {on.kind for on in waits if on.detail != NO_DAEMON}
        route = {profile.name for profile in self.settings.route_of(record.ticket)}
        by_profile = any("profile" in on.detail for on in waits)
        for attempt in self.board.attempts:
            scope = self.board.tickets[attempt.key.ticket].ticket.scope
            has_slot = WaitKind.SLOT in kinds and (attempt.agent in route or not by_profile)
            if attempt.state in IN_A_SLOT and (
                has_slot or (WaitKind.SCOPE_CAP in kinds and scope == record.ticket.scope)
            ):
                yield self._attempt(attempt)


def _landing(landing: Landing, ahead: int) -> Document:
    return {
        "attempt": landing.key.number,
        "phase": landing.phase,
        "since": iso(landing.queued_at),
        "ahead": ahead,
        "trouble": landing.trouble,
        "not_before": iso(landing.not_before),
        "proposal": landing.proposal.url if landing.proposal else None,
    }
