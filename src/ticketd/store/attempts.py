"""Attempts and the claims they hold."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby

from sqlite_utils import Database

from ticketd.domain.attempt import AttemptKey, AttemptState, Drift, EndedFor
from ticketd.domain.events import EventKind
from ticketd.domain.globs import PatternSet
from ticketd.domain.repair import RepairKind
from ticketd.domain.report import Report, as_told
from ticketd.domain.review import BEFORE_IT_LANDS
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.throttle import Capacity, refused, started
from ticketd.domain.ticket import TicketRecord, TicketState
from ticketd.domain.verdict import Cancel, Fail, Requeue, ToLanding, Verdict
from ticketd.domain.widening import Widening, widen
from ticketd.ports import Kept, Pulse
from ticketd.store.base import storable
from ticketd.store.rows import Row, claim_of, dump, patterns_text
from ticketd.store.throttles import Throttles
from ticketd.store.tickets import Tickets

LIVE = (AttemptState.PREPARING, AttemptState.RUNNING, AttemptState.COLLECTING)
OF_AN_ATTEMPT = (
    ("collisions", "ticket", "attempt"),
    ("collisions", "other", "other_attempt"),
    ("claims", "ticket", "attempt"),
    ("attempts", "ticket", "number"),
)


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where an attempt begins; see `Attempt`."""

    base: str
    resumes: str | None = None
    mends: RepairKind | None = None
    merges: str | None = None


class Attempts(Tickets, Throttles):
    def dispatch(
        self, start: Start, record: TicketRecord, base: str, shared: PatternSet, at: float, batch: int = 0
    ) -> AttemptKey | str:
        """Check and claim in one transaction. The schema refuses a slot, ticket or file that is taken."""
        try:
            with self.connections.transaction() as db:
                now = self._record(db, start.ticket)
                if (now.state, now.held, now.start_approved, now.ticket) != (
                    TicketState.QUEUED,
                    False,
                    record.start_approved,
                    replace(record.ticket, body=""),
                ):
                    return f"{start.ticket} has changed meanwhile"
                if (pool := self._rows(db, "SELECT * FROM pool")[0])["paused"] or pool["stop"] or pool["short"]:
                    return "the pool was paused or stopped meanwhile, or the disk is full"
                key = AttemptKey(start.ticket, now.attempts + 1)
                self._dispatch(db, key, start, self._begins(db, now, base), at, batch)
                db.execute(
                    "INSERT INTO claims (ticket, attempt, patterns, shared, held) VALUES (?, ?, ?, ?, 1)",
                    [key.ticket, key.number, patterns_text(record.ticket.touches), patterns_text(shared)],
                )
                return key
        except sqlite3.IntegrityError as error:
            return str(error)

    def _begins(self, db: Database, record: TicketRecord, base: str) -> Beginning:
        """At the base; where an earlier attempt made way, from what that one has done, on its base; where there is
        something to mend, from that. What made way while it was mending goes on mending."""
        repair = record.repair
        earlier = None if record.resume is None else self._attempt(db, AttemptKey(record.id, record.resume))
        if earlier is not None and earlier.tip is not None:
            return Beginning(earlier.base, earlier.tip, repair.kind if repair else None)
        return Beginning(repair.base, repair.tip, repair.kind, repair.merges) if repair else Beginning(base)

    def _dispatch(self, db: Database, key: AttemptKey, start: Start, begins: Beginning, at: float, batch: int) -> None:
        told = {"slot": start.slot, "agent": start.agent, "batch": batch, **asdict(begins)}
        columns = {"ticket": key.ticket, "number": key.number, "state": "preparing", "dispatched_at": at, **told}
        db.execute(
            f"INSERT INTO attempts ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            list(columns.values()),
        )
        self._move(db, key.ticket, TicketState.RUNNING, attempts=key.number, approved=None)
        self._event(db, at, EventKind.DISPATCHED, key.ticket, key.number, **told)

    def start_refused(self, key: AttemptKey, detail: str, at: float) -> None:
        """The whole batch was refused if this profile has no other attempt of it: those refused before are gone too."""
        with self.connections.transaction() as db:
            attempt = self._attempt(db, key)
            if attempt is None or attempt.state is not AttemptState.PREPARING:
                return
            for table, ticket, number in OF_AN_ATTEMPT:
                db.execute(f"DELETE FROM {table} WHERE {ticket} = ? AND {number} = ?", [key.ticket, key.number])
            self._event(db, at, EventKind.START_REFUSED, key.ticket, key.number, agent=attempt.agent, detail=detail)
            self._undo(db, key, detail, at)
            siblings = self._rows(
                db, "SELECT 1 FROM attempts WHERE batch = ? AND agent = ? LIMIT 1", attempt.batch, attempt.agent
            )
            before = self._throttle(db, attempt.agent)
            self._set_throttle(db, before, refused(before, not siblings, at, detail), at)

    def pass_over(self, key: AttemptKey, at: float) -> None:
        """Attempts up to this one have been, though the store knows nothing of them: their numbers are not given again,
        for the runs and refs that go by them are there."""
        with self.connections.transaction() as db:
            db.execute("UPDATE tickets SET attempts = ? WHERE id = ?", [key.number, key.ticket])
            why = f"the next is attempt {key.number + 1}"
            self._event(db, at, EventKind.PASSED_OVER, key.ticket, key.number, why=why)

    def _undo(self, db: Database, key: AttemptKey, detail: str, at: float) -> None:
        """The ticket as before its dispatch, unless a person has asked for its end meanwhile."""
        db.execute("UPDATE tickets SET attempts = ? WHERE id = ?", [key.number - 1, key.ticket])
        if self._rows(db, "SELECT 1 FROM tickets WHERE id = ? AND (withdrawn OR cancel_requested)", key.ticket):
            self._end(db, key, Requeue(detail), at)
        else:
            self._move(db, key.ticket, TicketState.QUEUED, detail=detail)

    def preempt(self, key: AttemptKey, for_ticket: str, at: float) -> None:
        """Asked for; the slot is taken until its process tree is gone."""
        with self.connections.transaction() as db:
            attempt = self._attempt(db, key)
            if attempt is not None and attempt.state is AttemptState.RUNNING and not attempt.is_ending:
                self._set(db, key, preempted=1)
                self._event(db, at, EventKind.PREEMPTED, key.ticket, key.number, **{"for": for_ticket})

    def restart(self, key: AttemptKey, onto: str, paths: Sequence[str], at: float) -> None:
        """Asked for, like a preemption."""
        with self.connections.transaction() as db:
            attempt = self._attempt(db, key)
            if attempt is None or attempt.state is not AttemptState.RUNNING or attempt.is_ending:
                return
            self._set(db, key, restarted=1)
            self._event(db, at, EventKind.RESTART_ASKED, key.ticket, key.number, onto=onto, paths=list(paths))

    def end_for(self, key: AttemptKey, ended_for: EndedFor, why: str, at: float) -> None:
        """Asked for, like a preemption; the reason stands before any other."""
        with self.connections.transaction() as db:
            attempt = self._attempt(db, key)
            if attempt is None or attempt.state is not AttemptState.RUNNING or attempt.ended_for is not None:
                return
            self._set(db, key, ended_for=ended_for, detail=why)
            self._event(db, at, EventKind.END_ASKED, key.ticket, key.number, why=why, **{"for": ended_for})

    def set_worktree(self, key: AttemptKey, worktree: str) -> None:
        with self.connections.transaction() as db:
            db.execute("INSERT OR IGNORE INTO worktrees (name) VALUES (?)", [worktree])
            self._set(db, key, worktree=worktree)

    def attempt_started(self, key: AttemptKey, worktree: str, pid: int, at: float) -> None:
        with self.connections.transaction() as db:
            attempt = self._attempt(db, key)
            if attempt is None or attempt.state is not AttemptState.PREPARING:
                return
            self._set(db, key, state="running", worktree=worktree, pid=pid, started_at=at)
            self._event(db, at, EventKind.STARTED, key.ticket, key.number, pid=pid)
            before = self._throttle(db, attempt.agent)
            self._set_throttle(db, before, started(before), at)

    def attempt_over(self, key: AttemptKey, exit_code: int | None, outcome: str, detail: str, at: float) -> None:
        with self.connections.transaction() as db:
            attempt = self._attempt(db, key)
            if attempt is None or attempt.state not in (AttemptState.PREPARING, AttemptState.RUNNING):
                return
            if attempt.ended_for is not None and outcome == "ended":
                detail = attempt.detail
            ended = {"exit_code": exit_code, "outcome": outcome, "detail": detail, "ended_at": at}
            self._set(db, key, state="collecting", **ended, pid=None, held_up="")
            self._event(
                db, at, EventKind.AGENT_ENDED, key.ticket, key.number, exit_code=exit_code, how=outcome, detail=detail
            )

    def pulse(self, pulses: Mapping[AttemptKey, Pulse]) -> None:
        with self.connections.transaction() as db:
            for key, pulse in pulses.items():
                seen = {"heartbeat_at": pulse.at, "output_at": pulse.log_at, "output_bytes": pulse.log_bytes}
                self._set(db, key, **seen, held_up=pulse.held_up)

    def seen_to_cost(self, spent: Mapping[AttemptKey, float]) -> None:
        with self.connections.transaction() as db:
            for key, usd in spent.items():
                self._set(db, key, spent_usd=usd)

    def held_up(self, key: AttemptKey, why: str) -> None:
        with self.connections.transaction() as db:
            self._set(db, key, held_up=why)

    def set_drift(self, key: AttemptKey, behind: int, drift: Drift, paths: Sequence[str], at: float) -> None:
        with self.connections.transaction() as db:
            before = self._attempt(db, key)
            if before is None or before.state not in LIVE:
                return
            if (before.behind, before.drift, before.drift_paths) == (behind, drift, tuple(paths)):
                return
            self._set(db, key, behind=behind, drift=drift, drift_paths=dump(list(paths)))
            if before.drift is not drift:
                self._event(
                    db, at, EventKind.DRIFTED, key.ticket, key.number, drift=drift, behind=behind, paths=list(paths)
                )

    def close_attempt(
        self,
        key: AttemptKey,
        kept: Kept | None,
        verdict: Verdict,
        report: Report,
        at: float,
        *,
        retire: bool,
        capacity: Capacity | None = None,
    ) -> None:
        with self.connections.transaction() as db:
            attempt = self._attempt(db, key)
            if attempt is None or attempt.state not in LIVE:
                return
            if capacity is not None:
                self._learn(db, attempt, capacity, at)
            if retire:
                self._retire(db, key, at)
            reason = verdict.reason if isinstance(verdict, Requeue | Fail) else None
            told = as_told(report)
            columns = {**told, "usage": dump(told["usage"])}
            over = {"state": "ended", "tip": kept.tip if kept else None, "pid": None, "spent_usd": None}
            self._set(db, key, reason=reason, **over, **columns)
            cost = report.cost_usd or 0.0
            db.execute("UPDATE tickets SET spent_usd = spent_usd + ? WHERE id = ?", [cost, key.ticket])
            if kept:
                self._event(
                    db, at, EventKind.WORK_KEPT, key.ticket, key.number, tip=kept.tip, changed=len(kept.changed)
                )
            self._event(db, at, EventKind.ATTEMPT_CLOSED, key.ticket, key.number, **told)
            match verdict:
                case ToLanding():
                    if verdict.warn:
                        paths = list(verdict.outside)
                        self._event(db, at, EventKind.OUTSIDE_CLAIM, key.ticket, key.number, paths=paths)
                    self._extend(db, key, self._widening(db, key, verdict.outside), at)
                    self._to_landing(db, key, verdict, at)
                case Requeue() | Fail() | Cancel():
                    self._end(db, key, verdict, at)

    def _retire(self, db: Database, key: AttemptKey, at: float) -> None:
        rows = self._rows(db, "SELECT worktree FROM attempts WHERE ticket = ? AND number = ?", key.ticket, key.number)
        db.execute("UPDATE worktrees SET retired = 1 WHERE name = ?", [rows[0]["worktree"]])
        self._event(db, at, EventKind.WORKTREE_RETIRED, key.ticket, key.number, worktree=rows[0]["worktree"])

    def _to_landing(self, db: Database, key: AttemptKey, verdict: ToLanding, at: float) -> None:
        if verdict.review:
            self._ask_to_land(db, key, verdict.detail or BEFORE_IT_LANDS, verdict.release, at)
            return
        self._move(db, key.ticket, TicketState.LANDING)
        self._into_lane(db, key, at)

    def extend_claim(self, key: AttemptKey, paths: Sequence[str], at: float) -> None:
        """Asked again and again while an agent runs, and seldom with news: then the store is only read."""
        with self.connections.reading() as db:
            if self._news(db, key, paths) == Widening():
                return
        with self.connections.transaction() as db:
            self._extend(db, key, self._news(db, key, paths), at)

    def _news(self, db: Database, key: AttemptKey, paths: Sequence[str]) -> Widening:
        """What is kept of an attempt settles what it has written: what was seen before that is no news any more."""
        attempt = self._attempt(db, key)
        return self._widening(db, key, paths) if attempt is not None and attempt.state in LIVE else Widening()

    def _widening(self, db: Database, key: AttemptKey, paths: Sequence[str]) -> Widening:
        """What is new of it. Nothing for a claim that is not held: its attempt is over."""
        held = {row["ticket"]: row for row in self._rows(db, "SELECT * FROM claims WHERE held ORDER BY ticket")}
        own = held.pop(key.ticket, None)
        if not paths or own is None or own["attempt"] != key.number:
            return Widening()
        shared = PatternSet(tuple(json.loads(own["shared"])))
        found = widen(claim_of(own), paths, [claim_of(row) for row in held.values()], shared)
        known = {(row["other"], row["other_attempt"], row["path"]) for row in self._collisions_of(db, key)}
        fresh = (
            each
            for each in found.collisions
            if (each.other, held[each.other]["attempt"], storable(each.path)) not in known
        )
        return Widening(found.added, tuple(fresh))

    def _collisions_of(self, db: Database, key: AttemptKey) -> list[Row]:
        return self._rows(db, "SELECT * FROM collisions WHERE ticket = ? AND attempt = ?", key.ticket, key.number)

    def _extend(self, db: Database, key: AttemptKey, widening: Widening, at: float) -> None:
        if widening.added and self._add_to_claim(db, key, widening.added):
            self._event(db, at, EventKind.CLAIM_EXTENDED, key.ticket, key.number, patterns=list(widening.added))
        for other, group in groupby(widening.collisions, key=lambda each: each.other):
            paths = [storable(each.path) for each in group]
            for path in paths:
                db.execute(
                    "INSERT INTO collisions SELECT ?, ?, ticket, attempt, ? FROM claims WHERE ticket = ? AND held",
                    [key.ticket, key.number, path, other],
                )
            self._event(
                db, at, EventKind.CLAIM_COLLIDED, key.ticket, key.number, **{"with": other, "paths": list(paths)}
            )

    def _add_to_claim(self, db: Database, key: AttemptKey, added: Sequence[str]) -> bool:
        """Not where the schema refuses: of all patterns together it may suspect more than of each."""
        row = self._rows(db, "SELECT * FROM claims WHERE ticket = ? AND held", key.ticket)[0]
        wider = PatternSet((*claim_of(row).patterns.patterns, *added))
        try:
            db.execute("UPDATE claims SET patterns = ? WHERE ticket = ? AND held", [patterns_text(wider), key.ticket])
        except sqlite3.IntegrityError:
            return False
        return True

    def _set(self, db: Database, key: AttemptKey, **columns: object) -> None:
        """Only of a live attempt: what has ended stays as it was."""
        assignments = ", ".join(f"{column} = ?" for column in columns)
        db.execute(
            f"UPDATE attempts SET {assignments} WHERE ticket = ? AND number = ? AND state <> 'ended'",
            [*self._told(columns).values(), key.ticket, key.number],
        )
