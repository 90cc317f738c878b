"""The ready tickets by where their claims lie, each place in order of rank: who is ahead of whom on which files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ticketd.domain.globs import PatternSet
from ticketd.domain.reach import Part, Reaches
from ticketd.domain.scheduler.capacity import Kind
from ticketd.domain.scheduler.ranking import Rank


@dataclass(slots=True, eq=False)
class Entry:
    """A ready ticket. Of these there are as many as tickets: what can be looked up is not in it."""

    rank: Rank
    kind: Kind
    touches: PatternSet
    parts: tuple[Part, ...]
    bundle: object = None

    @property
    def id(self) -> str:
        return self.rank[-1]

    def is_like(self, other: Entry) -> bool:
        """Whether it would stand the same in the line."""
        return (self.rank, self.kind, self.touches) == (other.rank, other.kind, other.touches)

    def __lt__(self, other: Entry) -> bool:
        return self.rank < other.rank


class _Places:
    """Ranks by the kind of ticket and by place, the highest last: it is the first to go, and a list's end is cheap to
    take off."""

    def __init__(self) -> None:
        self._of: dict[Kind, dict[str, list[Rank]]] = {}

    def add(self, entry: Entry, place: str) -> None:
        there = self._of.setdefault(entry.kind, {}).setdefault(place, [])
        there.insert(_above(there, entry.rank), entry.rank)

    def remove(self, entry: Entry, place: str) -> None:
        there = self._of[entry.kind][place]
        del there[_above(there, entry.rank)]
        if not there:
            del self._of[entry.kind][place]

    def at(self, place: str, kinds: Collection[Kind]) -> Iterator[list[Rank]]:
        for kind in kinds:
            there = self._of.get(kind, _NOWHERE).get(place)
            if there:
                yield there


_NOWHERE: dict[str, list[Rank]] = {}


def _above(there: list[Rank], rank: Rank) -> int:
    """Where those that rank above begin but for this one itself: `bisect` for a list that falls."""
    low, high = 0, len(there)
    while low < high:
        middle = (low + high) // 2
        if there[middle] > rank:
            low = middle + 1
        else:
            high = middle
    return low


class Line:
    """`plain`: by hull, tickets that claim all that lies there, so those of one place overlap each other. `other`: by
    hull, the rest. `below`: by directory, those whose hull lies deeper; kept only for places that a claim has asked
    about, since few claims are directories. `deeper`: in how many directories, at or below a place, any ticket lies."""

    def __init__(self, reaches: Reaches) -> None:
        self._reaches = reaches
        self._plain, self._other, self._below = _Places(), _Places(), _Places()
        self._asked: set[str] = set()
        self._below_these: Counter[tuple[str, ...]] = Counter()
        self._deeper: Counter[str] = Counter()
        self.entries: dict[str, Entry] = {}

    def add(self, entry: Entry) -> None:
        self.entries[entry.id] = entry
        for places, place in self._places(entry):
            places.add(entry, place)
        for part in entry.parts:
            self._count(part.above, 1)

    def remove(self, entry: Entry) -> None:
        del self.entries[entry.id]
        for places, place in self._places(entry):
            places.remove(entry, place)
        for part in entry.parts:
            self._count(part.above, -1)

    def _count(self, directories: tuple[str, ...], change: int) -> None:
        """One more or less lies below these; of most directories there are others."""
        before = self._below_these[directories]
        self._below_these[directories] = before + change
        if before == 0 or before + change == 0:
            for place in directories:
                self._deeper[place] += change

    def _places(self, entry: Entry) -> Iterator[tuple[_Places, str]]:
        """Where a ticket is listed, each place once."""
        for part in entry.parts:
            if part.plain:
                yield self._plain, part.at[0]
        yield from ((self._other, hull) for hull in {h for part in entry.parts if not part.plain for h in part.at})
        if self._asked:
            below = {place for part in entry.parts for place in part.above if place in self._asked}
            yield from ((self._below, place) for place in below)

    def first_ahead(self, part: Part, rank: Rank, kinds: Collection[Kind]) -> Rank | None:
        """The highest-ranked ticket of these kinds above `rank` that overlaps the part."""
        best = rank
        for there, alike in self._near(part, kinds):
            for found in reversed(there):
                if found >= best:
                    break
                if alike or self._reaches.meet(part, self.entries[found[-1]].touches):
                    best = found
                    break
        return None if best is rank else best

    def soonest_ahead(self, part: Part, rank: Rank, kinds: Collection[Kind]) -> Iterator[Rank]:
        """Of the tickets ahead on this part, all but those that have to wait for one that is given."""
        return self._some_ahead(part, rank, kinds, topmost=True)

    def latest_ahead(self, part: Part, rank: Rank, kinds: Collection[Kind]) -> Iterator[Rank]:
        """Of the tickets ahead on this part, all but those that one that is given has to wait for."""
        return self._some_ahead(part, rank, kinds, topmost=False)

    def _some_ahead(self, part: Part, rank: Rank, kinds: Collection[Kind], topmost: bool) -> Iterator[Rank]:
        for there, alike in self._near(part, kinds):
            begin = _above(there, rank)
            begin += begin < len(there) and there[begin] == rank
            if alike and begin < len(there):
                yield there[-1 if topmost else begin]
            elif not alike:
                ahead = (there[at] for at in range(len(there) - 1, begin - 1, -1))
                yield from (found for found in ahead if self._reaches.meet(part, self.entries[found[-1]].touches))

    def _near(self, part: Part, kinds: Collection[Kind]) -> Iterator[tuple[list[Rank], bool]]:
        """Tickets that may overlap the part; and whether all of them do, and each other."""
        for place in (*part.at, *part.above):
            for there in self._plain.at(place, kinds):
                yield there, part.plain
            for there in self._other.at(place, kinds):
                yield there, False
        for hull in part.at:
            if self._deeper[hull]:
                self._ask(hull)
                for there in self._below.at(hull, kinds):
                    yield there, False

    def _ask(self, place: str) -> None:
        """From now on keep track of what lies below this place."""
        if place not in self._asked:
            self._asked.add(place)
            for entry in self.entries.values():
                if any(place in part.above for part in entry.parts):
                    self._below.add(entry, place)
