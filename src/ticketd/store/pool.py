"""The pool as a whole: pause, slots, stop; the daemon; the target; the worktrees."""

from __future__ import annotations

from sqlite_utils import Database

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.events import EventKind
from ticketd.domain.pool import DaemonRecord, Stop, TargetRecord
from ticketd.store.throttles import Throttles


class PoolTable(Throttles):
    def pause(self, why: str, at: float) -> None:
        with self.connections.transaction() as db:
            db.execute("UPDATE pool SET paused = ?", [self._fit("why", why)])
            self._event(db, at, EventKind.PAUSED, why=why)

    def resume(self, at: float) -> None:
        with self.connections.transaction() as db:
            db.execute("UPDATE pool SET paused = '', alarm = ''")
            self._event(db, at, EventKind.RESUMED)
            self._lift_all(db, at)

    def raise_alarm(self, why: str, at: float, key: AttemptKey | None = None) -> None:
        with self.connections.transaction() as db:
            db.execute("UPDATE pool SET alarm = ?", [self._fit("why", why)])
            self._event(db, at, EventKind.ALARM, key.ticket if key else None, key.number if key else None, why=why)

    def set_slots(self, slots: int | None, at: float) -> None:
        with self.connections.transaction() as db:
            db.execute("UPDATE pool SET slots = ?", [slots])
            db.execute("UPDATE daemon SET slots = NULL")
            self._event(db, at, EventKind.SLOTS_SET, slots=slots)

    def ask_stop(self, stop: Stop, at: float) -> None:
        with self.connections.transaction() as db:
            db.execute("UPDATE pool SET stop = ?", [stop])
            self._event(db, at, EventKind.STOP_ASKED, how=stop)

    def daemon_started(self, record: DaemonRecord) -> None:
        """What was asked of an earlier daemon is over."""
        with self.connections.transaction() as db:
            db.execute("UPDATE pool SET stop = NULL, aborted = ''")
            db.execute(
                "INSERT OR REPLACE INTO daemon (one, pid, since, engine, slots) VALUES (1, ?, ?, ?, ?)",
                [record.pid, record.since, record.engine, record.slots],
            )
            self._event(
                db, record.since, EventKind.DAEMON_STARTED, pid=record.pid, engine=record.engine, slots=record.slots
            )

    def daemon_stopped(self, at: float) -> None:
        with self.connections.transaction() as db:
            db.execute("DELETE FROM daemon")
            self._event(db, at, EventKind.DAEMON_STOPPED)

    def set_target(self, target: TargetRecord, at: float) -> None:
        with self.connections.transaction() as db:
            self._set_target(db, target, at)

    def _set_target(self, db: Database, target: TargetRecord, at: float) -> None:
        rows = self._rows(db, "SELECT * FROM target")
        before = rows[0] if rows else {"sha": None, "trouble": ""}
        db.execute(
            "INSERT OR REPLACE INTO target (one, remote, branch, sha, seen_at, trouble) VALUES (1, ?, ?, ?, ?, ?)",
            [target.remote, target.branch, target.sha, target.seen_at, self._fit("trouble", target.trouble)],
        )
        if target.sha != before["sha"]:
            self._event(db, at, EventKind.TARGET_MOVED, old=before["sha"], new=target.sha)
        if target.trouble and self._fit("trouble", target.trouble) != before["trouble"]:
            self._event(db, at, EventKind.TARGET_TROUBLE, detail=target.trouble)

    def add_worktree(self, name: str) -> None:
        with self.connections.transaction() as db:
            db.execute("INSERT OR IGNORE INTO worktrees (name) VALUES (?)", [name])

    def set_worktree_setup(self, name: str, setup_of: str) -> None:
        with self.connections.transaction() as db:
            db.execute(
                "INSERT INTO worktrees (name, setup_of) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET setup_of = excluded.setup_of, retired = 0",
                [name, setup_of],
            )

    def note(self, kind: EventKind, at: float, key: AttemptKey | None = None, **data: object) -> None:
        with self.connections.transaction() as db:
            self._event(db, at, kind, key.ticket if key else None, key.number if key else None, **data)
