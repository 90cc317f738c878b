"""What a person brings into the lane: kept work that is to land now, and a commit that no agent has made."""

from __future__ import annotations

from typing import assert_never

from sqlite_utils import Database

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.events import EventKind
from ticketd.domain.globs import PatternSet
from ticketd.domain.landing import Phase
from ticketd.domain.review import Stale
from ticketd.domain.ticket import Gate, Ticket, TicketRecord, TicketState
from ticketd.errors import BadInput
from ticketd.ports import InTheWay
from ticketd.store.rows import landing_of, patterns_text
from ticketd.store.tickets import Tickets


class ByHand(Tickets):
    def land_ahead(self, ticket: str, at: float, commit: str | None = None) -> TicketState | Stale | InTheWay:
        """To the front of the lane, from wherever its work is."""
        with self.connections.transaction() as db:
            record = self._known(db, ticket)
            match record.state:
                case TicketState.LANDING:
                    self._must_be_in_the_lane(db, ticket)
                case TicketState.REVIEW:
                    if stale := self._approve_to_land(db, record, commit, at):
                        return stale
                case TicketState.FAILED | TicketState.CANCELLED:
                    if held := self._bring_back(db, record, at):
                        return held
                case TicketState.QUEUED | TicketState.RUNNING | TicketState.SKIPPED | TicketState.LANDED:
                    raise BadInput(f"{ticket} is {record.state}", mend=_instead(record))
                case _:
                    assert_never(record.state)
            self._put_ahead(db, ticket, at)
            return record.state

    def _must_be_in_the_lane(self, db: Database, ticket: str) -> None:
        if self._record(db, ticket).cancel_requested:
            raise BadInput(f"{ticket} is being cancelled", mend=f"`ticketd land {ticket}` lands it once it is.")
        landing = landing_of(self._rows(db, "SELECT * FROM landings WHERE ticket = ?", ticket)[0])
        if landing.phase is Phase.PROPOSED and landing.proposal is not None:
            raise BadInput(f"{ticket} waits for {landing.proposal.url}", mend="It lands when that is merged.")

    def _approve_to_land(self, db: Database, record: TicketRecord, commit: str | None, at: float) -> Stale | None:
        if record.gate_at is not Gate.LAND:
            mend = f"`ticketd review approve {record.id}` lets it run."
            raise BadInput(f"{record.id} waits for a person before it runs: there is nothing to land", mend=mend)
        answer = self._approve(db, record, commit, at)
        return answer if isinstance(answer, Stale) else None

    def _bring_back(self, db: Database, record: TicketRecord, at: float) -> InTheWay | None:
        """Work that was given up lands as any other: its claim has to be free, and what wants a person's word still
        does."""
        key = self._newest_work(db, record.id)
        if key is None:
            raise BadInput(f"no attempt of {record.id} has left work", mend=_instead(record))
        if not self._reclaim(db, key):
            return self._in_the_way(db, key)
        self._forget_failures(db)
        self._move(db, record.id, TicketState.LANDING, cancel_requested=0)
        self._into_lane(db, key, at)
        return None

    def _newest_work(self, db: Database, ticket: str) -> AttemptKey | None:
        rows = self._rows(
            db,
            "SELECT number FROM attempts WHERE ticket = ? AND tip IS NOT NULL AND tip <> base"
            " ORDER BY number DESC LIMIT 1",
            ticket,
        )
        return AttemptKey(ticket, rows[0]["number"]) if rows else None

    def _in_the_way(self, db: Database, key: AttemptKey) -> InTheWay:
        row = self._rows(
            db,
            "SELECT other.ticket, claims_overlap(other.patterns, own.patterns, own.shared) AS path"
            " FROM claims AS other, claims AS own WHERE other.held AND other.ticket <> own.ticket"
            " AND own.ticket = ? AND own.attempt = ? AND path IS NOT NULL ORDER BY other.ticket LIMIT 1",
            key.ticket,
            key.number,
        )[0]
        return InTheWay(row["ticket"], row["path"])

    def _put_ahead(self, db: Database, ticket: str, at: float) -> None:
        row = self._rows(db, "SELECT attempt, ahead FROM landings WHERE ticket = ?", ticket)[0]
        if not row["ahead"]:
            db.execute("UPDATE landings SET ahead = 1 WHERE ticket = ?", [ticket])
            self._event(db, at, EventKind.PUT_AHEAD, ticket, row["attempt"])

    def enter(self, ticket: Ticket, base: str, tip: str, by: str, shared: PatternSet, at: float) -> bool:
        """A new ticket whose work a person has made. Asking for it is the word that lets it land; so it lands without
        a claim where others hold its files, as what was approved does."""
        key = AttemptKey(ticket.id, 1)
        with self.connections.transaction() as db:
            if self._rows(db, "SELECT 1 FROM tickets WHERE id = ?", ticket.id):
                return False
            self._add(db, [ticket], at)
            db.execute(
                "INSERT INTO attempts (ticket, number, state, slot, base, tip, agent, dispatched_at)"
                " VALUES (?, 1, 'ended', 0, ?, ?, ?, ?)",
                [ticket.id, base, tip, by, at],
            )
            db.execute(
                "INSERT INTO claims (ticket, attempt, patterns, shared, held) VALUES (?, 1, ?, ?, 0)",
                [ticket.id, patterns_text(ticket.touches), patterns_text(shared)],
            )
            # By way of `running`: a queued ticket of which an agent knows nothing does not land.
            self._move(db, ticket.id, TicketState.RUNNING, attempts=1, approved=tip)
            self._move(db, ticket.id, TicketState.LANDING)
            self._event(db, at, EventKind.ENTERED, ticket.id, 1, base=base, tip=tip, by=by)
            self._reclaim(db, key)
            self._into_lane(db, key, at)
            return True


def _instead(record: TicketRecord) -> str:
    """What a person can do with a ticket that cannot land now."""
    match record.state:
        case TicketState.QUEUED:
            return f"It has to run first; `ticketd explain {record.id}` says what it waits on."
        case TicketState.RUNNING:
            return f"Its agent runs; `ticketd diff {record.id}` shows what it has done so far."
        case TicketState.LANDED:
            return "There is nothing left to land."
        case _:
            return f"`ticketd retry {record.id}` runs it again."
