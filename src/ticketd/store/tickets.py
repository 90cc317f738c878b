"""Ticket files coming and going, and what a person asks of single tickets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from sqlite_utils import Database

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.declared import declared
from ticketd.domain.events import EventKind
from ticketd.domain.ticket import Priority, Reason, Ticket, TicketRecord, TicketState
from ticketd.domain.verdict import Cancel, Fail
from ticketd.errors import BadInput
from ticketd.ports import FoundFile
from ticketd.store.base import WITHDRAWN, Tables
from ticketd.store.rows import attempt_of, dump, lines_text, spec_of

WAITING = (TicketState.QUEUED, TicketState.REVIEW, TicketState.FAILED, TicketState.SKIPPED)


class Tickets(Tables):
    def save_files(self, found: Sequence[FoundFile], gone: Sequence[str], at: float) -> bool:
        """Tickets that are seen together age in order of id."""
        if not found and not gone:
            return False
        with self.connections.transaction() as db:
            for path in gone:
                self._withdraw(db, path, at)
            for file in sorted(found, key=lambda f: (f.parsed.id or "", f.parsed.path)):
                self._save_file(db, file, at)
        return True

    def _save_file(self, db: Database, file: FoundFile, at: float) -> None:
        parsed = file.parsed
        db.execute(
            "INSERT OR REPLACE INTO files (path, stamp, names, sound, lines, problems) VALUES (?, ?, ?, ?, ?, ?)",
            [
                parsed.path,
                file.stamp,
                parsed.id,
                parsed.ticket is not None,
                lines_text(parsed.lines),
                dump([asdict(problem) for problem in parsed.problems]),
            ],
        )
        if parsed.ticket is not None:
            self._save_ticket(db, parsed.ticket, at)

    def _save_ticket(self, db: Database, ticket: Ticket, at: float) -> None:
        rows = self._rows(db, "SELECT * FROM tickets WHERE id = ?", ticket.id)
        if not rows:
            self._add(db, ticket, at)
            return
        if rows[0]["path"] != ticket.path and not rows[0]["withdrawn"] and self._has_file(db, rows[0]["path"]):
            return  # a second file with this id: lint names both, the first one counts
        spec = spec_of(ticket)
        if (rows[0]["spec"], rows[0]["body"], rows[0]["path"]) != (spec, ticket.body, ticket.path):
            db.execute(
                "UPDATE tickets SET spec = ?, body = ?, path = ? WHERE id = ?",
                [spec, ticket.body, ticket.path, ticket.id],
            )
            self._event(db, at, EventKind.TICKET_CHANGED, ticket.id, path=ticket.path, says=declared(ticket))
        if rows[0]["withdrawn"]:
            db.execute("UPDATE tickets SET withdrawn = 0 WHERE id = ?", [ticket.id])
            self._event(db, at, EventKind.TICKET_RETURNED, ticket.id, path=ticket.path)
            if rows[0]["state"] == TicketState.CANCELLED and rows[0]["detail"] == WITHDRAWN:
                self._to_queue(db, replace(self._record(db, ticket.id), detail="its file is back"), at)

    def _add(self, db: Database, ticket: Ticket, at: float) -> None:
        db.execute(
            "INSERT INTO tickets (id, age, path, spec, body, seen_at)"
            " VALUES (?, (SELECT COALESCE(MAX(age), 0) + 1 FROM tickets), ?, ?, ?, ?)",
            [ticket.id, ticket.path, spec_of(ticket), ticket.body, at],
        )
        self._event(db, at, EventKind.TICKET_ADDED, ticket.id, path=ticket.path, says=declared(ticket))

    def _has_file(self, db: Database, path: str) -> bool:
        return bool(self._rows(db, "SELECT 1 FROM files WHERE path = ?", path))

    def _withdraw(self, db: Database, path: str, at: float) -> None:
        db.execute("DELETE FROM files WHERE path = ?", [path])
        for row in self._rows(db, "SELECT id, state FROM tickets WHERE path = ? AND NOT withdrawn", path):
            db.execute("UPDATE tickets SET withdrawn = 1 WHERE id = ?", [row["id"]])
            self._event(db, at, EventKind.TICKET_WITHDRAWN, row["id"], path=path)
            if row["state"] == TicketState.QUEUED:
                self._move(db, row["id"], TicketState.CANCELLED, detail=WITHDRAWN, cancel_requested=0)
                self._event(db, at, EventKind.CANCELLED, row["id"], detail=WITHDRAWN)
            # Another file of that id, if there is one, was passed over until now: let it be read anew.
            db.execute("UPDATE files SET stamp = '' WHERE names = ?", [row["id"]])

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
            again = replace(record, failures=0, deferrals=0, not_before=None, detail="retried by a person")
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
