"""The rank of every ticket that has not ended, kept up as single tickets change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush

from ticketd.domain.estimates import Estimates
from ticketd.domain.ranking import Rank, Weight, next_boost_at, rank, weigh, weights
from ticketd.domain.ticket import TicketRecord


class Ranks:
    def __init__(self, tickets: Mapping[str, TicketRecord], estimates: Estimates, aging_s: float | None) -> None:
        self._estimates = estimates
        self._aging_s = aging_s
        self._unfinished = {id_: record for id_, record in tickets.items() if not record.state.is_final}
        self._dependents: dict[str, set[str]] = {}
        self._boosts: list[float] = []
        self._boosted: dict[float, list[str]] = {}
        for record in self._unfinished.values():
            self._link(record)
        self._weigh_all()

    def change(self, ids: Iterable[str], tickets: Mapping[str, TicketRecord]) -> set[str]:
        """Take in these tickets as they are now. All whose rank may be another."""
        touched: set[str] = set()
        for id_ in ids:
            old, new = self._unfinished.pop(id_, None), tickets.get(id_)
            if new is not None and not new.state.is_final:
                self._unfinished[id_] = new
            else:
                new = None
                self._weights.pop(id_, None)
            if _weighs(old) != _weighs(new):
                touched.add(id_)
                self._relink(old, new)
                for record in (old, new):
                    touched.update(() if record is None else record.ticket.depends_on)
        return self._weigh(touched)

    def rank(self, id_: str, now: float) -> Rank:
        return rank(self._unfinished[id_], self._weights[id_], self._aging_s, now)

    def dependents(self, id_: str) -> Iterable[str]:
        """Tickets that have not ended and wait for this one."""
        return self._dependents.get(id_, ())

    def watch(self, id_: str, now: float) -> None:
        """Tell with `risen` when waiting has lifted this ticket."""
        at = next_boost_at(self._unfinished[id_], self._weights[id_], self._aging_s, now)
        if at is not None:
            # Tickets that were first seen together rise together.
            if at not in self._boosted:
                heappush(self._boosts, at)
            self._boosted.setdefault(at, []).append(id_)

    def risen(self, now: float) -> set[str]:
        """Watched tickets that waiting has lifted since this was last asked."""
        ids: set[str] = set()
        while self._boosts and self._boosts[0] <= now:
            ids.update(self._boosted.pop(heappop(self._boosts)))
        return ids & self._unfinished.keys()

    def _relink(self, old: TicketRecord | None, new: TicketRecord | None) -> None:
        for dependency in () if old is None else old.ticket.depends_on:
            self._dependents.get(dependency, set()).discard(old.id)  # type: ignore[union-attr]
        if new is not None:
            self._link(new)

    def _link(self, record: TicketRecord) -> None:
        for dependency in record.ticket.depends_on:
            self._dependents.setdefault(dependency, set()).add(record.id)

    def _weigh(self, touched: Iterable[str]) -> set[str]:
        """Weigh tickets and, in turn, what they depend on: each once all its dependents are weighed."""
        affected = self._with_dependencies(touched)
        missing = {id_: sum(d in affected for d in self.dependents(id_)) for id_ in affected}
        ready = [id_ for id_, count in missing.items() if count == 0]
        for id_ in ready:
            record = self._unfinished[id_]
            weight = weigh(record, [self._weights[d] for d in self.dependents(id_)], self._estimates)
            self._weights[id_] = self._alike.setdefault(weight, weight)
            for dependency in dict.fromkeys(record.ticket.depends_on):
                if dependency in missing:
                    missing[dependency] -= 1
                    if missing[dependency] == 0:
                        ready.append(dependency)
        if len(ready) < len(affected):  # a cycle: what its tickets weigh depends on where one begins
            self._weigh_all()
            return set(self._unfinished)
        return affected

    def _weigh_all(self) -> None:
        """Most tickets weigh the same, and share what says so."""
        self._alike: dict[Weight, Weight] = {}
        found = weights(self._unfinished, self._estimates)
        self._weights = {id_: self._alike.setdefault(weight, weight) for id_, weight in found.items()}

    def _with_dependencies(self, ids: Iterable[str]) -> set[str]:
        found: set[str] = set()
        unseen = list(ids)
        while unseen:
            id_ = unseen.pop()
            if id_ in self._unfinished and id_ not in found:
                found.add(id_)
                unseen.extend(self._unfinished[id_].ticket.depends_on)
        return found


def _weighs(record: TicketRecord | None) -> object:
    """What the rank of a ticket, and of those before it, depends on."""
    if record is None:
        return None
    said = record.ticket
    return (record.priority, said.scope, said.size, said.agent, said.depends_on, record.age, record.seen_at)
