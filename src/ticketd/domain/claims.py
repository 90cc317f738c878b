"""Claims that are held or reserved, and the question every pick asks of them: who is in the way, and on which path?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from ticketd.domain.globs import NOTHING, PatternSet, overlap

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


@dataclass(slots=True)
class ClaimTable:
    """Claims by ticket. Paths of `shared` never make an overlap."""

    shared: PatternSet = NOTHING
    _claims: list[tuple[str, PatternSet]] = field(default_factory=list)

    def add(self, ticket: str, patterns: PatternSet) -> None:
        self._claims.append((ticket, patterns))

    def blockers(self, patterns: PatternSet) -> Iterator[Blocker]:
        """All that overlap `patterns`, in the order they were added."""
        for ticket, claimed in self._claims:
            witness = _overlap(claimed, patterns, self.shared)
            if witness is not None:
                yield Blocker(ticket, witness)

    def first_blocker(self, patterns: PatternSet) -> Blocker | None:
        return next(self.blockers(patterns), None)
