"""What may be done about paths on which two sides meet, apart from stopping there."""

from __future__ import annotations

from dataclasses import dataclass

from ticketd.domain.globs import NOTHING, PatternSet, matches


@dataclass(frozen=True, slots=True)
class MergeRules:
    """`union`: where both sides have written, the lines of both are kept, the target's first. `regenerate`: files that
    a command makes out of others, so where both sides have changed them they are made anew instead of merged. A path
    that is both is made anew."""

    union: PatternSet = NOTHING
    regenerate: PatternSet = NOTHING

    def unites(self, path: str) -> bool:
        return bool(self.union.patterns) and matches(self.union, path)

    def makes_anew(self, path: str) -> bool:
        return bool(self.regenerate.patterns) and matches(self.regenerate, path)


NO_RULES = MergeRules()
