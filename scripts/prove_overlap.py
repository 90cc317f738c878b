"""Compare what ticketd.domain.globs decides on pairs of pattern sets with a search through all short paths."""

from __future__ import annotations

import argparse
import itertools
import random
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from ticketd.domain.automata import readability
from ticketd.domain.globs import NOTHING, PatternSet, fault, outside, overlap

PIECES = ("a", "b", "c", "*", "?", "**", "[ab]", "[!a]", "[^bc]", "[a-b]", "[+-b]", "\\a", ".")
SHAPES = ("{0}", "{0}", "/{0}", "{0}/", "/{0}/", "**/{0}", "{0}/**", "**/{0}/**", "{0}/**/")


class Universe:
    """Every sane path of at most so many characters, best first; a set of paths is an integer with a bit for each."""

    def __init__(self, alphabet: str, longest: int) -> None:
        texts = ("".join(chars) for size in range(1, longest + 1) for chars in itertools.product(alphabet, repeat=size))
        self.paths = sorted((text for text in texts if is_sane(text)), key=readability)
        self.all = (1 << len(self.paths)) - 1
        self.place = {path: place for place, path in enumerate(self.paths)}
        self.hits = lru_cache(maxsize=None)(self._hits)

    def _hits(self, pattern: str) -> tuple[bool, int, int]:
        """Whether the pattern includes, and the paths that it matches as a file and by a directory above."""
        reference = GitIgnoreSpecPattern(pattern)
        assert reference.regex is not None
        marks = {None: "0", "file": "0", "dir": "0"}
        kinds = [self._kind(reference.regex.search(path)) for path in reversed(self.paths)]
        as_file, by_dir = (int("".join({**marks, kind: "1"}[found] for found in kinds), 2) for kind in ("file", "dir"))
        return bool(reference.include), as_file, by_dir

    @staticmethod
    def _kind(match: re.Match[str] | None) -> str | None:
        return match and ("dir" if match.groupdict().get("ps_d") else "file")

    def matched(self, claim: PatternSet) -> int:
        """The paths that a claim matches: the last match as a file decides, or else the last by a directory."""
        included = settled = 0
        for level in (1, 2):
            for pattern in reversed(claim.patterns):
                hits = self.hits(pattern)
                fresh = hits[level] & ~settled
                settled |= fresh
                included |= fresh if hits[0] else 0
        return included

    def best(self, places: int) -> str | None:
        """The path that comes first."""
        return self.paths[(places & -places).bit_length() - 1] if places else None


def is_sane(path: str) -> bool:
    """Whether this can be the path of a file in a repository."""
    return not {"", ".", ".."} & set(path.split("/")) and path.split("/")[0] != ".git"


def some_pattern(rng: random.Random) -> str:
    """An acceptable pattern over few characters, with every feature of the syntax."""
    while True:
        sizes = rng.choice(((1,), (2,), (3,), (1, 1), (1, 2), (2, 1), (1, 1, 1)))
        text = "/".join("".join(rng.choices(PIECES, k=size)) for size in sizes)
        pattern = ("!" if rng.random() < 0.2 else "") + rng.choice(SHAPES).format(text)
        if fault(pattern) is None:
            return pattern


def some_claim(rng: random.Random, pool: Sequence[str], most: int = 4) -> PatternSet:
    """A few patterns of the pool."""
    return PatternSet(tuple(rng.choices(pool, k=rng.randint(1, most))))


def is_matched(claim: PatternSet, path: str) -> bool:
    """The answer of the reference."""
    return GitIgnoreSpec.from_lines(claim.patterns, backend="simple").match_file(path)


def disagreement(universe: Universe, witness: str | None, a: PatternSet, b: PatternSet, not_in: PatternSet) -> str:
    """What is wrong with this answer to: which path do `a` and `b` match, and `not_in` not? Empty if nothing."""
    best = universe.best(universe.matched(a) & universe.matched(b) & ~universe.matched(not_in))
    if witness is None:
        return f"missed {best!r}" if best else ""
    if not is_sane(witness):
        return f"{witness!r} is no path"
    if not (is_matched(a, witness) and is_matched(b, witness)) or is_matched(not_in, witness):
        return f"{witness!r} does not qualify"
    if best and readability(best) < readability(witness):
        return f"{best!r} is better than {witness!r}"
    return f"{witness!r} is not {best!r}" if witness in universe.place and witness != best else ""


def disagreements(rng: random.Random, universe: Universe, pool: Sequence[str], pairs: int) -> Iterator[str]:
    """One line for each of so many random pairs; empty where all answers agree."""
    everything = PatternSet(("**",))
    for _ in range(pairs):
        a, b, c = some_claim(rng, pool), some_claim(rng, pool), some_claim(rng, pool, 2)
        asked: Iterable[tuple[str, str | None, PatternSet, PatternSet]] = (
            ("overlap", overlap(a, b), b, NOTHING),
            ("swapped overlap", overlap(b, a), b, NOTHING),
            ("overlap apart from", overlap(a, b, c), b, c),
            ("outside", outside(a, b), everything, b),
        )
        found = [(name, disagreement(universe, witness, a, b_, c_)) for name, witness, b_, c_ in asked]
        wrong = "; ".join(f"{name}: {text}" for name, text in found if text)
        yield f"{a.patterns} {b.patterns} {c.patterns}: {wrong}" if wrong else ""


def main() -> int:
    """Run the comparison and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pool", type=int, default=3_000, help="distinct patterns to draw from")
    parser.add_argument("--longest", type=int, default=6, help="length of the longest path to try")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    universe = Universe("abc./", options.longest)
    pool = [some_pattern(rng) for _ in range(options.pool)]
    wrong = [text for text in disagreements(rng, universe, pool, options.pairs) if text]
    print(f"{options.pairs} pairs, {len(wrong)} disagreements")
    print("\n".join(wrong[:20]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
