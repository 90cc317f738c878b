"""What has landed, and what is learned from it."""

from __future__ import annotations

from ticketd.domain.estimates import Estimates, Sample, learn
from ticketd.domain.ticket import Size
from ticketd.store.base import Tables
from ticketd.store.connection import Connections

REMEMBERED = 2000
"""Attempts to learn from; `learn` takes the newest of each group."""

WORTH_LEARNING = 1.5

HOW_MANY = "SELECT COUNT(*) AS landed FROM attempts WHERE landing_s IS NOT NULL"
SAMPLES = """
    SELECT json_extract(spec, '$.size') AS size, json_extract(spec, '$.scope') AS scope, agent,
        ended_at - dispatched_at AS seconds, landing_s
    FROM attempts INDEXED BY attempts_that_landed JOIN tickets ON tickets.id = ticket
    WHERE landing_s IS NOT NULL AND ended_at IS NOT NULL AND mends IS NULL
    ORDER BY ended_at DESC, ticket LIMIT ?
"""


class History(Tables):
    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._learned = (0, Estimates())

    def samples(self, limit: int) -> tuple[Sample, ...]:
        rows = self._rows(self.connections.db, SAMPLES, limit)
        return tuple(Sample(Size(r["size"]), r["scope"], r["agent"], r["seconds"], r["landing_s"]) for r in rows)

    def estimates(self) -> Estimates:
        # Asked for at each tick, and other estimates rank the whole queue anew: half as many again must have landed.
        landed = self._rows(self.connections.db, HOW_MANY)[0]["landed"]
        if not self._learned[0] <= landed <= self._learned[0] * WORTH_LEARNING:
            self._learned = (landed, learn(self.samples(REMEMBERED)))
        return self._learned[1]
