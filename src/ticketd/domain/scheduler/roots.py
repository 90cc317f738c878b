"""Where waiting ends: how a ticket or the pool stands, and what would have to happen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from ticketd.domain.budget import UNTIL_MIDNIGHT
from ticketd.domain.graph import spelled_circle
from ticketd.domain.keeping import DISK_FULL, LIMIT_REACHED
from ticketd.domain.review import BEFORE_IT_LANDS
from ticketd.domain.scheduler.waits import NO_DAEMON, STOPPING, WaitKind, WaitsOn
from ticketd.domain.ticket import Reason, TicketRecord, TicketState

DELETED = "its file was deleted"
START = "`ticketd start`"


@dataclass(frozen=True, slots=True)
class Root:
    """`ticket`: whose, None if it is the pool's. `what`: how that stands; `mend`: what a person has to do, empty where
    it passes by itself; `hint`: what a person may do all the same. `until`: when it passes (epoch seconds)."""

    ticket: str | None
    what: str
    mend: str = ""
    hint: str = ""
    until: float | None = None

    @property
    def passes(self) -> bool:
        """Whether it goes away without a person."""
        return not self.mend


def own_root(ticket: str, on: WaitsOn) -> Root:
    """Of a wait that no other ticket has a part in."""
    what = on.detail or str(on.kind)
    match on.kind:
        case WaitKind.HELD if "no agent profile" in what:
            mend = "add the profile to ticketd.toml, or name another as `agent` of the ticket"
            return Root(ticket, f"{ticket} has no agent: {what}", mend)
        case WaitKind.HELD:
            return Root(ticket, f"{ticket} is held by a person", f"`ticketd unhold {ticket}`")
        case WaitKind.GATE:
            what = f"the gate of {ticket} wants a person's word before it runs"
            return Root(ticket, what, f"`ticketd review approve {ticket}`")
        case WaitKind.PAUSED if what == STOPPING:
            return Root(None, what, f"{START} when it has ended")
        case WaitKind.PAUSED:
            return Root(None, f"the pool is paused: {what}", "`ticketd resume`")
        case WaitKind.BUDGET:
            return _over_budget(ticket, on, what)
        case WaitKind.SLOT if what == NO_DAEMON:
            return Root(None, "no daemon runs", START)
        case WaitKind.SLOT | WaitKind.SCOPE_CAP | WaitKind.BACKOFF:
            return _passing(ticket, on, what)
        case WaitKind.DEPENDENCY | WaitKind.OVERLAP | WaitKind.RESERVED:
            return Root(ticket, f"{ticket}: {what}")
    assert_never(on.kind)


def _over_budget(ticket: str, on: WaitsOn, what: str) -> Root:
    """The budget of a day comes back by itself; that of a ticket does not."""
    why, _, raised = what.rpartition("; ")
    if on.until is not None:
        return Root(
            ticket, f"{ticket} waits for midnight: {why}", hint=raised.removeprefix(UNTIL_MIDNIGHT), until=on.until
        )
    return Root(ticket, f"{ticket} has no budget left: {why}", raised)


def _passing(ticket: str, on: WaitsOn, what: str) -> Root:
    if what.startswith(DISK_FULL):
        return Root(None, what, "make room there, and all goes on by itself")
    if what.startswith(LIMIT_REACHED):
        return Root(None, what, "make room, or raise `disk` under [limits]; `ticketd doctor` says what is kept and why")
    if "target" in what:
        return Root(None, what, hint="`ticketd doctor` looks closer")
    if on.kind is WaitKind.SCOPE_CAP:
        return Root(ticket, f"no room for {ticket}: {what}", hint="or raise `max_slots` of the scope")
    if "profile" in what and on.kind is WaitKind.SLOT:
        hint = "or raise its `max_slots`, or give the route another profile"
        return Root(ticket, f"no room for {ticket}: {what}", hint=hint, until=on.until)
    if on.kind is WaitKind.SLOT:
        return Root(ticket, f"no slot for {ticket}: {what}", hint="or `ticketd slots N` makes more")
    suspended = "rate limited: " in what or "starts refused: " in what  # else it is the ticket's own backoff
    hint = "or `ticketd resume` ends suspensions" if suspended else ""
    return Root(ticket, f"{ticket} is put off: {what}", hint=hint, until=on.until)


def standing(record: TicketRecord, trouble: str, daemon: bool) -> Root:
    """How a ticket that waits on nothing stands. `trouble`: what keeps it from landing; `daemon`: whether one runs."""
    id_, state = record.id, record.state
    match state:
        case TicketState.QUEUED:
            return Root(id_, f"{id_} is about to start")
        case TicketState.RUNNING | TicketState.LANDING if not daemon:
            told = f" ({trouble})" if trouble else ""
            return Root(id_, f"{id_} is {state}{told}, and no daemon looks after it", f"{START} takes it up")
        case TicketState.RUNNING:
            return Root(id_, f"{id_} is running")
        case TicketState.LANDING:
            return Root(id_, f"{id_} is landing" + (f": {trouble}" if trouble else ""))
        case TicketState.REVIEW:
            mend = f"`ticketd review show {id_}`, then `ticketd review approve {id_}`"
            return Root(id_, f"{id_} {record.detail or BEFORE_IT_LANDS}", mend)
        case TicketState.FAILED:
            return Root(id_, f"{id_} failed ({record.reason})", _after_failure(record))
        case TicketState.SKIPPED:
            return Root(id_, f"{id_} was skipped", f"`ticketd retry {id_}`, once what it depends on has landed")
        case TicketState.CANCELLED if DELETED in record.detail:
            return Root(id_, f"{id_} is cancelled: its file was deleted", f"put {record.ticket.path} back")
        case TicketState.CANCELLED:
            return Root(id_, f"{id_} is cancelled", f"`ticketd retry {id_}` queues it again")
        case TicketState.LANDED:
            return Root(id_, f"{id_} has landed")
    assert_never(state)


def proposed(ticket: str, url: str, trouble: str) -> Root:
    """Of a ticket that people have to merge."""
    what = f"{ticket} waits for its pull request {url}" + (f": {trouble}" if trouble else "")
    return Root(ticket, what, "merge it, or close it: then the ticket is rejected")


def _after_failure(record: TicketRecord) -> str:
    retry = f"`ticketd retry {record.id}`"
    match record.reason:
        case Reason.VERIFY_FAILED:
            return f"`ticketd logs {record.id} --verify` shows why; {retry} tries again"
        case Reason.PUSH_REJECTED:
            return f"mend what the target refuses; {retry} lands the kept work"
        case Reason.REJECTED:
            return f"put what is missing into {record.ticket.path}; {retry} tries again"
        case Reason.CONFLICT:
            return f"{retry} works anew from the new base"
        case Reason.BUDGET:
            return f"raise its budget; {retry} goes on"
        case _ if record.attempts:
            return f"`ticketd logs {record.id}` shows why; {retry} tries again"
        case _:
            return f"{retry} tries again"


def missing(ticket: str, dependent: TicketRecord) -> Root:
    mend = f"add tickets/{ticket}.md, or take {ticket} out of `depends_on` in {dependent.ticket.path}"
    return Root(ticket, f"there is no ticket {ticket}", mend)


def circle(tickets: Sequence[TicketRecord]) -> Root:
    """Of tickets that depend on each other in a ring, each on the next: one cause, wherever one begins."""
    first = min(range(len(tickets)), key=lambda at: tickets[at].id)
    ring = [*tickets[first:], *tickets[:first]]
    before, after = ring[0], ring[1 % len(ring)]
    what = f"`depends_on` goes round in a circle: {spelled_circle([record.id for record in ring])}"
    return Root(before.id, what, f"break it, as by taking {after.id} out of `depends_on` in {before.ticket.path}")
