"""The lane: what is landing, and how it came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlite_utils import Database

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.events import EventKind
from ticketd.domain.landing import Landed, Landing, Verification
from ticketd.domain.pool import TargetRecord
from ticketd.domain.ticket import TicketState
from ticketd.domain.verdict import Cancel, Fail, Requeue
from ticketd.store.pool import PoolTable
from ticketd.store.rows import proposal_text


class Landings(PoolTable):
    def set_phases(self, landings: Sequence[Landing], at: float) -> None:
        """Durable before the step is taken: what comes after a crash reads it here."""
        with self.connections.transaction() as db:
            for landing in landings:
                self._set_phase(db, landing, at)

    def _set_phase(self, db: Database, landing: Landing, at: float) -> None:
        said = {
            "phase": landing.phase,
            "onto": landing.onto,
            "candidate": landing.candidate,
            "races_lost": landing.races_lost,
            "trouble": landing.trouble,
            "trouble_since": landing.trouble_since,
            "not_before": landing.not_before,
            "passed_on": landing.passed_on,
            "refusals": landing.refusals,
            "note": landing.note,
        }
        key, proposal = landing.key, landing.proposal
        assignments = ", ".join(f"{column} = ?" for column in (*said, "proposal"))
        db.execute(
            f"UPDATE landings SET {assignments} WHERE ticket = ? AND attempt = ?",
            [*self._told(said).values(), proposal_text(proposal), key.ticket, key.number],
        )
        kind = EventKind.PROPOSED if landing.waits_for_people else EventKind.LANDING_PHASE
        self._event(db, at, kind, key.ticket, key.number, **said, proposal=proposal and asdict(proposal))

    def land(self, landed: Sequence[Landed], target: TargetRecord, at: float) -> None:
        """The claims go and the target moves in one transaction: who comes next starts from what has landed."""
        with self.connections.transaction() as db:
            for each in landed:
                self._land(db, each, at)
            self._set_target(db, target, at)

    def _land(self, db: Database, landed: Landed, at: float) -> None:
        key, commit, detail = landed.key, landed.commit, landed.detail
        proposed = self._rows(
            db, "SELECT json_extract(proposal, '$.url') AS url FROM landings WHERE ticket = ?", key.ticket
        )
        db.execute(
            "UPDATE attempts SET landing_s = ? - lane.queued_at FROM landings AS lane WHERE lane.ticket = ?"
            " AND attempts.ticket = lane.ticket AND attempts.number = lane.attempt",
            [at, key.ticket],
        )
        self._release(db, key.ticket)
        done = {"landed_sha": commit, "detail": detail, "deferrals": 0, "cancel_requested": 0}
        self._move(db, key.ticket, TicketState.LANDED, **done)
        told = {"commit": commit, "detail": detail, "proposal": proposed[0]["url"] if proposed else None}
        self._event(db, at, EventKind.LANDED, key.ticket, key.number, **told)

    def landed_as(self) -> dict[str, str]:
        rows = self._rows(self.connections.db, "SELECT id, landed_sha FROM tickets WHERE state = 'landed'")
        return {row["id"]: row["landed_sha"] for row in rows}

    def take_off(self, details: Mapping[str, str], why: str, at: float) -> None:
        with self.connections.transaction() as db:
            for ticket, detail in details.items():
                db.execute("UPDATE tickets SET detail = ? WHERE id = ?", [detail, ticket])
                self._event(db, at, EventKind.TAKEN_OFF, ticket, detail=detail)
            self._raise_alarm(db, why, at)

    def verification(self, tree: str, commands: str) -> Verification | None:
        return self._verification(self.connections.db, tree, commands)

    def _verification(self, db: Database, tree: str, commands: str) -> Verification | None:
        """What is forgotten is still known to have passed once, if it has."""
        known = "SELECT * FROM verifications WHERE tree = ? AND commands = ? AND passed IS NOT NULL"
        rows = self._rows(db, known, tree, commands)
        return Verification(bool(rows[0]["passed"]), rows[0]["detail"], rows[0]["runs"]) if rows else None

    def has_passed(self, commands: str) -> bool:
        """These commands have passed on some tree or other."""
        passed = "SELECT 1 FROM verifications WHERE commands = ? AND ever_passed LIMIT 1"
        return bool(self._rows(self.connections.db, passed, commands))

    def forget_failures(self) -> None:
        with self.connections.transaction() as db:
            self._forget_failures(db)

    def note_verification(
        self,
        tree: str,
        commands: tuple[str, str],
        said: Verification,
        of: Sequence[AttemptKey],
        seconds: float,
        at: float,
    ) -> None:
        every, among = commands
        with self.connections.transaction() as db:
            before = self._verification(db, tree, every)
            self._note_verification(db, tree, every, said, at)
            if said.passed and among != every:
                self._note_verification(db, tree, among, said, at)
            told = {
                "tree": tree,
                "passed": said.passed,
                "flaky": said.passed and before is not None and not before.passed,
                "detail": said.detail,
                "again": before is not None and not before.passed,
                "together": [key.ticket for key in of],
                "seconds": round(seconds, 3),
            }
            ticket, number = (of[-1].ticket, of[-1].number) if of else (None, None)
            self._event(db, at, EventKind.VERIFIED, ticket, number, **told)

    def _note_verification(self, db: Database, tree: str, commands: str, said: Verification, at: float) -> None:
        before = self._verification(db, tree, commands)
        runs, passed = 1 + (before.runs if before else 0), int(said.passed)
        remembered = passed if said.lasting else None
        db.execute(
            "INSERT INTO verifications (tree, commands, passed, ever_passed, detail, runs, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tree, commands) DO UPDATE SET passed = excluded.passed,"
            " ever_passed = MAX(ever_passed, excluded.ever_passed), detail = excluded.detail, runs = excluded.runs,"
            " at = excluded.at",
            [tree, commands, remembered, passed, self._fit("detail", said.detail), runs, at],
        )

    def landing_failed(self, key: AttemptKey, verdict: Requeue | Fail | Cancel, at: float) -> None:
        with self.connections.transaction() as db:
            if isinstance(verdict, Requeue | Fail):
                db.execute(
                    "UPDATE attempts SET reason = ?, detail = ? WHERE ticket = ? AND number = ?",
                    [verdict.reason, self._fit("detail", verdict.detail), key.ticket, key.number],
                )
            self._end(db, key, verdict, at)
