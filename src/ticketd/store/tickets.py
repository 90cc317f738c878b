"""What a person asks of single tickets."""

from __future__ import annotations

from dataclasses import asdict, replace

from sqlite_utils import Database

from ticketd.domain.attempt import AttemptKey, EndedFor
from ticketd.domain.events import EventKind
from ticketd.domain.review import BEFORE_IT_RUNS, Stale, check_approval, digest_of
from ticketd.domain.ticket import Gate, Priority, Reason, TicketRecord, TicketState
from ticketd.domain.verdict import Cancel, Fail
from ticketd.errors import BadInput
from ticketd.store.rows import attempt_of, landing_of
from ticketd.store.ticketfiles import TicketFilesTable

WAITING = (TicketState.QUEUED, TicketState.REVIEW, TicketState.FAILED, TicketState.SKIPPED)


class Tickets(TicketFilesTable):
    def hold(self, ticket: str, held: bool, at: float) -> None:
        with self.connections.transaction() as db:
            self._known(db, ticket)
            db.execute("UPDATE tickets SET held = ? WHERE id = ?", [held, ticket])
            self._event(db, at, EventKind.HELD if held else EventKind.UNHELD, ticket)

    def bump(self, ticket: str, priority: Priority, at: float) -> None:
        with self.connections.transaction() as db:
            self._known(db, ticket)
            db.execute("UPDATE tickets SET bumped = ? WHERE id = ?", [priority, ticket])
            self._event(db, at, EventKind.BUMPED, ticket, priority=priority)

    def cancel(self, ticket: str, at: float) -> TicketState:
        """Waiting: at once. Running or landing: asked for; the daemon ends it and keeps its work."""
        with self.connections.transaction() as db:
            record = self._known(db, ticket)
            if record.state in (TicketState.LANDED, TicketState.CANCELLED):
                raise BadInput(f"{ticket} is {record.state}", mend="There is nothing to cancel.")
            if record.state in WAITING:
                key = AttemptKey(ticket, max(record.attempts, 1))
                self._end(db, key, Cancel("cancelled by a person"), at)
                return TicketState.CANCELLED
            db.execute("UPDATE tickets SET cancel_requested = 1 WHERE id = ?", [ticket])
            self._event(db, at, EventKind.CANCEL_ASKED, ticket)
            return record.state

    def retry(self, ticket: str, at: float) -> TicketState:
        """Back to the queue; straight to the lane where the work was good and only the push was refused."""
        with self.connections.transaction() as db:
            record = self._known(db, ticket)
            if record.state not in (TicketState.FAILED, TicketState.SKIPPED, TicketState.CANCELLED):
                raise BadInput(f"{ticket} is {record.state}", mend="Failed, skipped and cancelled tickets are retried.")
            self._forget_failures(db)
            if record.reason is Reason.PUSH_REJECTED and self._reland(db, record, at):
                return TicketState.LANDING
            resume = record.attempts if self._was_out_of_budget(db, record) else None
            again = replace(record, failures=0, deferrals=0, resume=resume, repair=None, repairs=0, not_before=None)
            self._to_queue(db, replace(again, detail="retried by a person"), at)
            return TicketState.QUEUED

    def _was_out_of_budget(self, db: Database, record: TicketRecord) -> bool:
        """What it has paid for so far is not paid for twice."""
        last = self._attempt(db, AttemptKey(record.id, record.attempts))
        return record.reason is Reason.BUDGET and last is not None and last.ended_for is EndedFor.BUDGET

    def _reland(self, db: Database, record: TicketRecord, at: float) -> bool:
        rows = self._rows(
            db, "SELECT * FROM attempts WHERE ticket = ? AND tip IS NOT NULL ORDER BY number DESC LIMIT 1", record.id
        )
        if not rows:
            return False
        key = attempt_of(rows[0]).key
        if not self._reclaim(db, key):
            return False
        self._move(db, record.id, TicketState.LANDING)
        self._into_lane(db, key, at)
        return True

    def _reclaim(self, db: Database, key: AttemptKey) -> bool:
        """Hold the attempt's claim again, unless somebody holds one that overlaps. Whether it is held."""
        in_the_way = self._rows(
            db,
            "SELECT other.ticket FROM claims AS other, claims AS own WHERE other.held AND other.ticket <> own.ticket"
            " AND own.ticket = ? AND own.attempt = ?"
            " AND claims_overlap(other.patterns, own.patterns, own.shared) IS NOT NULL",
            key.ticket,
            key.number,
        )
        if not in_the_way:
            db.execute("UPDATE claims SET held = 1 WHERE ticket = ? AND attempt = ?", [key.ticket, key.number])
        return not in_the_way

    def _into_lane(self, db: Database, key: AttemptKey, at: float) -> None:
        """With the candidate of its last time there, if it had one: that may have been pushed; and with its pull
        request, which may be open."""
        db.execute(
            "INSERT INTO landings (ticket, attempt, base, tip, queued_at, phase, candidate, proposal)"
            " SELECT ticket, number, base, COALESCE(tip, ''), ?, 'queued', candidate, proposal FROM attempts"
            " WHERE ticket = ? AND number = ?",
            [at, key.ticket, key.number],
        )
        landing = landing_of(self._rows(db, "SELECT * FROM landings WHERE ticket = ?", key.ticket)[0])
        self._event(
            db,
            at,
            EventKind.LANDING_QUEUED,
            key.ticket,
            key.number,
            tip=landing.tip,
            candidate=landing.candidate,
            proposal=landing.proposal and asdict(landing.proposal),
            claim_held=self._holds_claim(db, key.ticket),
        )

    def _holds_claim(self, db: Database, ticket: str) -> bool:
        return bool(self._rows(db, "SELECT 1 FROM claims WHERE ticket = ? AND held", ticket))

    def ask_to_start(self, ticket: str, at: float) -> None:
        with self.connections.transaction() as db:
            if self._record(db, ticket).state is TicketState.QUEUED:
                self._move(db, ticket, TicketState.REVIEW, gate=Gate.START, detail=BEFORE_IT_RUNS)
                self._tell_review(db, ticket, None, Gate.START, BEFORE_IT_RUNS, at)

    def ask_to_land(self, key: AttemptKey, detail: str, release: bool, at: float) -> None:
        """Back from the lane: what was to land is not what a person has approved."""
        with self.connections.transaction() as db:
            self._release(db, key.ticket)
            if not release:
                self._reclaim(db, key)
            self._ask_to_land(db, key, detail, release, at)

    def _ask_to_land(self, db: Database, key: AttemptKey, detail: str, release: bool, at: float) -> None:
        if self._record(db, key.ticket).cancel_requested:
            self._end(db, key, Cancel("cancelled by a person; its work is kept"), at)
            return
        if release:
            self._release(db, key.ticket)
        self._move(db, key.ticket, TicketState.REVIEW, gate=Gate.LAND, detail=detail)
        self._tell_review(db, key.ticket, key.number, Gate.LAND, detail, at)

    def _tell_review(self, db: Database, ticket: str, attempt: int | None, gate: Gate, detail: str, at: float) -> None:
        held = self._holds_claim(db, ticket)
        self._event(db, at, EventKind.REVIEW_ASKED, ticket, attempt, gate=gate, detail=detail, claim_held=held)

    def skip(self, ticket: str, because: str, at: float) -> None:
        with self.connections.transaction() as db:
            if self._record(db, ticket).state is TicketState.QUEUED:
                detail = f"{because} did not land"
                self._move(db, ticket, TicketState.SKIPPED, reason=Reason.DEPENDENCY_FAILED, detail=detail)
                self._event(db, at, EventKind.SKIPPED, ticket, because=because, detail=detail)

    def note_shown(self, ticket: str, commit: str, at: float) -> None:
        with self.connections.transaction() as db:
            if self._in_review(db, ticket).shown != commit:
                db.execute("UPDATE tickets SET shown = ? WHERE id = ?", [commit, ticket])
                self._event(db, at, EventKind.REVIEW_SHOWN, ticket, commit=commit)

    def approve(self, ticket: str, at: float, commit: str | None = None) -> TicketState | Stale:
        """A ticket whose work is kept goes to the lane, one that has not run yet to the queue."""
        with self.connections.transaction() as db:
            return self._approve(db, self._in_review(db, ticket), commit, at)

    def _approve(self, db: Database, record: TicketRecord, commit: str | None, at: float) -> TicketState | Stale:
        work = self._attempt(db, AttemptKey(record.id, record.attempts)) if record.gate_at is Gate.LAND else None
        there = work.tip or "" if work else self._digest(db, record.id)
        if stale := check_approval(there, record.shown, commit):
            return stale
        if work is None:
            self._event(db, at, EventKind.APPROVED, record.id, gate=Gate.START, commit=there)
            self._move(db, record.id, TicketState.QUEUED, start_approved=1, shown=None)
            return TicketState.QUEUED
        self._land_approved(db, work.key, there, at)
        return TicketState.LANDING

    def _digest(self, db: Database, ticket: str) -> str:
        whole = self._whole(db, ticket)
        assert whole is not None, ticket
        return digest_of(whole.ticket)

    def _land_approved(self, db: Database, key: AttemptKey, tip: str, at: float) -> None:
        """Should others hold its files by now, it lands without a claim: waiting for them could take for ever, and
        what they write is rebased onto it and verified again."""
        self._reclaim(db, key)
        self._event(db, at, EventKind.APPROVED, key.ticket, key.number, gate=Gate.LAND, commit=tip)
        self._move(db, key.ticket, TicketState.LANDING, approved=tip)
        self._into_lane(db, key, at)

    def reject(self, ticket: str, reason: str, at: float) -> None:
        with self.connections.transaction() as db:
            record = self._in_review(db, ticket)
            key = AttemptKey(ticket, max(record.attempts, 1))
            self._end(db, key, Fail(Reason.REJECTED, reason), at)

    def _in_review(self, db: Database, ticket: str) -> TicketRecord:
        record = self._known(db, ticket)
        if record.state is not TicketState.REVIEW:
            raise BadInput(f"{ticket} is {record.state}, not in review", mend="`ticketd review` lists those that are.")
        return record

    def _known(self, db: Database, ticket: str) -> TicketRecord:
        if not self._rows(db, "SELECT 1 FROM tickets WHERE id = ?", ticket):
            raise BadInput(f"there is no ticket {ticket}", mend="`ticketd list` shows all.")
        return self._record(db, ticket)
