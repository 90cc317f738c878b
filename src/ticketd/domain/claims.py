"""Claims that are held, and the question every pick asks of them: who is in the way, and on which path?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ticketd.domain.globs import PatternSet
from ticketd.domain.reach import Part, Reaches


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
    """The claims held, indexed by where they lie: at a hull or below a directory, and whether by a plain part, for then
    a plain part that lies there meets it for sure."""

    def __init__(self, reaches: Reaches) -> None:
        self._reaches = reaches
        self._claims: dict[str, PatternSet] = {}
        self._at: dict[str, dict[str, bool]] = {}
        self._below: dict[str, dict[str, bool]] = {}
        self._asked: dict[Part, str | None] = {}

    def __contains__(self, ticket: str) -> bool:
        return ticket in self._claims

    def of(self, ticket: str) -> PatternSet | None:
        return self._claims.get(ticket)

    def tickets(self) -> list[str]:
        return list(self._claims)

    def put(self, ticket: str, patterns: PatternSet) -> None:
        """Hold these patterns for the ticket instead of what it held."""
        self.remove(ticket)
        self._claims[ticket] = patterns
        for part in self._reaches.parts(patterns):
            for index, places in ((self._at, part.at), (self._below, part.above)):
                for place in places:
                    there = index.setdefault(place, {})
                    there[ticket] = there.get(ticket, False) or part.plain
        self._asked.clear()

    def remove(self, ticket: str) -> None:
        patterns = self._claims.pop(ticket, None)
        if patterns is None:
            return
        for part in self._reaches.parts(patterns):
            for index, places in ((self._at, part.at), (self._below, part.above)):
                for place in places:
                    _take_out(index, place, ticket)
        self._asked.clear()

    def holder(self, part: Part) -> str | None:
        """Somebody who holds a path of this part; the first by name."""
        if part not in self._asked:
            self._asked[part] = next(self.holders(part), None)
        return self._asked[part]

    def holders(self, part: Part) -> Iterator[str]:
        """All who hold a path of this part, by name."""
        near: dict[str, bool] = {}
        for index, places in ((self._at, part.at), (self._below, part.at), (self._at, part.above)):
            for place in places:
                for ticket, is_plain in index.get(place, _NOBODY).items():
                    near[ticket] = near.get(ticket, False) or (is_plain and part.plain)
        return (t for t in sorted(near) if near[t] or self._reaches.meet(part, self._claims[t]))

    def blockers(self, patterns: PatternSet) -> tuple[Blocker, ...]:
        """All that overlap `patterns`, by name, each with a witness."""
        near = {ticket for part in self._reaches.parts(patterns) for ticket in self.holders(part)}
        found = ((ticket, self._reaches.witness(self._claims[ticket], patterns)) for ticket in sorted(near))
        return tuple(Blocker(ticket, path) for ticket, path in found if path is not None)


_NOBODY: dict[str, bool] = {}


def _take_out(index: dict[str, dict[str, bool]], place: str, ticket: str) -> None:
    there = index.get(place)
    if there is not None:
        there.pop(ticket, None)
        if not there:
            del index[place]
