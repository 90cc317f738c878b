"""Everything that only reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlite_utils import Database

from ticketd.domain import recovery
from ticketd.domain.attempt import Attempt, AttemptKey
from ticketd.domain.budget import DaySpent
from ticketd.domain.claims import Claim
from ticketd.domain.days import day_of
from ticketd.domain.events import NO_MOVES, Event, EventKind
from ticketd.domain.landing import Landing
from ticketd.domain.lint import Outline
from ticketd.domain.pool import DaemonRecord, Pool, Stop, TargetRecord
from ticketd.domain.problems import Problem
from ticketd.domain.spending import Bill
from ticketd.domain.throttle import Throttle
from ticketd.domain.ticket import TicketRecord
from ticketd.domain.widening import Collision
from ticketd.ports import Board, FoundFile
from ticketd.store.connection import translated
from ticketd.store.history import History
from ticketd.store.migrations import WITH_WORK
from ticketd.store.rows import (
    RECORD_COLUMNS,
    Records,
    attempt_of,
    bill_of,
    claim_of,
    dump,
    event_of,
    file_of,
    landing_of,
    outline_of,
    problems_of,
    throttle_of,
)

MOST_CHANGES = 1000
"""Past so many changed tickets it is quicker to read all."""


class Reading(History):
    def board(self, known: Board | None = None) -> Board:
        with self.connections.reading() as db:
            newest = self._newest(db)
            spent = known.spent if known is not None and known.newest == newest else self._spent(db)
            changed = None if known is None else self._changed(db, known.newest)
            if known is None or changed is None:
                tickets = self._tickets(db)
            else:
                # New ones are the youngest, so the order stays that of age.
                tickets = known.tickets
                tickets.update(self._tickets(db, changed) if changed else {})
            return Board(
                tickets=tickets,
                attempts=self._live(db),
                claims=self._claims(db),
                landings=self._landings(db),
                collisions=self._collisions(db),
                pool=self._pool(db),
                daemon=self._daemon(db),
                target=self._target(db),
                cost_usd=self._cost(db),
                spent=spent,
                throttles=self._throttles(db),
                estimates=self.estimates(),
                newest=newest,
                changed=changed,
            )

    def _cost(self, db: Database) -> float:
        rows = self._rows(
            db,
            "SELECT (SELECT TOTAL(cost_usd) FROM attempts WHERE cost_usd > 0)"
            " + (SELECT TOTAL(spent_usd) FROM attempts WHERE state <> 'ended') AS total",
        )
        cost: float = rows[0]["total"]
        return cost

    def spent(self) -> DaySpent:
        with self.connections.reading() as db:
            return self._spent(db)

    def _spent(self, db: Database) -> DaySpent:
        """Of the newest day on which anything has cost; the index has only such attempts."""
        newest = self._rows(db, "SELECT MAX(ended_at) AS at FROM attempts WHERE cost_usd > 0")[0]["at"]
        if newest is None:
            return DaySpent()
        day = day_of(newest)
        rows = self._rows(
            db,
            "SELECT json_extract(spec, '$.scope') AS scope, SUM(cost_usd) AS usd FROM attempts"
            " JOIN tickets ON id = ticket WHERE cost_usd > 0 AND ended_at >= ? GROUP BY scope ORDER BY scope",
            day.begin,
        )
        return DaySpent(day, {row["scope"]: row["usd"] for row in rows})

    def bills(self, since: float, now: float) -> tuple[Bill, ...]:
        rows = self._rows(
            self.connections.db,
            "SELECT ticket, number, agent, cost_usd, attempts.spent_usd AS spent_usd, usage, attempts.state AS state,"
            " COALESCE(ended_at, ?) AS at, json_extract(spec, '$.scope') AS scope FROM attempts"
            " JOIN tickets ON id = ticket WHERE at >= ? ORDER BY at, ticket, number",
            now,
            since,
        )
        return tuple(map(bill_of, rows))

    def _throttles(self, db: Database) -> dict[str, Throttle]:
        return {row["profile"]: throttle_of(row) for row in self._rows(db, "SELECT * FROM throttles ORDER BY profile")}

    def newest(self) -> int:
        return self._newest(self.connections.db)

    def _newest(self, db: Database) -> int:
        newest: int = self._rows(db, "SELECT COALESCE(MAX(number), 0) AS newest FROM events")[0]["newest"]
        return newest

    def _changed(self, db: Database, after: int) -> frozenset[str] | None:
        """The tickets with events since the one of this number; None if they are so many that reading all is quicker.
        Every change of a ticket has an event."""
        rows = self._rows(
            db,
            "SELECT DISTINCT ticket FROM events NOT INDEXED WHERE number > ? AND ticket IS NOT NULL LIMIT ?",
            after,
            MOST_CHANGES + 1,
        )
        return None if len(rows) > MOST_CHANGES else frozenset(row["ticket"] for row in rows)

    def _tickets(self, db: Database, ids: Collection[str] | None = None) -> dict[str, TicketRecord]:
        """All of them where no `ids` are given."""
        which, values = ("", []) if ids is None else ("WHERE id IN (SELECT value FROM json_each(?))", [dump([*ids])])
        records = Records()
        with translated():
            rows = db.execute(f"SELECT {RECORD_COLUMNS} FROM tickets {which} ORDER BY age", values)
            read = map(records.record, rows)
            return {record.ticket.id: record for record in read}

    def target(self) -> TargetRecord | None:
        return self._target(self.connections.db)

    def live_attempts(self) -> tuple[Attempt, ...]:
        return self._live(self.connections.db)

    def _live(self, db: Database) -> tuple[Attempt, ...]:
        return tuple(
            attempt_of(row) for row in self._rows(db, "SELECT * FROM attempts WHERE state <> 'ended' ORDER BY slot")
        )

    def ticket(self, id_: str) -> TicketRecord | None:
        return self._whole(self.connections.db, id_)

    def attempts(self, ticket: str) -> tuple[Attempt, ...]:
        rows = self._rows(self.connections.db, "SELECT * FROM attempts WHERE ticket = ? ORDER BY number", ticket)
        return tuple(attempt_of(row) for row in rows)

    def attempts_to_go_on_with(self) -> tuple[Attempt, ...]:
        rows = self._rows(
            self.connections.db,
            "SELECT * FROM attempts WHERE ticket IN"
            f" (SELECT id FROM tickets INDEXED BY tickets_with_work WHERE {WITH_WORK}"
            " UNION ALL SELECT ticket FROM attempts WHERE state <> 'ended' AND state = 'preparing'"
            " AND worktree IS NULL AND resumes IS NOT NULL) ORDER BY ticket, number",
        )
        return tuple(attempt_of(row) for row in rows)

    def attempt(self, key: AttemptKey) -> Attempt | None:
        return self._attempt(self.connections.db, key)

    def events(self, after: int = 0, ticket: str | None = None, limit: int = 1000) -> tuple[Event, ...]:
        """Oldest first; at most `limit`. A collision is an event of both tickets."""
        found, given = "SELECT * FROM events WHERE number > ?", tuple[object, ...]((after,))
        if ticket:
            found = (
                f"{found} AND ticket = ? UNION {found} AND kind = 'claim-collided' AND json_extract(data, '$.with') = ?"
            )
            given = (after, ticket, after, ticket)
        rows = self._rows(self.connections.db, f"{found} ORDER BY number LIMIT ?", *given, limit)
        return tuple(event_of(row) for row in rows)

    def last_event(self, kind: EventKind) -> Event | None:
        rows = self._rows(self.connections.db, "SELECT * FROM events WHERE kind = ? ORDER BY number DESC LIMIT 1", kind)
        return event_of(rows[0]) if rows else None

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
        return tuple(
            landing_of(row) for row in self._rows(db, "SELECT * FROM landings ORDER BY ahead DESC, queued_at, ticket")
        )

    def collisions(self) -> tuple[Collision, ...]:
        return self._collisions(self.connections.db)

    def _collisions(self, db: Database) -> tuple[Collision, ...]:
        """Those whose claims are both still held."""
        rows = self._rows(
            db,
            "SELECT found.ticket, other, path FROM collisions AS found"
            " JOIN claims AS own ON own.ticket = found.ticket AND own.attempt = found.attempt AND own.held"
            " JOIN claims AS theirs ON theirs.ticket = other AND theirs.attempt = other_attempt AND theirs.held"
            " ORDER BY found.ticket, other, path",
        )
        return tuple(Collision(row["ticket"], row["other"], row["path"]) for row in rows)

    def claims(self) -> tuple[Claim, ...]:
        return self._claims(self.connections.db)

    def _claims(self, db: Database) -> tuple[Claim, ...]:
        return tuple(map(claim_of, self._rows(db, "SELECT * FROM claims WHERE held ORDER BY ticket")))

    def has_queued(self) -> bool:
        return bool(self._rows(self.connections.db, "SELECT 1 FROM tickets WHERE state = 'queued' LIMIT 1"))

    def pool(self) -> Pool:
        return self._pool(self.connections.db)

    def stamps(self) -> Mapping[str, str]:
        with translated():
            return dict(self.connections.db.execute("SELECT path, stamp FROM files").fetchall())

    def files_read(self) -> int:
        sql = f"SELECT COALESCE(MAX(number), 0) AS number FROM events WHERE kind = '{EventKind.FILES_READ}'"
        number: int = self._rows(self.connections.db, sql)[0]["number"]
        return number

    def file(self, path: str) -> FoundFile | None:
        rows = self._rows(
            self.connections.db,
            "SELECT tickets.id, spec, terms, body, files.path AS path, names, sound, stamp, lines, problems FROM files"
            " LEFT JOIN tickets ON tickets.id = files.names AND tickets.path = files.path WHERE files.path = ?",
            path,
        )
        return file_of(rows[0]) if rows else None

    def outlines(self) -> Sequence[Outline]:
        with translated():
            rows = self.connections.db.execute(
                "SELECT files.path, names, sound, json_extract(spec, '$.depends_on') FROM files"
                " LEFT JOIN tickets ON sound AND tickets.id = names AND tickets.path = files.path ORDER BY files.path"
            )
            return [outline_of(row) for row in rows]

    def file_problems(self) -> Sequence[Problem]:
        rows = self._rows(self.connections.db, "SELECT problems FROM files WHERE problems <> '[]' ORDER BY path")
        return [problem for row in rows for problem in problems_of(row["problems"])]

    def landed(self) -> frozenset[str]:
        rows = self._rows(self.connections.db, "SELECT id FROM tickets WHERE state = 'landed'")
        return frozenset(row["id"] for row in rows)

    def worktree_setups(self) -> Mapping[str, str]:
        rows = self._rows(self.connections.db, "SELECT name, setup_of FROM worktrees WHERE NOT retired")
        return {row["name"]: row["setup_of"] for row in rows}

    def worktree_names(self) -> frozenset[str]:
        return frozenset(row["name"] for row in self._rows(self.connections.db, "SELECT name FROM worktrees"))

    def records(self) -> recovery.Records:
        with self.connections.reading() as db:
            names = frozenset(row["name"] for row in self._rows(db, "SELECT name FROM worktrees"))
            rows = self._rows(db, "SELECT ticket, number, state, tip FROM attempts ORDER BY ticket, number")
            target = self._target(db)
            tickets = frozenset(row["id"] for row in self._rows(db, "SELECT id FROM tickets"))
        ended = {AttemptKey(row["ticket"], row["number"]): row["tip"] for row in rows if row["state"] == "ended"}
        live = frozenset(AttemptKey(row["ticket"], row["number"]) for row in rows if row["state"] != "ended")
        return recovery.Records(names, live, ended, target.sha if target else None, tickets=tickets)

    def over(self) -> frozenset[str]:
        rows = self._rows(self.connections.db, "SELECT id FROM tickets WHERE state IN ('landed', 'cancelled')")
        return frozenset(row["id"] for row in rows)

    def landed_at(self) -> Mapping[str, float]:
        rows = self._rows(
            self.connections.db,
            "SELECT ticket, MAX(COALESCE(ended_at, dispatched_at) + COALESCE(landing_s, 0)) AS at FROM attempts"
            " JOIN tickets ON id = ticket WHERE tickets.state = 'landed' GROUP BY ticket",
        )
        return {row["ticket"]: row["at"] for row in rows}

    def _pool(self, db: Database) -> Pool:
        row = self._rows(db, "SELECT *, (SELECT slots FROM daemon) AS run_slots FROM pool")[0]
        return Pool(
            row["run_slots"] or row["slots"],
            row["paused"],
            row["stop"] and Stop(row["stop"]),
            row["aborted"],
            row["alarm"],
            row["short"],
        )

    def _daemon(self, db: Database) -> DaemonRecord | None:
        rows = self._rows(db, "SELECT * FROM daemon")
        return DaemonRecord(**{key: rows[0][key] for key in ("pid", "since", "engine", "slots")}) if rows else None

    def _target(self, db: Database) -> TargetRecord | None:
        rows = self._rows(db, "SELECT * FROM target")
        if not rows:
            return None
        row = rows[0]
        return TargetRecord(row["remote"], row["branch"], row["sha"], row["seen_at"], row["trouble"])
