"""What has been learned of the capacity of agent profiles, kept from one daemon to the next."""

from __future__ import annotations

from dataclasses import asdict
from typing import assert_never

from sqlite_utils import Database

from ticketd.domain.attempt import Attempt
from ticketd.domain.events import EventKind
from ticketd.domain.throttle import (
    Capacity,
    Failing,
    Limited,
    Served,
    Throttle,
    failed,
    is_blank,
    is_harder,
    limited,
    succeeded,
)
from ticketd.store.base import Tables
from ticketd.store.rows import throttle_of


class Throttles(Tables):
    def _throttle(self, db: Database, profile: str) -> Throttle:
        rows = self._rows(db, "SELECT * FROM throttles WHERE profile = ?", profile)
        return throttle_of(rows[0]) if rows else Throttle(profile)

    def _learn(self, db: Database, attempt: Attempt, capacity: Capacity, at: float) -> None:
        """Call while the attempt still counts among those that run."""
        match capacity:
            case Limited(profiles, until, detail):
                for profile in profiles:
                    before, running = self._throttle(db, profile), self._running(db, profile)
                    after = limited(before, running, attempt.dispatched_at, at, until, detail)
                    self._set_throttle(db, before, after, at)
            case Served(caps):
                for profile, cap in caps.items():
                    before = self._throttle(db, profile)
                    self._set_throttle(db, before, succeeded(before, cap), at)
            case Failing(profile, detail, at_once):
                before, ticket = self._throttle(db, profile), attempt.key.ticket
                after = failed(before, ticket, attempt.dispatched_at, at, detail, at_once)
                self._set_throttle(db, before, after, at)
            case _:
                assert_never(capacity)

    def _running(self, db: Database, profile: str) -> int:
        """Those just ended count: a burst of answers comes one by one."""
        found = self._rows(
            db,
            "SELECT COUNT(*) AS count FROM attempts WHERE agent = ? AND state IN ('running', 'collecting')",
            profile,
        )
        return int(found[0]["count"])

    def _set_throttle(self, db: Database, before: Throttle, after: Throttle, at: float) -> None:
        """With its event, which holds all of the new value; none where nothing has changed."""
        if after == before:
            return
        if is_blank(after, at):
            self._lift(db, after.profile, at)
            return
        values = asdict(after)
        names, marks = ", ".join(f'"{name}"' for name in values), ", ".join("?" for _ in values)
        db.execute(f"INSERT OR REPLACE INTO throttles ({names}) VALUES ({marks})", [*self._told(values).values()])
        kind = EventKind.THROTTLED if is_harder(after, before, at) else EventKind.THROTTLE_EASED
        self._event(db, at, kind, **values)

    def _lift(self, db: Database, profile: str, at: float) -> None:
        db.execute("DELETE FROM throttles WHERE profile = ?", [profile])
        self._event(db, at, EventKind.THROTTLE_LIFTED, profile=profile)

    def _lift_all(self, db: Database, at: float) -> None:
        for row in self._rows(db, "SELECT profile FROM throttles ORDER BY profile"):
            self._lift(db, row["profile"], at)
