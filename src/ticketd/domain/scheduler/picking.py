"""Which ready ticket starts next, found without walking the queue.

Each ready ticket is in a bundle with others that claim the same files, and a bundle that is blocked is parked on one
blocker: it is looked at again only when that one goes. So a pick costs the few tickets it looks at, not the queue:
the two-watched-literals idea of SAT solvers (Moskewicz et al., 2001), with one.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from ticketd.domain.claims import ClaimTable
from ticketd.domain.reach import Part
from ticketd.domain.scheduler.backfill import BACKFILL_DEPTH
from ticketd.domain.scheduler.capacity import Kind
from ticketd.domain.scheduler.line import Entry, Line
from ticketd.domain.scheduler.passing import Passing
from ticketd.domain.scheduler.ranking import Rank


@dataclass(slots=True, eq=False)
class Bundle:
    """Ready tickets of one kind that all claim `part`, which is None for those not looked at yet: what blocks the part
    blocks them all.

    `entries` are in order of rank, those before `head` dealt with; one that says it is in another bundle has left.
    `parked_on`: who blocks the part, by holding it or (`is_reserved`) by ranking above all of the bundle.
    """

    part: Part | None
    kind: Kind
    entries: list[Entry] = field(default_factory=list)
    head: int = 0
    parked_on: str | None = None
    is_reserved: bool = False

    def first(self) -> Entry | None:
        """The ticket that ranks highest."""
        while self.head < len(self.entries) and self.entries[self.head].bundle is not self:
            self.head += 1
        return self.entries[self.head] if self.head < len(self.entries) else None

    def add(self, entry: Entry) -> None:
        if not self.entries or self.entries[-1] < entry:
            self.entries.append(entry)
        else:
            insort(self.entries, entry, lo=self.head)

    def forget(self) -> None:
        """Let go of those dealt with, once they are the most."""
        if 2 * self.head > len(self.entries):
            del self.entries[: self.head]
            self.head = 0


@dataclass(frozen=True, slots=True)
class Block:
    """`ticket` holds the part; or, being ahead, has it reserved."""

    part: Part
    ticket: str
    is_reserved: bool


Listed = tuple[Rank, int, Bundle]
"""A bundle by the rank of its first ticket."""


class Picking:
    """The bundles. `line` has the ready tickets, `held` the claims."""

    def __init__(self, line: Line, held: ClaimTable, by_estimate: bool) -> None:
        self._line = line
        self._held = held
        self._by_estimate = by_estimate
        self._bundles: dict[tuple[Part | None, Kind], Bundle] = {}
        self._free: defaultdict[Kind, list[Listed]] = defaultdict(list)
        self._reserved: defaultdict[Kind, list[Listed]] = defaultdict(list)
        self._parked: defaultdict[str, dict[Bundle, None]] = defaultdict(dict)
        self._blocks_other_kinds: defaultdict[Kind, set[str]] = defaultdict(set)
        self._listings = 0

    # ---- what has changed

    def add(self, entry: Entry) -> None:
        """A ticket has become ready."""
        self._line.add(entry)
        self._put(entry, None)

    def add_all(self, entries: Sequence[Entry]) -> None:
        """Many at once, in order of rank."""
        for entry in reversed(entries):
            self._line.add(entry)
        for entry in entries:
            self._put(entry, None)

    def remove(self, entry: Entry) -> None:
        """A ticket is ready no longer, nor does it hold anything."""
        self._take_out(entry)
        self.wake(entry.id)

    def start(self, entry: Entry) -> None:
        """A ready ticket holds its files from now on, so what was parked on it stays so."""
        self._take_out(entry)
        self._held.put(entry.id, entry.touches)
        for bundle in self._parked.get(entry.id, ()):
            bundle.is_reserved = False

    def wake(self, ticket: str) -> None:
        """A ticket is in nobody's way any more, or no longer in the same way."""
        for bundle in self._parked.pop(ticket, ()):
            self._unpark(bundle)

    def close(self, kind: Kind) -> None:
        """There is no room for this kind any more; what cannot start keeps no others off."""
        for ticket in self._blocks_other_kinds.pop(kind, ()):
            if ticket in self._held:
                continue
            parked = self._parked.get(ticket, {})
            for bundle in [bundle for bundle in parked if bundle.kind is not kind]:
                del parked[bundle]
                self._unpark(bundle)

    # ---- the pick

    def next(self, tiers: Iterable[Collection[Kind]], kinds: Collection[Kind], passing: Passing) -> Entry | None:
        """The ticket to start next. `kinds` have room; `tiers` are the same by turn: a ticket of an earlier one comes
        first, whatever its rank."""
        search = _Search(kinds, passing)
        found = next((entry for tier in tiers if (entry := self._first(tier, search)) is not None), None)
        for bundle, head in search.aside.items():
            bundle.head = head
            self._list(bundle)
        return found

    def _first(self, tier: Collection[Kind], search: _Search) -> Entry | None:
        while (bundle := self._highest(tier, search)) is not None:
            entry = bundle.entries[bundle.head]
            if not self._settle(bundle, entry, search):
                if bundle.parked_on is None:
                    return entry
                search.looked_at += 1
                if search.passing.may_pass(entry):
                    return entry
                search.aside.setdefault(bundle, bundle.head)
                bundle.head += 1
            self._list(bundle)
        return None

    def _highest(self, tier: Collection[Kind], search: _Search) -> Bundle | None:
        """Of the bundles that may have something to start the one whose first ticket ranks highest, off its list."""
        best: list[Listed] | None = None
        for kind in tier:
            for listed in self._lists(kind, search):
                if listed and (best is None or listed[0] < best[0]):
                    best = listed
        return heappop(best)[2] if best else None

    def _lists(self, kind: Kind, search: _Search) -> Iterator[list[Listed]]:
        free = self._free[kind]
        while free and not (free[0][2].parked_on is None and _is_current(free[0])):
            heappop(free)
        yield free
        if self._by_estimate and search.looked_at < BACKFILL_DEPTH:
            reserved = self._reserved[kind]
            while reserved and not (reserved[0][2].is_reserved and _is_current(reserved[0])):
                heappop(reserved)
            yield reserved

    def _settle(self, bundle: Bundle, entry: Entry, search: _Search) -> bool:
        """Whether the bundle had to be parked, or its first ticket moved to where it is blocked."""
        if bundle.parked_on is None and bundle.part is not None:
            block = self._block(bundle.part, entry, search)
            if block is not None:
                self._park(bundle, block)
                return True
        block = self._blocked(entry, search)
        if block is None or (block.is_reserved and bundle.parked_on is not None):
            return False
        if bundle.part is block.part:
            self._park(bundle, block)
        else:
            bundle.head += 1
            self._put(entry, block)
        return True

    def _blocked(self, entry: Entry, search: _Search) -> Block | None:
        """What keeps a ticket from starting; a held claim rather than a reservation."""
        first: Block | None = None
        for part in entry.parts:
            block = self._block(part, entry, search)
            if block is not None and not block.is_reserved:
                return block
            first = first or block
        return first

    def _block(self, part: Part, entry: Entry, search: _Search) -> Block | None:
        holder = self._held.holder(part)
        if holder is not None:
            return Block(part, holder, is_reserved=False)
        ahead = self._line.first_ahead(part, entry.rank, search.kinds)
        return None if ahead is None else Block(part, ahead[-1], is_reserved=True)

    # ---- bundles

    def _put(self, entry: Entry, block: Block | None) -> None:
        """Into the bundle of the part that is blocked, or among those not looked at yet."""
        part = None if block is None else block.part
        bundle = self._bundles.get((part, entry.kind))
        if bundle is None:
            bundle = self._bundles[part, entry.kind] = Bundle(part, entry.kind)
        entry.bundle = bundle
        bundle.add(entry)
        if block is not None and self._is_better(bundle, block):
            self._park(bundle, block)
        if bundle.first() is entry:
            self._list(bundle)

    def _is_better(self, bundle: Bundle, block: Block) -> bool:
        """A claim that is held blocks all of a bundle, a reservation those that rank below it."""
        if bundle.parked_on is None or not block.is_reserved:
            return True
        known = self._line.entries.get(bundle.parked_on)
        return bundle.is_reserved and (known is None or self._line.entries[block.ticket].rank < known.rank)

    def _park(self, bundle: Bundle, block: Block) -> None:
        if bundle.parked_on is not None:
            self._parked[bundle.parked_on].pop(bundle, None)
        bundle.parked_on, bundle.is_reserved = block.ticket, block.is_reserved
        self._parked[block.ticket][bundle] = None
        if block.is_reserved and (kind := self._line.entries[block.ticket].kind) is not bundle.kind:
            self._blocks_other_kinds[kind].add(block.ticket)
        self._list(bundle)

    def _unpark(self, bundle: Bundle) -> None:
        bundle.parked_on, bundle.is_reserved = None, False
        self._list(bundle)

    def _list(self, bundle: Bundle) -> None:
        """Where the next search will find it: among the free, or those that backfill looks at."""
        first = bundle.first()
        if first is None:
            return
        if bundle.parked_on is None:
            listed = self._free[bundle.kind]
        elif bundle.is_reserved and self._by_estimate:
            listed = self._reserved[bundle.kind]
        else:
            return
        self._listings += 1
        heappush(listed, (first.rank, self._listings, bundle))

    def _take_out(self, entry: Entry) -> None:
        self._line.remove(entry)
        bundle, entry.bundle = entry.bundle, None
        if isinstance(bundle, Bundle) and bundle.entries[bundle.head] is entry:
            bundle.first()
            bundle.forget()
            self._list(bundle)


def _is_current(listed: Listed) -> bool:
    first = listed[2].first()
    return first is not None and first.rank == listed[0]


@dataclass(slots=True)
class _Search:
    """One search for a ticket to start. `looked_at`: tickets that only a reservation holds back; `aside`: bundles with
    such that may not pass, and where each of them began."""

    kinds: Collection[Kind]
    passing: Passing
    looked_at: int = 0
    aside: dict[Bundle, int] = field(default_factory=dict)
