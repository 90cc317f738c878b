"""The lane: what is landing, and how it came out."""

from __future__ import annotations

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.events import EventKind
from ticketd.domain.landing import Landing
from ticketd.domain.pool import TargetRecord
from ticketd.domain.ticket import TicketState
from ticketd.domain.verdict import Cancel, Fail, Requeue
from ticketd.store.base import storable
from ticketd.store.pool import PoolTable


class Landings(PoolTable):
    def set_phase(self, landing: Landing, at: float) -> None:
        """Durable before the step is taken: what comes after a crash reads it here."""
        with self.connections.transaction() as db:
            db.execute(
                "UPDATE landings SET phase = ?, onto = ?, candidate = ?, races_lost = ?, trouble = ?,"
                " trouble_since = ?, not_before = ? WHERE ticket = ? AND attempt = ?",
                [
                    landing.phase,
                    landing.onto,
                    landing.candidate,
                    landing.races_lost,
                    storable(landing.trouble),
                    landing.trouble_since,
                    landing.not_before,
                    landing.key.ticket,
                    landing.key.number,
                ],
            )
            self._event(
                db,
                at,
                EventKind.LANDING_PHASE,
                landing.key.ticket,
                landing.key.number,
                phase=landing.phase,
                onto=landing.onto,
                candidate=landing.candidate,
                races_lost=landing.races_lost,
                trouble=landing.trouble,
                trouble_since=landing.trouble_since,
                not_before=landing.not_before,
            )

    def land(self, key: AttemptKey, commit: str, target: TargetRecord, detail: str, at: float) -> None:
        """The claim goes and the target moves in one transaction: who comes next starts from what has landed."""
        with self.connections.transaction() as db:
            db.execute(
                "UPDATE attempts SET landing_s = ? - lane.queued_at FROM landings AS lane WHERE lane.ticket = ?"
                " AND attempts.ticket = lane.ticket AND attempts.number = lane.attempt",
                [at, key.ticket],
            )
            self._release(db, key.ticket)
            self._move(
                db, key.ticket, TicketState.LANDED, landed_sha=commit, detail=detail, deferrals=0, cancel_requested=0
            )
            self._event(db, at, EventKind.LANDED, key.ticket, key.number, commit=commit, detail=detail)
            self._set_target(db, target, at)

    def landing_failed(self, key: AttemptKey, verdict: Requeue | Fail | Cancel, at: float) -> None:
        with self.connections.transaction() as db:
            if isinstance(verdict, Requeue | Fail):
                db.execute(
                    "UPDATE attempts SET reason = ?, detail = ? WHERE ticket = ? AND number = ?",
                    [verdict.reason, storable(verdict.detail), key.ticket, key.number],
                )
            self._end(db, key, verdict, at)
