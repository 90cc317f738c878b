"""Why a ticket has not started, all the way down: from what it waits on to what would have to happen. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ticketd.domain.ticket import Reason, TicketRecord, TicketState
from ticketd.domain.waits import WaitKind, WaitsOn


@dataclass(frozen=True, slots=True)
class Root:
    """Where a chain of waiting ends. `what`: how `ticket` stands; `mend`: what a person can do about it, empty where it
    passes by itself."""

    ticket: str
    what: str
    mend: str = ""

    @property
    def passes(self) -> bool:
        """Whether it goes away without a person."""
        return not self.mend


@dataclass(frozen=True, slots=True)
class Because:
    """One thing that `ticket` waits on: it ends in a root, or goes on with what `on.ticket` waits on in turn."""

    ticket: str
    on: WaitsOn
    depth: int
    root: Root | None = None


@dataclass(frozen=True, slots=True)
class Causes:
    """`waits`: of each queued ticket, empty for those about to start. `troubles`: what keeps tickets from landing."""

    tickets: Mapping[str, TicketRecord]
    waits: Mapping[str, tuple[WaitsOn, ...]]
    troubles: Mapping[str, str]

    def of(self, ticket: str) -> Iterator[Because]:
        """All that a ticket waits on, down to the roots, as one reads a tree: each before what lies under it. What a
        ticket waits on is told once."""
        told = {ticket}
        left: list[tuple[str, WaitsOn, tuple[str, ...]]] = []
        left.extend((ticket, on, (ticket,)) for on in reversed(self._waits(ticket)))
        while left:
            waiting, on, path = left.pop()
            root = self._ends_in(waiting, on, path)
            yield Because(waiting, on, len(path) - 1, root)
            if root is None and on.ticket is not None and on.ticket not in told:
                told.add(on.ticket)
                left.extend((on.ticket, below, (*path, on.ticket)) for below in reversed(self._waits(on.ticket)))

    def roots(self, ticket: str) -> tuple[Root, ...]:
        """Where its waiting ends, each once; those that need a person first."""
        found = dict.fromkeys(because.root for because in self.of(ticket) if because.root is not None)
        return tuple(sorted(found, key=lambda root: root.passes))

    def _waits(self, ticket: str) -> tuple[WaitsOn, ...]:
        record = self.tickets.get(ticket)
        if record is None or record.state is not TicketState.SKIPPED:
            return self.waits.get(ticket, ())
        bad = (TicketState.FAILED, TicketState.SKIPPED, TicketState.CANCELLED)
        guilty = [d for d in record.ticket.depends_on if d in self.tickets and self.tickets[d].state in bad]
        return tuple(WaitsOn(WaitKind.DEPENDENCY, d, detail=str(self.tickets[d].state)) for d in guilty)

    def _ends_in(self, waiting: str, on: WaitsOn, path: tuple[str, ...]) -> Root | None:
        if on.ticket is None:
            return own_root(waiting, on)
        if on.ticket in path:
            cycle = " -> ".join((*path[path.index(on.ticket) :], on.ticket))
            return Root(on.ticket, f"a cycle: {cycle}", "take one of them out of the `depends_on` of the one before it")
        record = self.tickets.get(on.ticket)
        if record is None:
            mend = f"add tickets/{on.ticket}.md, or take {on.ticket} out of `depends_on` of {waiting}"
            return Root(on.ticket, f"there is no ticket {on.ticket}", mend)
        return None if self._waits(on.ticket) else self.root_of(record)

    def root_of(self, record: TicketRecord) -> Root:
        """How a ticket stands, and what a person can do about it."""
        id_, trouble = record.id, self.troubles.get(record.id, "")
        match record.state:
            case TicketState.QUEUED:
                return Root(id_, f"{id_} is about to start")
            case TicketState.RUNNING:
                return Root(id_, f"{id_} is running")
            case TicketState.LANDING:
                return Root(id_, f"{id_} is landing" + (f": {trouble}" if trouble else ""))
            case TicketState.REVIEW:
                mend = f"`ticketd review show {id_}`, then `ticketd review approve {id_}` or `reject {id_}`"
                return Root(id_, f"{id_} waits for a person's word", mend)
            case TicketState.FAILED:
                return Root(id_, f"{id_} failed ({record.reason})", f"{_look(record)}`ticketd retry {id_}` tries again")
            case TicketState.SKIPPED | TicketState.CANCELLED:
                return Root(id_, f"{id_} is {record.state}", f"`ticketd retry {id_}` queues it again")
            case TicketState.LANDED:
                return Root(id_, f"{id_} has just landed")


def own_root(ticket: str, on: WaitsOn) -> Root:
    """Of a wait that no other ticket has a part in."""
    what = on.detail or str(on.kind)
    match on.kind:
        case WaitKind.HELD if "no agent profile" in on.detail:
            return Root(ticket, what, "add the profile to ticketd.toml, or name another in `agent`")
        case WaitKind.HELD:
            return Root(ticket, "held by a person", f"`ticketd unhold {ticket}`")
        case WaitKind.GATE:
            return Root(ticket, "its gate wants a person's word before it runs", f"`ticketd review approve {ticket}`")
        case WaitKind.PAUSED:
            return Root(ticket, what, "" if "stopping" in what else "`ticketd resume`")
        case WaitKind.BUDGET:
            return Root(ticket, what, "raise `budget_usd`")
        case WaitKind.SLOT if "ticketd start" in what:
            return Root(ticket, what, "`ticketd start`")
        case _:
            return Root(ticket, what)


def _look(record: TicketRecord) -> str:
    if record.reason is Reason.VERIFY_FAILED:
        return f"`ticketd logs {record.id} --verify` shows why; "
    return f"`ticketd logs {record.id}` shows why; " if record.attempts else ""
