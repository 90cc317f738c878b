"""Linear automata for path patterns, and the search for the shortest path some accept and others do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from itertools import pairwise, product
from string import ascii_lowercase, ascii_uppercase, digits

Ranges = tuple[tuple[int, int], ...]

_LAST = 0x10FFFF
_NEVER = 1 << 30
# The characters a witness may hold: no controls, line separators or surrogates.
_SANE: Ranges = ((0x20, 0x7E), (0xA0, 0x2027), (0x202A, 0xD7FF), (0xE000, _LAST))
# Order of preference among the characters of a witness.
_READABLE = ascii_lowercase + digits + "_-." + ascii_uppercase + " +,=@#%^~:;!$&'\"()<>[]{}|`?*\\/"
_TO_RANK = {ord(char): rank for rank, char in enumerate(_READABLE)}
_FROM_RANK = {rank: char for char, rank in _TO_RANK.items()}
# Where in a path a search stands: within a component, at the start of one, or past the prefix, where only `/` follows.
_WITHIN, _FRESH, _PAST = range(3)
_DOWN = (("/", "/".translate(_TO_RANK)),)
# Steps a search may take, as deciding what exclusions leave over is PSPACE-hard.
_EFFORT = 50_000


def single(char: str) -> Ranges:
    """The set of one character."""
    return ((ord(char), ord(char)),)


def complement(ranges: Ranges) -> Ranges:
    """Every character that `ranges` lacks."""
    gaps, low = [], 0
    for first, last in sorted(ranges):
        if first > low:
            gaps.append((low, first - 1))
        low = max(low, last + 1)
    return (*gaps, (low, _LAST)) if low <= _LAST else tuple(gaps)


ALL: Ranges = ((0, _LAST),)
SLASH = single("/")
NOT_SLASH = complement(SLASH)
# What the `.` of a regular expression takes.
LINE = complement(single("\n"))


def holds(ranges: Ranges, code: int) -> bool:
    """Whether the set has this code point."""
    return any(first <= code <= last for first, last in ranges)


def readability(path: str) -> tuple[int, str]:
    """Sort key of witnesses: the shorter first, then the plainer."""
    return len(path), path.translate(_TO_RANK)


@dataclass(frozen=True, slots=True)
class Item:
    """One state: `takes` leads to the next, `loops` stays; with `skips`, entering it enters the next but one too."""

    takes: Ranges
    loops: Ranges = ()
    skips: bool = False


END = Item((), ALL)


@dataclass(frozen=True, slots=True)
class Strand:
    """The states of one pattern, and the positions that accept a path that ends there."""

    items: tuple[Item, ...]
    accepts: frozenset[int]


class Machine:
    """Several strands run side by side, as one integer with a bit per state."""

    __slots__ = ("_loops", "_moves", "_skips", "_takes", "_targets", "accept", "items", "rest", "sink", "start")

    def __init__(self, strands: Iterable[Strand]) -> None:
        """Lay the strands end to end; the last state of each takes nothing, so that none runs into the next."""
        self.items: list[Item] = []
        self.start = self.accept = self.sink = self._skips = 0
        self._takes: dict[Ranges, int] = {}
        self._loops: dict[Ranges, int] = {}
        self._moves: dict[str, tuple[int, int]] = {}
        self._targets: dict[tuple[int, str], tuple[int, ...]] = {}
        for strand in strands:
            self.start |= (5 if strand.items[0].skips else 1) << len(self.items)
            self.accept |= sum(1 << len(self.items) + place for place in strand.accepts)
            self.items.extend(strand.items)
        self.rest = self._remaining()
        for place, item in enumerate(self.items):
            self._wire(place, item)

    def _remaining(self) -> list[int]:
        """The fewest characters from each state to acceptance."""
        rest = [_NEVER] * (len(self.items) + 3)
        for place in range(len(self.items) - 1, -1, -1):
            item = self.items[place]
            if self.accept >> place & 1:
                rest[place] = 0
            elif item.takes:
                beyond = rest[place + 3] if self.items[place + 1].skips else _NEVER
                rest[place] = min(_NEVER, 1 + min(rest[place + 1], beyond))
        return rest

    def _wire(self, place: int, item: Item) -> None:
        # A state that cannot lead to acceptance stays unwired: dead bits would only tell equal states apart.
        bit = 1 << place
        if item.takes and self.rest[place + 1] < _NEVER:
            self._takes[item.takes] = self._takes.get(item.takes, 0) | bit
        if item.loops and self.rest[place] < _NEVER:
            self._loops[item.loops] = self._loops.get(item.loops, 0) | bit
        if item.skips:
            self._skips |= bit
        if item is END:
            self.sink |= bit & self.accept

    def _move(self, char: str) -> tuple[int, int]:
        code, takes, loops = ord(char), 0, 0
        for ranges, mask in self._takes.items():
            takes |= mask if holds(ranges, code) else 0
        for ranges, mask in self._loops.items():
            loops |= mask if holds(ranges, code) else 0
        self._moves[char] = takes, loops
        return takes, loops

    def step(self, states: int, char: str) -> int:
        """The states reached from `states` over one character."""
        takes, loops = self._moves.get(char) or self._move(char)
        after = (states & takes) << 1 | states & loops
        return after | (after & self._skips) << 2

    def run(self, text: str) -> int:
        """The states reached from the start over a text."""
        states = self.start
        for char in text:
            states = self.step(states, char)
        return states

    def targets(self, place: int, char: str) -> tuple[int, ...]:
        """The states reached from one state over one character."""
        found = self._targets.get((place, char))
        if found is None:
            found = self._targets[place, char] = tuple(bits(self.step(1 << place, char)))
        return found

    def only(self, place: int) -> str | None:
        """The one character that leads on from a state, if there is just one."""
        item = self.items[place]
        return chr(item.takes[0][0]) if not item.loops and _is_single(item.takes) else None

    def alphabet(self) -> set[Ranges]:
        """The sets of characters that the machine tells apart."""
        return {*self._takes, *self._loops}


def bits(states: int) -> Iterator[int]:
    """The positions of the bits that are set."""
    while states:
        low = states & -states
        yield low.bit_length() - 1
        states ^= low


def _is_single(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


@lru_cache(maxsize=4096)
def _symbols(alphabet: frozenset[Ranges]) -> tuple[str, ...]:
    """One sane character, the most readable, for each way the given sets can tell characters apart."""
    singles = {ranges[0][0] for ranges in alphabet if _is_single(ranges)} | {ord("/")}
    wide = [ranges for ranges in alphabet if not _is_single(ranges)]
    found: dict[tuple[bool, ...], str] = {}
    for first, last in _cells(wide, singles):
        kind = tuple(holds(ranges, first) for ranges in wide)
        best = _plainest(first, last)
        found[kind] = min(best, found.get(kind, best), key=readability)
    literal = (chr(code) for code in singles if holds(_SANE, code))
    return tuple(sorted((*found.values(), *literal), key=readability))


def _cells(wide: Iterable[Ranges], singles: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The sane characters but `singles`, cut wherever one of the wide sets begins or ends."""
    cuts = {edge for ranges in (*wide, _SANE) for first, last in ranges for edge in (first, last + 1)}
    cuts |= {edge for code in singles for edge in (code, code + 1)}
    edges = sorted(cuts)
    for first, after in pairwise(edges):
        if holds(_SANE, first) and first not in singles:
            yield first, after - 1


def _plainest(first: int, last: int) -> str:
    if first < 0x80:
        return min(map(chr, range(first, last + 1)), key=readability)
    near = map(chr, range(first, min(last, first + 64) + 1))
    return next((char for char in near if char.isprintable()), chr(first))


# Characters, each with its rank.
_Symbols = tuple[tuple[str, str], ...]
# Order, least length of the path, ranks of its text past the prefix, wanted states, phase, shunned states.
_Entry = tuple[int, int, str, tuple[int, ...], int, int]


@dataclass(frozen=True, slots=True)
class Search:
    """A hunt for the shortest path, `prefix` or below, that all the wanted machines accept and the shunned does not."""

    prefix: str
    wanted: Sequence[Machine]
    shunned: Machine
    # The part of the shunned that no path may be in, however long the search.
    insane: Machine
    # To look first where the least is shunned: quicker to a verdict where much is, but not to the shortest path.
    hasty: bool = False

    def shortest(self, most: int = _NEVER) -> str | None:
        """That path, or None where there is none of at most so many characters; of the shortest, the most readable."""
        settled: dict[tuple[tuple[int, ...], int], list[int]] = {}
        heap = [entry for entry in self._entries() if entry[1] <= most]
        symbols, effort = self._alphabet(), 0
        while heap:
            entry = heappop(heap)
            *_, text, places, phase, avoid = entry
            seen = settled.setdefault((places, phase), [])
            effort += len(seen) // 64
            # Whoever is in fewer shunned states can go wherever the other can, and was reached no later.
            if any(old & avoid == old for old in seen):
                continue
            seen.append(avoid)
            effort += 1
            if phase != _FRESH and not avoid & self.shunned.accept and self._accepted(places):
                return self.prefix + text.translate(_FROM_RANK)
            if effort > _EFFORT and (simpler := self._simpler()):
                return simpler.shortest()
            for after in self._after(entry, symbols):
                if after[1] <= most:
                    heappush(heap, after)
        return None

    def _after(self, entry: _Entry, symbols: _Symbols) -> Iterator[_Entry]:
        """The entries one character on."""
        *_, text, places, phase, avoid = entry
        spent = len(self.prefix) + len(text) + 1
        for char, rank in _DOWN if phase == _PAST else self._choices(places, symbols):
            shunned = self.shunned.step(avoid, char)
            if (phase == _FRESH and char == "/") or shunned & self.shunned.sink:
                continue
            order, then = self._order(shunned), _FRESH if char == "/" else _WITHIN
            for reached in product(*map(Machine.targets, self.wanted, places, (char,) * len(places))):
                yield order, spent + self._rest(reached), text + rank, reached, then, shunned

    def _simpler(self) -> Search | None:
        """A search that asks for less; the last ones err on the side of a path too many."""
        if self.shunned is not self.insane and not self.hasty:
            return Search(self.prefix, self.wanted, self.shunned, self.insane, hasty=True)
        if self.shunned is not self.insane:
            return Search(self.prefix, self.wanted, self.insane, self.insane)
        return Search(self.prefix, self.wanted[:-1], self.insane, self.insane) if len(self.wanted) > 1 else None

    def _entries(self) -> list[_Entry]:
        avoid = self.shunned.run(self.prefix)
        if avoid & self.shunned.sink:
            return []
        starts = product(*(tuple(bits(machine.run(self.prefix))) for machine in self.wanted))
        length, phase = len(self.prefix), _PAST if self.prefix else _FRESH
        return sorted((0, length + self._rest(places), "", places, phase, avoid) for places in starts)

    def _order(self, avoid: int) -> int:
        return avoid.bit_count() if self.hasty else 0

    def _alphabet(self) -> _Symbols:
        sets = frozenset().union(self.shunned.alphabet(), *(machine.alphabet() for machine in self.wanted))
        return tuple((char, char.translate(_TO_RANK)) for char in _symbols(sets))

    def _choices(self, places: tuple[int, ...], symbols: _Symbols) -> _Symbols:
        for machine, place in zip(self.wanted, places, strict=True):
            if char := machine.only(place):
                return ((char, char.translate(_TO_RANK)),)
        return symbols

    def _rest(self, places: tuple[int, ...]) -> int:
        return max((machine.rest[place] for machine, place in zip(self.wanted, places, strict=True)), default=0)

    def _accepted(self, places: tuple[int, ...]) -> bool:
        return all(machine.accept >> place & 1 for machine, place in zip(self.wanted, places, strict=True))
