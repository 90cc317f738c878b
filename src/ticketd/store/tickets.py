"""What a person asks of single tickets."""

from __future__ import annotations

from dataclasses import replace

from sqlite_utils import Database

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.events import EventKind
from ticketd.domain.ticket import Priority, Reason, TicketRecord, TicketState
from ticketd.domain.verdict import Cancel, Fail
from ticketd.errors import BadInput
from ticketd.store.rows import attempt_of
from ticketd.store.ticketfiles import TicketFilesTable

WAITING = (TicketState.QUEUED, TicketState.REVIEW, TicketState.FAILED, TicketState.SKIPPED)


class Tickets(TicketFilesTable):
    def hold(self, ticket: str, held: bool, at: float) -> None:
        with self.connections.transaction() as db:
            self._known(db, ticket)
            db.execute("UPDATE tickets SET held = ? WHERE id = ?", [held, ticket])
            self._event(db, at, EventKind.HELD if held else EventKind.UNHELD, ticket)

    def bump(self, ticket: str, priority: Priority, at: float) -> None:
        with self.connections.transaction() as db:
            self._known(db, ticket)
            db.execute("UPDATE tickets SET bumped = ? WHERE id = ?", [priority, ticket])
            self._event(db, at, EventKind.BUMPED, ticket, priority=priority)

    def cancel(self, ticket: str, at: float) -> TicketState:
        """Waiting: at once. Running or landing: asked for; the daemon ends it and keeps its work."""
        with self.connections.transaction() as db:
            record = self._known(db, ticket)
            if record.state in (TicketState.LANDED, TicketState.CANCELLED):
                raise BadInput(f"{ticket} is {record.state}", mend="There is nothing to cancel.")
            if record.state in WAITING:
                key = AttemptKey(ticket, max(record.attempts, 1))
                self._end(db, key, Cancel("cancelled by a person"), at)
                return TicketState.CANCELLED
            db.execute("UPDATE tickets SET cancel_requested = 1 WHERE id = ?", [ticket])
            self._event(db, at, EventKind.CANCEL_ASKED, ticket)
            return record.state

    def retry(self, ticket: str, at: float) -> TicketState:
        """Back to the queue; straight to the lane where the work was good and only the push was refused."""
        with self.connections.transaction() as db:
            record = self._known(db, ticket)
            if record.state not in (TicketState.FAILED, TicketState.SKIPPED, TicketState.CANCELLED):
                raise BadInput(f"{ticket} is {record.state}", mend="Failed, skipped and cancelled tickets are retried.")
            if record.reason is Reason.PUSH_REJECTED and self._reland(db, record, at):
                return TicketState.LANDING
            again = replace(record, failures=0, deferrals=0, resume=None, not_before=None, detail="retried by a person")
            self._to_queue(db, again, at)
            return TicketState.QUEUED

    def _reland(self, db: Database, record: TicketRecord, at: float) -> bool:
        rows = self._rows(
            db, "SELECT * FROM attempts WHERE ticket = ? AND tip IS NOT NULL ORDER BY number DESC LIMIT 1", record.id
        )
        if not rows:
            return False
        attempt = attempt_of(rows[0])
        in_the_way = self._rows(
            db,
            "SELECT other.ticket FROM claims AS other, claims AS own WHERE other.held AND other.ticket <> own.ticket"
            " AND own.ticket = ? AND own.attempt = ?"
            " AND claims_overlap(other.patterns, own.patterns, own.shared) IS NOT NULL",
            attempt.key.ticket,
            attempt.key.number,
        )
        if in_the_way:
            return False
        db.execute(
            "UPDATE claims SET held = 1 WHERE ticket = ? AND attempt = ?", [attempt.key.ticket, attempt.key.number]
        )
        self._move(db, record.id, TicketState.LANDING)
        self._into_lane(db, attempt.key, attempt.base, attempt.tip or "", at, rows[0]["candidate"])
        return True

    def _into_lane(
        self, db: Database, key: AttemptKey, base: str, tip: str, at: float, candidate: str | None = None
    ) -> None:
        """`candidate`: what may have been pushed before."""
        db.execute(
            "INSERT INTO landings (ticket, attempt, base, tip, queued_at, phase, candidate)"
            " VALUES (?, ?, ?, ?, ?, 'queued', ?)",
            [key.ticket, key.number, base, tip, at, candidate],
        )
        self._event(db, at, EventKind.LANDING_QUEUED, key.ticket, key.number, tip=tip, candidate=candidate)

    def ask_to_start(self, ticket: str, at: float) -> None:
        with self.connections.transaction() as db:
            if self._record(db, ticket).state is TicketState.QUEUED:
                detail = "waits for a person before it runs"
                self._move(db, ticket, TicketState.REVIEW, detail=detail)
                self._event(db, at, EventKind.REVIEW_ASKED, ticket, gate="start", detail=detail)

    def skip(self, ticket: str, because: str, at: float) -> None:
        with self.connections.transaction() as db:
            if self._record(db, ticket).state is TicketState.QUEUED:
                detail = f"{because} did not land"
                self._move(db, ticket, TicketState.SKIPPED, reason=Reason.DEPENDENCY_FAILED, detail=detail)
                self._event(db, at, EventKind.SKIPPED, ticket, because=because, detail=detail)

    def approve(self, ticket: str, at: float) -> TicketState:
        """A ticket whose work is kept goes to the lane, one that has not run yet to the queue."""
        with self.connections.transaction() as db:
            record = self._in_review(db, ticket)
            rows = self._rows(db, "SELECT * FROM attempts WHERE ticket = ? AND number = ?", ticket, record.attempts)
            lands = bool(rows and self._rows(db, "SELECT 1 FROM claims WHERE ticket = ? AND held", ticket))
            to = TicketState.LANDING if lands else TicketState.QUEUED
            self._event(db, at, EventKind.APPROVED, ticket, record.attempts or None, to=to)
            if lands:
                attempt = attempt_of(rows[0])
                self._move(db, ticket, TicketState.LANDING)
                self._into_lane(db, attempt.key, attempt.base, attempt.tip or "", at)
                return TicketState.LANDING
            self._move(db, ticket, TicketState.QUEUED, start_approved=1)
            return TicketState.QUEUED

    def reject(self, ticket: str, reason: str, at: float) -> None:
        with self.connections.transaction() as db:
            record = self._in_review(db, ticket)
            key = AttemptKey(ticket, max(record.attempts, 1))
            self._end(db, key, Fail(Reason.REJECTED, reason), at)

    def _in_review(self, db: Database, ticket: str) -> TicketRecord:
        record = self._known(db, ticket)
        if record.state is not TicketState.REVIEW:
            raise BadInput(f"{ticket} is {record.state}, not in review", mend="`ticketd review` lists those that are.")
        return record

    def _known(self, db: Database, ticket: str) -> TicketRecord:
        if not self._rows(db, "SELECT 1 FROM tickets WHERE id = ?", ticket):
            raise BadInput(f"there is no ticket {ticket}", mend="`ticketd list` shows all.")
        return self._record(db, ticket)
