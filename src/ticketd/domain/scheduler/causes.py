"""Why a ticket has not started, all the way down: from what it waits on to what would have to happen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ticketd.domain.scheduler.roots import Root, circle, missing, own_root, proposed, standing
from ticketd.domain.scheduler.waits import WaitKind, WaitsOn
from ticketd.domain.ticket import TicketRecord, TicketState


@dataclass(frozen=True, slots=True)
class Because:
    """One thing that `ticket` waits on: it ends in a root, or goes on with what `on.ticket` waits on in turn; where
    neither follows, that was told before."""

    ticket: str
    on: WaitsOn
    depth: int
    root: Root | None = None


@dataclass(frozen=True, slots=True)
class Causes:
    """`waits`: of each queued ticket, empty for those about to start. `troubles`: what keeps tickets from landing.
    `daemon`: whether one runs. `proposals`: the pull request of each ticket that waits for people to merge it."""

    tickets: Mapping[str, TicketRecord]
    waits: Mapping[str, tuple[WaitsOn, ...]]
    troubles: Mapping[str, str]
    daemon: bool = True
    proposals: Mapping[str, str] = field(default_factory=dict)

    def of(self, ticket: str) -> Iterator[Because]:
        """All that a ticket waits on, down to the roots, as one reads a tree: each before what lies under it. What a
        ticket waits on is told once."""
        told = {ticket}
        path = _Path()
        path.go_down(ticket, self._waits(ticket))
        while path.tickets:
            on = next(path.left[-1], None)
            if on is None:
                path.go_up()
                continue
            root = self._ends_in(path, on)
            yield Because(path.tickets[-1], on, len(path.tickets) - 1, root)
            if root is None and on.ticket is not None and on.ticket not in told:
                told.add(on.ticket)
                path.go_down(on.ticket, self._waits(on.ticket))

    def roots(self, ticket: str) -> tuple[Root, ...]:
        """Where its waiting ends, each once; those that need a person first. Skipped tickets come after what they were
        skipped for: it takes a person to queue them again."""
        reasons = list(self.of(ticket))
        found = dict.fromkeys(because.root for because in reasons if because.root is not None)
        skipped = dict.fromkeys(because.ticket for because in reversed(reasons) if self._is_skipped(because.ticket))
        again = dict.fromkeys(self.root_of(self.tickets[id_]) for id_ in skipped)
        return tuple(sorted(found | again, key=lambda root: root.passes))

    def main_roots(self) -> dict[str, Root]:
        """Of every ticket that has not landed the cause to look at first: one that needs a person, if any does. Each
        ticket is gone through once, however many wait on it."""
        main: dict[str, Root] = {}
        for id_, record in self.tickets.items():
            if record.state is not TicketState.LANDED and id_ not in main:
                self._find_main(id_, main)
        return main

    def _find_main(self, ticket: str, main: dict[str, Root]) -> None:
        """Of a ticket and all under it."""
        path = _Path()
        path.go_down(ticket, self._waits(ticket))
        while path.tickets:
            on = None if path.found[-1] and not path.found[-1].passes else next(path.left[-1], None)
            if on is None:
                done, found = path.go_up()
                main[done] = found or self.root_of(self.tickets[done])
                path.note(main[done])
            elif root := self._ends_in(path, on) or main.get(on.ticket or ""):
                path.note(root)
            else:
                path.go_down(on.ticket or "", self._waits(on.ticket or ""))

    def root_of(self, record: TicketRecord) -> Root:
        """How a ticket stands itself, and what a person can do about it."""
        if url := self.proposals.get(record.id):
            return proposed(record.id, url, self.troubles.get(record.id, ""))
        return standing(record, self.troubles.get(record.id, ""), self.daemon)

    def _waits(self, ticket: str) -> tuple[WaitsOn, ...]:
        if not self._is_skipped(ticket):
            return self.waits.get(ticket, ())
        bad = (TicketState.FAILED, TicketState.SKIPPED, TicketState.CANCELLED)
        depends_on = self.tickets[ticket].ticket.depends_on
        guilty = [d for d in depends_on if d in self.tickets and self.tickets[d].state in bad]
        return tuple(WaitsOn(WaitKind.DEPENDENCY, d, detail=str(self.tickets[d].state)) for d in guilty)

    def _is_skipped(self, ticket: str) -> bool:
        return ticket in self.tickets and self.tickets[ticket].state is TicketState.SKIPPED

    def _ends_in(self, path: _Path, on: WaitsOn) -> Root | None:
        """The root right under a wait, where it goes no deeper."""
        waiting = path.tickets[-1]
        if on.ticket is None:
            return own_root(waiting, on)
        if on.ticket in path.at:
            return circle([self.tickets[id_] for id_ in path.tickets[path.at[on.ticket] :]])
        record = self.tickets.get(on.ticket)
        if record is None:
            return missing(on.ticket, self.tickets[waiting])
        return None if self._waits(on.ticket) else self.root_of(record)


@dataclass(slots=True)
class _Path:
    """From the ticket asked about down to the one looked at, without recursion: chains may be 50,000 long. For each its
    place (`at`), the waits still to look at, and the root found under it."""

    tickets: list[str] = field(default_factory=list)
    at: dict[str, int] = field(default_factory=dict)
    left: list[Iterator[WaitsOn]] = field(default_factory=list)
    found: list[Root | None] = field(default_factory=list)

    def go_down(self, ticket: str, waits: Iterable[WaitsOn]) -> None:
        self.at[ticket] = len(self.tickets)
        self.tickets.append(ticket)
        self.left.append(iter(waits))
        self.found.append(None)

    def go_up(self) -> tuple[str, Root | None]:
        """The ticket left behind, and what was found under it."""
        self.left.pop()
        ticket = self.tickets.pop()
        del self.at[ticket]
        return ticket, self.found.pop()

    def note(self, root: Root) -> None:
        if self.found and (self.found[-1] is None or (self.found[-1].passes and not root.passes)):
            self.found[-1] = root
