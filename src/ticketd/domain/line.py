"""The ready tickets by where their claims lie, each place in order of rank: who is ahead of whom on which files."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ticketd.domain.capacity import Kind
from ticketd.domain.globs import PatternSet
from ticketd.domain.ranking import Rank
from ticketd.domain.reach import Part, Reaches

Ranks = dict[Kind, list[Rank]]


@dataclass(slots=True, eq=False)
class Entry:
    """A ready ticket. `expected_s` and `longest_s`: seconds it is expected to need, and may need."""

    rank: Rank
    kind: Kind
    touches: PatternSet
    parts: tuple[Part, ...]
    expected_s: int
    longest_s: int
    bundle: object = None

    @property
    def id(self) -> str:
        return self.rank[-1]

    def is_like(self, other: Entry) -> bool:
        """Whether it would stand the same in the line."""
        return (self.rank, self.kind, self.touches, self.expected_s, self.longest_s) == (
            other.rank,
            other.kind,
            other.touches,
            other.expected_s,
            other.longest_s,
        )

    def __lt__(self, other: Entry) -> bool:
        return self.rank < other.rank


class Line:
    """`plain`: by hull, tickets that claim all that lies there, so those of one place overlap each other. `other`: by
    hull, the rest. `below`: by directory, those whose hull lies deeper; kept only for places that a claim has asked
    about, since few claims are directories. `deeper` counts them for all."""

    def __init__(self, reaches: Reaches) -> None:
        self._reaches = reaches
        self._plain: dict[str, Ranks] = {}
        self._other: dict[str, Ranks] = {}
        self._below: dict[str, Ranks] = {}
        self._deeper: Counter[str] = Counter()
        self.entries: dict[str, Entry] = {}

    def add(self, entry: Entry) -> None:
        self.entries[entry.id] = entry
        for ranks in self._places(entry):
            insort(ranks.setdefault(entry.kind, []), entry.rank)
        self._deeper.update(place for part in entry.parts for place in part.above)

    def remove(self, entry: Entry) -> None:
        del self.entries[entry.id]
        self._deeper.subtract(place for part in entry.parts for place in part.above)
        for ranks in self._places(entry):
            there = ranks[entry.kind]
            del there[bisect_left(there, entry.rank)]
            if not there:
                del ranks[entry.kind]

    def _places(self, entry: Entry) -> Iterator[Ranks]:
        """Where a ticket is listed, each place once."""
        plain = {hull for part in entry.parts if part.plain for hull in part.at}
        other = {hull for part in entry.parts if not part.plain for hull in part.at}
        below = {place for part in entry.parts for place in part.above if place in self._below} if self._below else ()
        for index, places in ((self._plain, plain), (self._other, other), (self._below, below)):
            for place in places:
                yield index.setdefault(place, {})

    def first_ahead(self, part: Part, rank: Rank, kinds: Collection[Kind]) -> Rank | None:
        """The highest-ranked ticket of these kinds above `rank` that overlaps the part."""
        best: Rank | None = None
        for ranks, plain in self._near(part):
            for kind, there in ranks.items():
                if kind not in kinds:
                    continue
                for found in there:
                    if found >= (rank if best is None else best):
                        break
                    if plain or self._reaches.meet(part, self.entries[found[-1]].touches):
                        best = found
                        break
        return best

    def soonest_ahead(self, part: Part, rank: Rank, kinds: Collection[Kind]) -> Iterator[Rank]:
        """Of the tickets ahead on this part, all but those that have to wait for one that is given."""
        return self._some_ahead(part, rank, kinds, topmost=True)

    def latest_ahead(self, part: Part, rank: Rank, kinds: Collection[Kind]) -> Iterator[Rank]:
        """Of the tickets ahead on this part, all but those that one that is given has to wait for."""
        return self._some_ahead(part, rank, kinds, topmost=False)

    def _some_ahead(self, part: Part, rank: Rank, kinds: Collection[Kind], topmost: bool) -> Iterator[Rank]:
        for ranks, plain in self._near(part):
            for kind, there in ranks.items():
                if kind in kinds:
                    end = bisect_left(there, rank)
                    one = (0 if topmost else end - 1,) if end else ()
                    for at in one if plain else range(end):
                        if plain or self._reaches.meet(part, self.entries[there[at][-1]].touches):
                            yield there[at]

    def _near(self, part: Part) -> Iterator[tuple[Ranks, bool]]:
        """Places where tickets may overlap the part, and whether all there do, and each other."""
        for hull in part.at:
            if hull in self._plain:
                yield self._plain[hull], part.plain
            if hull in self._other:
                yield self._other[hull], False
            below = self._watched(hull)
            if below:
                yield below, False
        for directory in part.above:
            if directory in self._plain:
                yield self._plain[directory], part.plain
            if directory in self._other:
                yield self._other[directory], False

    def _watched(self, place: str) -> Ranks:
        if not self._deeper[place]:
            return {}
        ranks = self._below.get(place)
        if ranks is None:
            ranks = self._below[place] = {}
            for entry in self.entries.values():
                if any(place in part.above for part in entry.parts):
                    ranks.setdefault(entry.kind, []).append(entry.rank)
            for there in ranks.values():
                there.sort()
        return ranks
