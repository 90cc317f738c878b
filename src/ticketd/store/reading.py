"""Everything that only reads."""

from __future__ import annotations

from collections.abc import Mapping

from sqlite_utils import Database

from ticketd.domain.attempt import Attempt, AttemptKey
from ticketd.domain.events import NO_MOVES, Event
from ticketd.domain.landing import Landing
from ticketd.domain.pool import DaemonRecord, Pool, Stop, TargetRecord
from ticketd.domain.throttle import Throttle
from ticketd.domain.ticket import TicketRecord
from ticketd.ports import Board, FoundFile
from ticketd.store.history import History
from ticketd.store.rows import attempt_of, claim_of, event_of, landing_of, parsed_of, record_of, throttle_of


class Reading(History):
    def board(self) -> Board:
        with self.connections.reading() as db:
            return Board(
                tickets={row["id"]: record_of(row) for row in self._rows(db, "SELECT * FROM tickets ORDER BY age")},
                attempts=self._live(db),
                claims=tuple(
                    claim_of(row) for row in self._rows(db, "SELECT * FROM claims WHERE held ORDER BY ticket")
                ),
                landings=self._landings(db),
                pool=self._pool(db),
                daemon=self._daemon(db),
                target=self._target(db),
                cost_usd=self._rows(db, "SELECT COALESCE(SUM(cost_usd), 0.0) AS total FROM attempts")[0]["total"],
                throttles=self._throttles(db),
                as_of=self._rows(db, "SELECT COALESCE(MAX(number), 0) AS newest FROM events")[0]["newest"],
                estimates=self.estimates(),
            )

    def _throttles(self, db: Database) -> dict[str, Throttle]:
        return {row["profile"]: throttle_of(row) for row in self._rows(db, "SELECT * FROM throttles ORDER BY profile")}

    def target(self) -> TargetRecord | None:
        return self._target(self.connections.db)

    def live_attempts(self) -> tuple[Attempt, ...]:
        return self._live(self.connections.db)

    def _live(self, db: Database) -> tuple[Attempt, ...]:
        return tuple(
            attempt_of(row) for row in self._rows(db, "SELECT * FROM attempts WHERE state <> 'ended' ORDER BY slot")
        )

    def ticket(self, id_: str) -> TicketRecord | None:
        rows = self._rows(self.connections.db, "SELECT * FROM tickets WHERE id = ?", id_)
        return record_of(rows[0]) if rows else None

    def attempts(self, ticket: str) -> tuple[Attempt, ...]:
        rows = self._rows(self.connections.db, "SELECT * FROM attempts WHERE ticket = ? ORDER BY number", ticket)
        return tuple(attempt_of(row) for row in rows)

    def attempt(self, key: AttemptKey) -> Attempt | None:
        rows = self._rows(
            self.connections.db, "SELECT * FROM attempts WHERE ticket = ? AND number = ?", key.ticket, key.number
        )
        return attempt_of(rows[0]) if rows else None

    def events(self, after: int = 0, ticket: str | None = None, limit: int = 1000) -> tuple[Event, ...]:
        """Oldest first; at most `limit`."""
        of_ticket = "AND ticket = ?" if ticket else ""
        rows = self._rows(
            self.connections.db,
            f"SELECT * FROM events WHERE number > ? {of_ticket} ORDER BY number LIMIT ?",
            *([after, ticket, limit] if ticket else [after, limit]),
        )
        return tuple(event_of(row) for row in rows)

    def moves(self) -> int:
        quiet = ", ".join(f"'{kind}'" for kind in NO_MOVES)
        rows = self._rows(
            self.connections.db,
            f"SELECT number FROM events WHERE kind NOT IN ({quiet}) ORDER BY number DESC LIMIT 1",
        )
        return rows[0]["number"] if rows else 0

    def landings(self) -> tuple[Landing, ...]:
        return self._landings(self.connections.db)

    def _landings(self, db: Database) -> tuple[Landing, ...]:
        return tuple(landing_of(row) for row in self._rows(db, "SELECT * FROM landings ORDER BY queued_at, ticket"))

    def pool(self) -> Pool:
        return self._pool(self.connections.db)

    def files(self) -> Mapping[str, FoundFile]:
        rows = self._rows(
            self.connections.db,
            "SELECT tickets.id, spec, body, files.path AS path, names, sound, stamp, lines, problems FROM files"
            " LEFT JOIN tickets ON tickets.id = files.names AND tickets.path = files.path ORDER BY files.path",
        )
        return {row["path"]: FoundFile(row["stamp"], parsed_of(row)) for row in rows}

    def landed(self) -> frozenset[str]:
        rows = self._rows(self.connections.db, "SELECT id FROM tickets WHERE state = 'landed'")
        return frozenset(row["id"] for row in rows)

    def worktree_setups(self) -> Mapping[str, str]:
        rows = self._rows(self.connections.db, "SELECT name, setup_of FROM worktrees WHERE NOT retired")
        return {row["name"]: row["setup_of"] for row in rows}

    def worktree_names(self) -> frozenset[str]:
        return frozenset(row["name"] for row in self._rows(self.connections.db, "SELECT name FROM worktrees"))

    def _pool(self, db: Database) -> Pool:
        row = self._rows(db, "SELECT *, (SELECT slots FROM daemon) AS run_slots FROM pool")[0]
        return Pool(row["run_slots"] or row["slots"], row["paused"], row["stop"] and Stop(row["stop"]), row["aborted"])

    def _daemon(self, db: Database) -> DaemonRecord | None:
        rows = self._rows(db, "SELECT * FROM daemon")
        return DaemonRecord(**{key: rows[0][key] for key in ("pid", "since", "engine", "slots")}) if rows else None

    def _target(self, db: Database) -> TargetRecord | None:
        rows = self._rows(db, "SELECT * FROM target")
        if not rows:
            return None
        row = rows[0]
        return TargetRecord(row["remote"], row["branch"], row["sha"], row["seen_at"], row["trouble"])
