"""Whether the tables hold what the events tell."""

from __future__ import annotations

from collections.abc import Iterator

from sqlite_utils import Database

from ticketd.domain.events import Event
from ticketd.domain.pool import Pool, Stop
from ticketd.domain.replay import replay
from ticketd.domain.standing import Standing, attempt_as_told, differences
from ticketd.store.reading import Reading
from ticketd.store.rows import attempt_of, claim_of, event_of

PAGE = 1000


class Standings(Reading):
    def standing(self) -> Standing:
        """What the tables hold at one moment."""
        with self.connections.reading() as db:
            return self._standing(db)

    def disagreements(self) -> list[str]:
        """Where the tables are not what the events tell, of one moment; empty if all is well.

        Raises:
            KeyError, TypeError, ValueError: the events do not make sense.
        """
        with self.connections.reading() as db:
            return list(differences(self._standing(db), replay(self._all_events(db))))

    def _standing(self, db: Database) -> Standing:
        rows = self._rows(db, "SELECT * FROM attempts")
        attempts = [attempt_of(row) for row in rows]
        claims = [claim_of(row) for row in self._rows(db, "SELECT * FROM claims WHERE held")]
        pool, target = self._rows(db, "SELECT * FROM pool")[0], self._target(db)
        return Standing(
            tickets=self._tickets(db),
            withdrawn=frozenset(row["id"] for row in self._rows(db, "SELECT id FROM tickets WHERE withdrawn")),
            attempts={attempt.key: attempt_as_told(attempt) for attempt in attempts},
            lane_s={
                a.key: row["landing_s"] for a, row in zip(attempts, rows, strict=True) if row["landing_s"] is not None
            },
            claims={claim.ticket: claim for claim in claims},
            collisions=frozenset(self._collisions(db)),
            landings={landing.key.ticket: landing for landing in self._landings(db)},
            # Not as `pool()` gives it: what `start --slots` asked for stands with the daemon.
            pool=Pool(
                pool["slots"],
                pool["paused"],
                pool["stop"] and Stop(pool["stop"]),
                pool["aborted"],
                pool["alarm"],
                pool["short"],
            ),
            daemon=self._daemon(db),
            target=target.sha if target else None,
            throttles=self._throttles(db),
        )

    def _all_events(self, db: Database) -> Iterator[Event]:
        """Page by page: a log may be larger than memory."""
        last = 0
        while rows := self._rows(db, "SELECT * FROM events WHERE number > ? ORDER BY number LIMIT ?", last, PAGE):
            yield from map(event_of, rows)
            last = rows[-1]["number"]
