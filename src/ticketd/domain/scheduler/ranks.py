"""The rank of every ticket that has not ended, kept up as single tickets change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush

from ticketd.domain.estimates import Estimates
from ticketd.domain.scheduler.ranking import Rank, Weight, next_boost_at, rank, weigh, weights
from ticketd.domain.ticket import TicketRecord


class Ranks:
    """Has a weight for each ticket that has not ended; the tickets themselves are given each time."""

    def __init__(self, tickets: Mapping[str, TicketRecord], estimates: Estimates, aging_s: float | None) -> None:
        self._estimates = estimates
        self._aging_s = aging_s
        self._boosts: list[float] = []
        self._boosted: dict[float, list[str]] = {}
        self._depends_on: dict[str, tuple[str, ...]] = {}
        self._dependents: dict[str, set[str]] = {}
        for record in tickets.values():
            if not record.state.is_final:
                self._link(record)
        self._weights: dict[str, Weight] = {}
        self._weigh_all(tickets)

    def change(self, ids: Iterable[str], tickets: Mapping[str, TicketRecord]) -> set[str]:
        """Take in these tickets as they are now. All whose rank may be another."""
        touched: set[str] = set()
        for id_ in ids:
            touched.update((id_, *self._unlink(id_)))
            record = tickets.get(id_)
            if record is None or record.state.is_final:
                self._weights.pop(id_, None)
            else:
                self._link(record)
                touched.update(record.ticket.depends_on)
        return self._weigh(touched, tickets)

    def rank(self, record: TicketRecord, now: float) -> Rank:
        return rank(record, self._weights[record.id], self._aging_s, now)

    def dependents(self, id_: str) -> Iterable[str]:
        """Tickets that have not ended and wait for this one."""
        return self._dependents.get(id_, ())

    def watch(self, record: TicketRecord, now: float) -> None:
        """Tell with `risen` when waiting has lifted this ticket."""
        at = next_boost_at(record, self._weights[record.id], self._aging_s, now)
        if at is not None:
            # Tickets that were first seen together rise together.
            if at not in self._boosted:
                heappush(self._boosts, at)
            self._boosted.setdefault(at, []).append(record.id)

    def risen(self, now: float) -> set[str]:
        """Watched tickets that waiting has lifted since this was last asked."""
        ids: set[str] = set()
        while self._boosts and self._boosts[0] <= now:
            ids.update(self._boosted.pop(heappop(self._boosts)))
        return ids & self._weights.keys()

    def _link(self, record: TicketRecord) -> None:
        if record.ticket.depends_on:
            self._depends_on[record.id] = record.ticket.depends_on
            for dependency in record.ticket.depends_on:
                self._dependents.setdefault(dependency, set()).add(record.id)

    def _unlink(self, id_: str) -> tuple[str, ...]:
        """What it depended on."""
        before = self._depends_on.pop(id_, ())
        for dependency in before:
            self._dependents[dependency].discard(id_)
        return before

    def _weigh(self, touched: Iterable[str], tickets: Mapping[str, TicketRecord]) -> set[str]:
        """Weigh tickets and, in turn, what they depend on: each once all its dependents are weighed. Where
        there are cycles, which is an error of the tickets, all are weighed anew."""
        affected = self._with_dependencies(touched, tickets)
        if self._circular:
            return affected | self._weigh_all(tickets)
        missing = {id_: sum(d in affected for d in self.dependents(id_)) for id_ in affected}
        ready = [id_ for id_, count in missing.items() if count == 0]
        for id_ in ready:
            weight = weigh(tickets[id_], [self._weights[d] for d in self.dependents(id_)], self._estimates)
            self._weights[id_] = self._alike.setdefault(weight, weight)
            for dependency in dict.fromkeys(tickets[id_].ticket.depends_on):
                if dependency in missing:
                    missing[dependency] -= 1
                    if missing[dependency] == 0:
                        ready.append(dependency)
        return affected if len(ready) == len(affected) else affected | self._weigh_all(tickets)

    def _weigh_all(self, tickets: Mapping[str, TicketRecord]) -> set[str]:
        """Those that weigh something else than before. Most tickets weigh the same, and share what says so."""
        before = self._weights
        self._alike: dict[Weight, Weight] = {}
        unfinished = {id_: record for id_, record in tickets.items() if not record.state.is_final}
        found, self._circular = weights(unfinished, self._estimates)
        self._weights = {id_: self._alike.setdefault(weight, weight) for id_, weight in found.items()}
        return {id_ for id_, weight in found.items() if weight != before.get(id_)}

    def _with_dependencies(self, ids: Iterable[str], tickets: Mapping[str, TicketRecord]) -> set[str]:
        found: set[str] = set()
        unseen = list(ids)
        while unseen:
            id_ = unseen.pop()
            if id_ not in found and id_ in tickets and not tickets[id_].state.is_final:
                found.add(id_)
                unseen.extend(tickets[id_].ticket.depends_on)
        return found
