"""The schema, step by step. What must never be false is a constraint here, whoever writes."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from enum import StrEnum

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from ticketd.domain.attempt import AttemptState, Drift, EndedFor
from ticketd.domain.events import EventKind
from ticketd.domain.landing import Phase
from ticketd.domain.pool import Stop
from ticketd.domain.repair import RepairKind
from ticketd.domain.ticket import TRANSITIONS, Priority, Reason, TicketState

migrations = Migrations("ticketd")
SHAPE = 385791828
"""Of the tables that are made here, as `shape_of` tells it; a test says what it has to be. Until the first release
tables change without a migration, and a store must not be read by what does not know its tables."""


WITH_WORK = "state = 'landing' OR (state = 'queued' AND (resume IS NOT NULL OR repair IS NOT NULL))"
"""Of tickets, in these very words, for the index: an attempt's work is on its way, or waits to be gone on with."""


def _one_of(values: Iterable[StrEnum]) -> str:
    return "(" + ", ".join(f"'{value}'" for value in values) + ")"


def _legal_moves() -> str:
    return " OR ".join(
        f"(OLD.state = '{state}' AND NEW.state IN {_one_of(sorted(following))})"
        for state, following in TRANSITIONS.items()
        if following
    )


@migrations()
def m001_first(db: Database) -> None:
    for statement in (
        f"PRAGMA user_version = {SHAPE}",
        f"""
        CREATE TABLE tickets (
            id TEXT PRIMARY KEY,
            age INTEGER NOT NULL UNIQUE,
            path TEXT NOT NULL,
            spec TEXT NOT NULL,
            terms TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN {_one_of(TicketState)}),
            reason TEXT CHECK (reason IN {_one_of(Reason)}),
            detail TEXT NOT NULL DEFAULT '',
            held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
            bumped TEXT CHECK (bumped IN {_one_of(Priority)}),
            not_before REAL,
            failures INTEGER NOT NULL DEFAULT 0,
            deferrals INTEGER NOT NULL DEFAULT 0,
            attempts INTEGER NOT NULL DEFAULT 0,
            cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
            start_approved INTEGER NOT NULL DEFAULT 0 CHECK (start_approved IN (0, 1)),
            withdrawn INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1)),
            landed_sha TEXT,
            seen_at REAL NOT NULL,
            preemptions INTEGER NOT NULL DEFAULT 0,
            resume INTEGER,
            gate TEXT CHECK (gate IN ('start', 'land')),
            shown TEXT,
            approved TEXT,
            repair TEXT,
            repairs INTEGER NOT NULL DEFAULT 0 CHECK (repairs >= 0),
            spent_usd REAL NOT NULL DEFAULT 0 CHECK (spent_usd >= 0),
            body TEXT NOT NULL,
            CHECK ((state = 'failed') <= (reason IS NOT NULL)),
            CHECK ((state = 'landed') = (landed_sha IS NOT NULL)),
            CHECK ((state = 'review') = (gate IS NOT NULL))
        ) STRICT
        """,
        # The body is the last column, so that what is read of all tickets is found without walking through it.
        "CREATE INDEX tickets_by_state ON tickets (state)",
        "CREATE INDEX tickets_by_path ON tickets (path)",
        f"CREATE INDEX tickets_with_work ON tickets (id) WHERE {WITH_WORK}",
        f"""
        CREATE TRIGGER tickets_move_legally BEFORE UPDATE OF state ON tickets
        WHEN NEW.state <> OLD.state AND NOT ({_legal_moves()})
        BEGIN SELECT RAISE(ABORT, 'not a legal move of a ticket'); END
        """,
        f"""
        CREATE TABLE attempts (
            ticket TEXT NOT NULL REFERENCES tickets (id),
            number INTEGER NOT NULL CHECK (number > 0),
            state TEXT NOT NULL CHECK (state IN {_one_of(AttemptState)}),
            slot INTEGER NOT NULL CHECK (slot > 0 OR (slot = 0 AND state = 'ended')),
            base TEXT NOT NULL,
            agent TEXT NOT NULL,
            worktree TEXT,
            pid INTEGER,
            dispatched_at REAL NOT NULL,
            started_at REAL,
            ended_at REAL,
            exit_code INTEGER,
            outcome TEXT,
            reason TEXT CHECK (reason IN {_one_of(Reason)}),
            detail TEXT NOT NULL DEFAULT '',
            tip TEXT,
            candidate TEXT,
            proposal TEXT,
            session TEXT,
            cost_usd REAL,
            spent_usd REAL,
            usage TEXT NOT NULL DEFAULT '[]',
            turns INTEGER,
            said TEXT NOT NULL DEFAULT '',
            ended_for TEXT CHECK (ended_for IN {_one_of(EndedFor)}),
            landing_s REAL,
            behind INTEGER NOT NULL DEFAULT 0,
            drift TEXT NOT NULL DEFAULT 'none' CHECK (drift IN {_one_of(Drift)}),
            drift_paths TEXT NOT NULL DEFAULT '[]',
            heartbeat_at REAL,
            output_at REAL,
            output_bytes INTEGER NOT NULL DEFAULT 0,
            held_up TEXT NOT NULL DEFAULT '',
            preempted INTEGER NOT NULL DEFAULT 0 CHECK (preempted IN (0, 1)),
            restarted INTEGER NOT NULL DEFAULT 0 CHECK (restarted IN (0, 1)),
            resumes TEXT,
            mends TEXT CHECK (mends IN {_one_of(RepairKind)}),
            merges TEXT,
            batch INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (ticket, number),
            CHECK (merges IS NULL OR (resumes IS NOT NULL AND mends IS NOT NULL))
        ) STRICT
        """,
        "CREATE INDEX attempts_by_batch ON attempts (batch)",
        "CREATE INDEX attempts_that_cost ON attempts (ended_at, cost_usd) WHERE cost_usd > 0",
        """
        CREATE UNIQUE INDEX one_live_attempt_per_slot ON attempts (slot)
        WHERE state IN ('preparing', 'running')
        """,
        "CREATE UNIQUE INDEX one_live_attempt_per_ticket ON attempts (ticket) WHERE state <> 'ended'",
        """
        CREATE INDEX attempts_that_landed ON attempts (ended_at DESC, ticket) WHERE landing_s IS NOT NULL
        """,
        """
        CREATE UNIQUE INDEX one_live_attempt_per_worktree ON attempts (worktree)
        WHERE state <> 'ended' AND worktree IS NOT NULL
        """,
        """
        CREATE TABLE claims (
            ticket TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            patterns TEXT NOT NULL,
            shared TEXT NOT NULL,
            held INTEGER NOT NULL CHECK (held IN (0, 1)),
            PRIMARY KEY (ticket, attempt),
            FOREIGN KEY (ticket, attempt) REFERENCES attempts (ticket, number)
        ) STRICT
        """,
        "CREATE UNIQUE INDEX one_held_claim_per_ticket ON claims (ticket) WHERE held",
        *(
            f"""
            CREATE TRIGGER claims_never_overlap_{when} BEFORE {event} ON claims
            WHEN NEW.held AND EXISTS (
                SELECT 1 FROM claims AS other
                WHERE other.held AND other.ticket <> NEW.ticket
                AND claims_overlap(other.patterns, NEW.patterns, NEW.shared) IS NOT NULL
            )
            BEGIN SELECT RAISE(ABORT, 'claims overlap'); END
            """
            for when, event in (("insert", "INSERT"), ("update", "UPDATE"))
        ),
        """
        CREATE TABLE collisions (
            ticket TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            other TEXT NOT NULL,
            other_attempt INTEGER NOT NULL,
            path TEXT NOT NULL,
            PRIMARY KEY (ticket, attempt, other, other_attempt, path),
            FOREIGN KEY (ticket, attempt) REFERENCES attempts (ticket, number),
            FOREIGN KEY (other, other_attempt) REFERENCES attempts (ticket, number)
        ) STRICT
        """,
        f"""
        CREATE TABLE landings (
            ticket TEXT PRIMARY KEY,
            attempt INTEGER NOT NULL,
            base TEXT NOT NULL,
            tip TEXT NOT NULL,
            queued_at REAL NOT NULL,
            phase TEXT NOT NULL CHECK (phase IN {_one_of(Phase)}),
            onto TEXT,
            candidate TEXT,
            races_lost INTEGER NOT NULL DEFAULT 0,
            trouble TEXT NOT NULL DEFAULT '',
            trouble_since REAL,
            not_before REAL,
            passed_on TEXT,
            refusals INTEGER NOT NULL DEFAULT 0,
            proposal TEXT,
            ahead INTEGER NOT NULL DEFAULT 0 CHECK (ahead IN (0, 1)),
            note TEXT NOT NULL DEFAULT '',
            CHECK (phase <> 'pushing' OR (candidate IS NOT NULL AND onto IS NOT NULL)),
            CHECK (phase <> 'proposed' OR proposal IS NOT NULL),
            FOREIGN KEY (ticket, attempt) REFERENCES attempts (ticket, number)
        ) STRICT
        """,
        """
        CREATE TABLE verifications (
            tree TEXT NOT NULL,
            commands TEXT NOT NULL,
            passed INTEGER CHECK (passed IN (0, 1)),
            ever_passed INTEGER NOT NULL CHECK (ever_passed IN (0, 1)),
            detail TEXT NOT NULL,
            runs INTEGER NOT NULL CHECK (runs > 0),
            at REAL NOT NULL,
            PRIMARY KEY (tree, commands)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE events (
            number INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            kind TEXT NOT NULL,
            ticket TEXT,
            attempt INTEGER,
            data TEXT NOT NULL DEFAULT '{}'
        ) STRICT
        """,
        "CREATE INDEX events_by_ticket ON events (ticket, number)",
        f"CREATE INDEX events_of_files ON events (number) WHERE kind = '{EventKind.FILES_READ}'",
        "CREATE INDEX collisions_by_other ON events (json_extract(data, '$.with')) WHERE kind = 'claim-collided'",
        """
        CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'events are never changed'); END
        """,
        f"""
        CREATE TABLE pool (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            slots INTEGER CHECK (slots > 0),
            paused TEXT NOT NULL DEFAULT '',
            stop TEXT CHECK (stop IN {_one_of(Stop)}),
            aborted TEXT NOT NULL DEFAULT '',
            alarm TEXT NOT NULL DEFAULT '',
            short TEXT NOT NULL DEFAULT ''
        ) STRICT
        """,
        "INSERT INTO pool (one) VALUES (1)",
        """
        CREATE TABLE daemon (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            pid INTEGER NOT NULL,
            since REAL NOT NULL,
            engine TEXT NOT NULL,
            slots INTEGER CHECK (slots > 0)
        ) STRICT
        """,
        """
        CREATE TABLE throttles (
            profile TEXT PRIMARY KEY,
            refused INTEGER NOT NULL CHECK (refused >= 0),
            until REAL,
            why TEXT NOT NULL,
            "limit" REAL CHECK ("limit" >= 1),
            limited INTEGER NOT NULL CHECK (limited >= 0),
            since REAL,
            named INTEGER NOT NULL CHECK (named IN (0, 1)),
            failing TEXT NOT NULL,
            failed INTEGER NOT NULL CHECK (failed >= 0)
        ) STRICT
        """,
        """
        CREATE TABLE target (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            remote TEXT NOT NULL,
            branch TEXT NOT NULL,
            sha TEXT,
            seen_at REAL,
            trouble TEXT NOT NULL DEFAULT ''
        ) STRICT
        """,
        """
        CREATE TABLE files (
            path TEXT PRIMARY KEY,
            stamp TEXT NOT NULL,
            names TEXT,
            sound INTEGER NOT NULL CHECK (sound IN (0, 1)),
            lines TEXT NOT NULL,
            problems TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX files_by_name ON files (names)",
        """
        CREATE TABLE worktrees (
            name TEXT PRIMARY KEY,
            setup_of TEXT NOT NULL DEFAULT '',
            retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1))
        ) STRICT
        """,
    ):
        db.execute(statement)


LATEST = ("m001_first",)


def shape_of(db: Database) -> int:
    """A number that differs where tables, indexes or triggers do."""
    made = db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '_sqlite%' ORDER BY name")
    return zlib.crc32("\n".join(" ".join(sql.split()) for (sql,) in made).encode()) & 0x7FFFFFFF
