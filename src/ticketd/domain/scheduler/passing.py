"""Whether a ticket may pass those ahead that it overlaps: only if it is expected to be gone before they can start."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ticketd.domain.claims import ClaimTable
from ticketd.domain.scheduler.backfill import longest_s
from ticketd.domain.scheduler.capacity import Kind
from ticketd.domain.scheduler.line import Entry, Line
from ticketd.domain.scheduler.ranking import expected_s
from ticketd.domain.scheduler.schedule import Snapshot


class Passing:
    """`kinds` have room: tickets of others reserve nothing. `left`: seconds until each claim is expected to go."""

    def __init__(
        self, snapshot: Snapshot, line: Line, held: ClaimTable, kinds: Collection[Kind], left: Mapping[str, int]
    ) -> None:
        self._snapshot = snapshot
        self._line = line
        self._held = held
        self._kinds = kinds
        self._left = left
        self._not_before: dict[str, int] = {}
        self._maybe_before: dict[str, int] = {}

    def may_pass(self, entry: Entry) -> bool:
        longest = longest_s(self._snapshot.tickets[entry.id].ticket, self._snapshot.estimates)
        return all(
            self._starts_no_sooner(self._line.entries[rank[-1]], longest)
            for part in entry.parts
            for rank in self._line.soonest_ahead(part, entry.rank, self._kinds)
        )

    def _starts_no_sooner(self, entry: Entry, seconds: int) -> bool:
        """Whether a waiting ticket will wait that long: for a claim, or for one ahead of it that does and then runs.

        Chains are long, so there is no recursion, and what is known of a ticket is asked once.
        """
        seen: dict[str, int] = {}
        asked = [(entry, seconds)]
        while asked:
            one, least = asked.pop()
            if least <= self._not_before.get(one.id, 0) or self._is_held_for(one, least):
                self._not_before[entry.id] = max(seconds, self._not_before.get(entry.id, 0))
                return True
            known = min(seen.get(one.id, least + 1), self._maybe_before.get(one.id, least + 1))
            if known <= least:
                continue
            seen[one.id] = least
            asked.extend((other, least - self._expected(other)) for other in self._ahead(one))
        for id_, least in seen.items():
            self._maybe_before[id_] = min(least, self._maybe_before.get(id_, least))
        return False

    def _is_held_for(self, entry: Entry, seconds: int) -> bool:
        return any(self._left.get(ticket, 0) >= seconds for part in entry.parts for ticket in self._held.holders(part))

    def _expected(self, entry: Entry) -> int:
        return expected_s(self._snapshot.tickets[entry.id], self._snapshot.estimates)

    def _ahead(self, entry: Entry) -> Iterator[Entry]:
        for part in entry.parts:
            for rank in self._line.latest_ahead(part, entry.rank, self._kinds):
                yield self._line.entries[rank[-1]]
