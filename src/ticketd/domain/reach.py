"""Where claims lie: the parts of a pattern set by which two of them can meet, so that few pairs are ever compared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ticketd.domain.globs import NOTHING, PatternSet, hulls, outside, overlap
from ticketd.domain.globsyntax import parse

_overlap = lru_cache(maxsize=1 << 18)(overlap)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Patterns (`texts`) that a claim overlaps another by: one of its patterns, or all where some negate.

    `at`: the hulls; `above`: the directories above them. `plain`: it covers its hull and all that lies below, so two
    plain parts meet exactly where one's hull is the other's or lies above it.
    """

    texts: tuple[str, ...]
    at: tuple[str, ...]
    above: tuple[str, ...]
    plain: bool

    @property
    def patterns(self) -> PatternSet:
        return PatternSet(self.texts)


class Reaches:
    """The parts of pattern sets, each made once. Paths of `shared` never make an overlap."""

    def __init__(self, shared: PatternSet = NOTHING) -> None:
        self._shared = shared
        self._negating: dict[PatternSet, tuple[Part, ...]] = {}
        self._single: dict[str, Part | None] = {}
        self._directories: dict[str, tuple[str, ...]] = {}

    def parts(self, patterns: PatternSet) -> tuple[Part, ...]:
        """Without those that lie in `shared` as a whole. Two sets overlap if and only if parts of them meet."""
        if any(pattern.startswith("!") for pattern in patterns.patterns):
            if patterns not in self._negating:
                at, above = hulls(patterns)
                self._negating[patterns] = (Part(patterns.patterns, tuple(at), tuple(above), plain=False),)
            return self._negating[patterns]
        parts = tuple([part for text in patterns.patterns if (part := self._part(text)) is not None])
        return parts if len(parts) < 2 else self._apart(parts)

    def _apart(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """Of plain parts with the same hull one will do."""
        return tuple({part.at if part.plain else part.texts: part for part in parts}.values())

    def meet(self, part: Part, patterns: PatternSet) -> bool:
        """Whether some path of the part is in `patterns` too."""
        return _overlap(part.patterns, patterns, self._shared) is not None

    def witness(self, one: PatternSet, other: PatternSet) -> str | None:
        """The shortest path both can touch."""
        return _overlap(one, other, self._shared)

    def _part(self, pattern: str) -> Part | None:
        if pattern not in self._single:
            self._single[pattern] = self._single_part(pattern)
        return self._single[pattern]

    def _single_part(self, pattern: str) -> Part | None:
        alone = PatternSet((pattern,))
        glob = parse(pattern)
        if not glob.include or (self._shared.patterns and outside(alone, self._shared) is None):
            return None
        plain = glob.tree and not glob.strict and not glob.everything and not _insane(glob.hull)
        if plain and self._shared.patterns:
            plain = overlap(alone, self._shared) is None
        return Part(alone.patterns, (glob.hull,), self._above(glob.hull), plain)

    def _above(self, hull: str) -> tuple[str, ...]:
        """The directories above a path, the root as ''."""
        if not hull:
            return ()
        parent = hull.rpartition("/")[0]
        known = self._directories.get(parent)
        if known is None:
            known = self._directories[parent] = (*self._above(parent), parent)
        return known


def _insane(hull: str) -> bool:
    """No file of a repository lies there, so nothing meets there."""
    return any(name in ("", ".", "..", ".git") for name in hull.split("/"))
