"""Ticket files coming, changing and going; there may be 100,000 at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlite_utils import Database

from ticketd.domain.declared import declared
from ticketd.domain.events import EventKind
from ticketd.domain.ticket import Gate, Ticket, TicketState
from ticketd.ports import FoundFile
from ticketd.store.base import WITHDRAWN, Tables
from ticketd.store.rows import Row, dump, file_row, spec_of, terms_of

BATCH = 500


class TicketFilesTable(Tables):
    def save_files(self, found: Sequence[FoundFile], gone: Sequence[str], at: float) -> bool:
        """Tickets that are seen together age in order of id."""
        if not found and not gone:
            return False
        in_order = sorted(found, key=lambda file: (file.parsed.id or "", file.parsed.path))
        with self.connections.transaction() as db:
            for path in gone:
                self._withdraw(db, path, at)
            for start in range(0, len(in_order), BATCH):
                self._save(db, in_order[start : start + BATCH], at)
            self._event(db, at, EventKind.FILES_READ, read=len(found), gone=len(gone))
        return True

    def _save(self, db: Database, files: Sequence[FoundFile], at: float) -> None:
        db.conn.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", map(file_row, files))
        tickets = [file.parsed.ticket for file in files if file.parsed.ticket is not None]
        known = self._known_by_id(db, tickets)
        new: dict[str, Ticket] = {}
        for ticket in tickets:
            if ticket.id in known:
                self._change(db, known[ticket.id], ticket, at)
            else:
                new.setdefault(ticket.id, ticket)  # of two files with this id the first counts
        self._add(db, list(new.values()), at)

    def _known_by_id(self, db: Database, tickets: Sequence[Ticket]) -> dict[str, Row]:
        rows = self._rows(
            db,
            "SELECT id, path, spec, terms, body, state, detail, withdrawn, start_approved FROM tickets"
            " WHERE id IN (SELECT value FROM json_each(?))",
            dump([ticket.id for ticket in tickets]),
        )
        return {row["id"]: row for row in rows}

    def _change(self, db: Database, row: Row, ticket: Ticket, at: float) -> None:
        if row["path"] != ticket.path and not row["withdrawn"] and self._has_file(db, row["path"]):
            return  # a second file with this id: lint names both, the first one counts
        said = {"path": ticket.path, "spec": spec_of(ticket), "terms": terms_of(ticket), "body": ticket.body}
        changed = {column for column, value in said.items() if row[column] != value}
        if changed or row["withdrawn"]:
            db.execute(
                "UPDATE tickets SET path = ?, spec = ?, terms = ?, body = ?, withdrawn = 0 WHERE id = ?",
                [*said.values(), ticket.id],
            )
        if changed:
            self._tell_change(db, ticket, row["start_approved"] == 1 and changed != {"path"}, at)
        if row["withdrawn"]:
            self._event(db, at, EventKind.TICKET_RETURNED, ticket.id, path=ticket.path)
            if (row["state"], row["detail"]) == (TicketState.CANCELLED, WITHDRAWN):
                self._to_queue(db, replace(self._record(db, ticket.id), detail="its file is back"), at)

    def _tell_change(self, db: Database, ticket: Ticket, void: bool, at: float) -> None:
        """`void`: a person has approved something else."""
        if void:
            db.execute("UPDATE tickets SET start_approved = 0 WHERE id = ?", [ticket.id])
        self._event(
            db, at, EventKind.TICKET_CHANGED, ticket.id, path=ticket.path, says=declared(ticket), approval_void=void
        )

    def _add(self, db: Database, tickets: Sequence[Ticket], at: float) -> None:
        oldest = self._rows(db, "SELECT COALESCE(MAX(age), 0) + 1 AS age FROM tickets")[0]["age"]
        db.conn.executemany(
            "INSERT INTO tickets (id, age, path, spec, terms, seen_at, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (ticket.id, age, ticket.path, spec_of(ticket), terms_of(ticket), at, ticket.body)
                for age, ticket in enumerate(tickets, start=oldest)
            ),
        )
        db.conn.executemany(
            "INSERT INTO events (at, kind, ticket, data) VALUES (?, ?, ?, ?)",
            (
                (at, EventKind.TICKET_ADDED, ticket.id, dump({"path": ticket.path, "says": declared(ticket)}))
                for ticket in tickets
            ),
        )

    def _has_file(self, db: Database, path: str) -> bool:
        return bool(self._rows(db, "SELECT 1 FROM files WHERE path = ?", path))

    def _withdraw(self, db: Database, path: str, at: float) -> None:
        db.execute("DELETE FROM files WHERE path = ?", [path])
        for row in self._rows(db, "SELECT id, state, gate FROM tickets WHERE path = ? AND NOT withdrawn", path):
            db.execute("UPDATE tickets SET withdrawn = 1 WHERE id = ?", [row["id"]])
            self._event(db, at, EventKind.TICKET_WITHDRAWN, row["id"], path=path)
            if row["state"] == TicketState.QUEUED or row["gate"] == Gate.START:
                self._move(db, row["id"], TicketState.CANCELLED, detail=WITHDRAWN, cancel_requested=0)
                self._event(db, at, EventKind.CANCELLED, row["id"], detail=WITHDRAWN)
            # Another file of that id, if there is one, was passed over until now: let it be read anew.
            db.execute("UPDATE files SET stamp = '' WHERE names = ?", [row["id"]])
