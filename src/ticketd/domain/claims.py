"""Claims that are held or reserved, and the question every pick asks of them: who is in the way, and on which path?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ticketd.domain.globs import NOTHING, PatternSet, hulls, overlap

# A queue of n tickets that are all held back asks the same pairs again at each tick.
_overlap = lru_cache(maxsize=1 << 18)(overlap)


@dataclass(frozen=True, slots=True)
class Claim:
    """The patterns an attempt holds from dispatch until its ticket has landed or ended."""

    ticket: str
    attempt: int
    patterns: PatternSet


@dataclass(frozen=True, slots=True)
class Blocker:
    """`ticket` is in the way on `path`: a file both can touch."""

    ticket: str
    path: str


class ClaimTable:
    """Claims in the order they were added, indexed by where they lie. Paths of `shared` never make an overlap."""

    def __init__(self, shared: PatternSet = NOTHING) -> None:
        self._shared = shared
        self._claims: list[tuple[str, PatternSet]] = []
        self._at: dict[str, list[int]] = {}
        self._under: dict[str, list[int]] = {}

    def add(self, ticket: str, patterns: PatternSet) -> None:
        number = len(self._claims)
        self._claims.append((ticket, patterns))
        at, above = hulls(patterns)
        for hull in at:
            self._at.setdefault(hull, []).append(number)
        for directory in above:
            self._under.setdefault(directory, []).append(number)

    def blockers(self, patterns: PatternSet) -> Iterator[Blocker]:
        """All that overlap `patterns`, in the order they were added."""
        for number in self._near(patterns):
            ticket, claimed = self._claims[number]
            witness = _overlap(claimed, patterns, self._shared)
            if witness is not None:
                yield Blocker(ticket, witness)

    def first_blocker(self, patterns: PatternSet) -> Blocker | None:
        return next(self.blockers(patterns), None)

    def _near(self, patterns: PatternSet) -> list[int]:
        """Claims that lie where these patterns do; all others cannot overlap them."""
        at, above = hulls(patterns)
        near: set[int] = set()
        for hull in at:
            near.update(self._at.get(hull, ()), self._under.get(hull, ()))
        for directory in above:
            near.update(self._at.get(directory, ()))
        return sorted(near)
