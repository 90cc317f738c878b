"""What the table groups share: a connection, and the moves that several of them make."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum

from sqlite_utils import Database

from ticketd.domain.attempt import Attempt, AttemptKey
from ticketd.domain.events import EventKind
from ticketd.domain.repair import as_told
from ticketd.domain.ticket import OnFailure, Reason, TicketRecord, TicketState
from ticketd.domain.verdict import Cancel, Fail, Requeue
from ticketd.store.connection import Connections, translated
from ticketd.store.rows import RECORD_COLUMNS, Records, Row, attempt_of, dump

WITHDRAWN = "its file was deleted; putting it back queues it again"


EXACT = frozenset(
    {
        *("ticket", "other", "with", "for", "together", "starts", "shadow", "because", "agent", "profile", "account"),
        *("path", "paths", "patterns", "drift_paths", "worktree", "log", "says", "repair", "proposal", "url", "branch"),
        *("failing", "by", "kind", "state", "engine", "setup_of"),
    }
)
"""What things go by: were a part of it taken for a secret, it could not be found again."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def storable(value: object) -> object:
    """Text that SQLite takes: bytes of a path that are not UTF-8 arrive as lone surrogates, which it refuses."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class Tables:
    """One group of tables. Methods that begin with `_` run inside a transaction that is already open."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections

    def _rows(self, db: Database, sql: str, *values: object) -> list[Row]:
        with translated():
            cursor = db.execute(sql, list(values))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _told(self, values: Mapping[str, object]) -> dict[str, object]:
        """As the store keeps them: the one door by which texts enter, and no secret does."""
        return {name: self._fit(name, value) for name, value in values.items()}

    def _fit(self, name: str, value: object) -> object:
        match value:
            case _ if name in EXACT or isinstance(value, Enum):
                return storable(value)
            case str():
                text = value.encode("utf-8", "backslashreplace").decode()
                return text if _COMMIT.fullmatch(text) else self.connections.redact(text)
            case Mapping():
                return self._told(value)
            case list() | tuple():
                return [self._fit(name, each) for each in value]
            case _:
                return value

    def _event(
        self,
        db: Database,
        at: float,
        kind: EventKind,
        ticket: str | None = None,
        attempt: int | None = None,
        **data: object,
    ) -> None:
        db.execute(
            "INSERT INTO events (at, kind, ticket, attempt, data) VALUES (?, ?, ?, ?, ?)",
            [at, kind, ticket, attempt, dump(self._told(data))],
        )

    def _record(self, db: Database, ticket: str) -> TicketRecord:
        """Without its body."""
        with translated():
            row = db.execute(f"SELECT {RECORD_COLUMNS} FROM tickets WHERE id = ?", [ticket]).fetchone()
        return Records().record(row)

    def _whole(self, db: Database, ticket: str) -> TicketRecord | None:
        """With its body."""
        with translated():
            row = db.execute(f"SELECT body, {RECORD_COLUMNS} FROM tickets WHERE id = ?", [ticket]).fetchone()
        return Records().record(row[1:], body=row[0]) if row else None

    def _attempt(self, db: Database, key: AttemptKey) -> Attempt | None:
        rows = self._rows(db, "SELECT * FROM attempts WHERE ticket = ? AND number = ?", key.ticket, key.number)
        return attempt_of(rows[0]) if rows else None

    def _move(self, db: Database, ticket: str, state: TicketState, **columns: object) -> None:
        """Change a ticket's state and whatever goes with it; the schema refuses an illegal move."""
        values = {"state": state, "reason": None, "detail": "", "not_before": None, "gate": None, **columns}
        assignments = ", ".join(f"{column} = ?" for column in values)
        db.execute(f"UPDATE tickets SET {assignments} WHERE id = ?", [*self._told(values).values(), ticket])

    def _forget_failures(self, db: Database) -> None:
        """What has failed its verification may fail no more."""
        db.execute("UPDATE verifications SET passed = NULL WHERE NOT passed")

    def _release(self, db: Database, ticket: str) -> None:
        """The ticket holds its files no longer and is in no lane. What it may have pushed is remembered."""
        db.execute(
            "UPDATE attempts SET candidate = lane.candidate, proposal = lane.proposal FROM landings AS lane"
            " WHERE lane.ticket = ? AND attempts.ticket = lane.ticket AND attempts.number = lane.attempt",
            [ticket],
        )
        db.execute("UPDATE claims SET held = 0 WHERE ticket = ? AND held", [ticket])
        db.execute("DELETE FROM landings WHERE ticket = ?", [ticket])

    def _end(self, db: Database, key: AttemptKey, verdict: Requeue | Fail | Cancel, at: float) -> None:
        """The ticket leaves the pool: back to the queue or to its end. A person's word to cancel it comes first."""
        self._release(db, key.ticket)
        if not isinstance(verdict, Cancel) and self._record(db, key.ticket).cancel_requested:
            verdict = Cancel("cancelled by a person; its work is kept")
        match verdict:
            case Requeue():
                self._requeue(db, key, verdict, at)
            case Fail(reason, detail):
                self._move(db, key.ticket, TicketState.FAILED, reason=reason, detail=detail, deferrals=0)
                self._event(db, at, EventKind.FAILED, key.ticket, key.number, reason=reason, detail=detail)
                self._on_failure(db, key.ticket, reason, at)
            case Cancel(detail):
                self._move(db, key.ticket, TicketState.CANCELLED, detail=detail, cancel_requested=0)
                self._event(db, at, EventKind.CANCELLED, key.ticket, key.number, detail=detail)

    def _requeue(self, db: Database, key: AttemptKey, verdict: Requeue, at: float) -> None:
        if self._rows(db, "SELECT 1 FROM tickets WHERE id = ? AND withdrawn", key.ticket):
            self._end(db, key, Cancel(WITHDRAWN), at)
            return
        record = self._record(db, key.ticket)
        self._to_queue(
            db,
            replace(
                record,
                detail=verdict.detail,
                not_before=verdict.not_before,
                failures=record.failures + verdict.failed,
                deferrals=record.deferrals + 1 if verdict.deferred else 0,
                preemptions=record.preemptions + verdict.preempted,
                resume=self._resumed_next(db, key, record, verdict),
                repair=verdict.repair or (None if verdict.failed else record.repair),
                repairs=record.repairs + (verdict.repair is not None),
            ),
            at,
            key.number,
            verdict.reason,
        )

    def _resumed_next(self, db: Database, key: AttemptKey, record: TicketRecord, verdict: Requeue) -> int | None:
        """The attempt whose work the next one goes on from. A failure is begun afresh, and a repair says itself where
        it begins."""
        made = "SELECT 1 FROM attempts WHERE ticket = ? AND number = ? AND tip IS NOT NULL AND tip <> base"
        if (verdict.preempted or verdict.goes_on) and self._rows(db, made, key.ticket, key.number):
            return key.number
        return None if verdict.failed or verdict.repair else record.resume

    def _to_queue(
        self,
        db: Database,
        record: TicketRecord,
        at: float,
        attempt: int | None = None,
        reason: Reason | None = None,
    ) -> None:
        """Back to the queue as `record` says. `reason`: what the attempt failed with."""
        again = {
            "detail": record.detail,
            "not_before": record.not_before,
            "failures": record.failures,
            "deferrals": record.deferrals,
            "preemptions": record.preemptions,
            "resume": record.resume,
            "repairs": record.repairs,
        }
        said = as_told(record.repair)
        repair = said and self._told(said)
        self._move(db, record.id, TicketState.QUEUED, cancel_requested=0, repair=repair and dump(repair), **again)
        told = {"reason": reason, "repair": repair}
        self._event(db, at, EventKind.REQUEUED, record.id, attempt, **told, **again)

    def _on_failure(self, db: Database, ticket: str, reason: Reason, at: float) -> None:
        record = self._record(db, ticket)
        because = f"{ticket} failed ({reason})"
        match record.ticket.on_failure:
            case OnFailure.ABORT:
                db.execute("UPDATE pool SET stop = COALESCE(stop, 'drain'), aborted = ?", [self._fit("why", because)])
                how = self._rows(db, "SELECT stop FROM pool")[0]["stop"]
                self._event(db, at, EventKind.STOP_ASKED, ticket, how=how, why=because)
            case OnFailure.ASK:
                why = f"{because}; `ticketd resume` goes on"
                db.execute("UPDATE pool SET paused = ?", [self._fit("why", why)])
                self._event(db, at, EventKind.PAUSED, ticket, why=why)
            case OnFailure.BLOCK | OnFailure.SKIP:
                pass
