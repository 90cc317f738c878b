"""File patterns in gitignore syntax: what they match, and whether two sets of them can match a common path.

The meaning of a pattern is that of pathspec's GitIgnoreSpec. There the last pattern that matches the path itself
decides; where none does, the last one that matches a directory above it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from heapq import merge
from itertools import combinations, repeat
from typing import NamedTuple

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from ticketd.domain.automata import Machine, Search, readability
from ticketd.domain.globsyntax import LONGEST, SPECIAL, BadPattern, Glob, are_apart, parse


@dataclass(frozen=True, slots=True)
class PatternSet:
    """Patterns in order, as the lines of a .gitignore file."""

    patterns: tuple[str, ...]


EVERYTHING = PatternSet(("**",))
NOTHING = PatternSet(())
_MERE_PATH = re.compile(r"[A-Za-z0-9_./-]+")


def fault(pattern: str) -> str | None:
    """Why this text is not an acceptable pattern, or None."""
    try:
        parse(pattern)
    except BadPattern as refusal:
        return str(refusal)
    # The reference makes a regex of each, which takes a hundred times as long; a mere path is one to it too.
    return None if _MERE_PATH.fullmatch(pattern) else _refused(pattern)


@lru_cache(maxsize=4096)
def _refused(pattern: str) -> str | None:
    """Not needed to know the meaning, but no pattern may pass that the reference refuses or ignores."""
    try:
        return None if GitIgnoreSpecPattern(pattern).include is not None else "it would be ignored"
    except (ValueError, re.error) as refusal:
        return f"it is not a valid pattern: {refusal}"


def matches(claim: PatternSet, path: str) -> bool:
    """Whether the claim covers this file."""
    return _rules(claim.patterns).matches(path.removeprefix("/") if path[:1] == "/" else path.removeprefix("./"))


def overlap(a: PatternSet, b: PatternSet, apart_from: PatternSet = NOTHING) -> str | None:
    """The shortest file path that both match and `apart_from` does not; None if there is none.

    Where that would take too long to decide it errs on the safe side: the path may then not be common after all.
    """
    return _overlap(a.patterns, b.patterns, apart_from.patterns)


def outside(a: PatternSet, allowed: PatternSet) -> str | None:
    """The shortest file path that `a` matches and `allowed` does not; None if `a` is contained."""
    return _outside(a.patterns, allowed.patterns)


def hulls(patterns: PatternSet) -> tuple[Collection[str], Collection[str]]:
    """Where the matched paths lie: directories or files that hold them all, and the directories above those.

    Two sets can overlap only if a hull of one is a hull of the other or above one: an index for quick rejection.
    """
    index = _rules(patterns.patterns).index
    return index.at.keys(), index.under.keys()


def literal(path: str) -> str:
    """The pattern that matches exactly this path, and what lies under it should it be a directory."""
    text = "/" + SPECIAL.sub(r"\\\g<0>", path)
    if text[-1] == " ":
        return text[:-1] + "\\ "
    # Only a space can be saved by a backslash from being stripped off the end.
    return f"{text[:-1]}[{text[-1]}]" if text[-1].isspace() else text


# ---- sets of patterns


class _Hit(NamedTuple):
    """That a pattern matches a path: at all, or `as_file`."""

    glob: Glob
    as_file: bool = False


class _Term(NamedTuple):
    """Paths with this hit and without others; the verdict of a pattern set is a union of such terms."""

    hit: _Hit | None
    unless: tuple[_Hit, ...]
    # The path that all these are or lie under, and a bound on how short any of them is.
    hull: str = ""
    least: int = 0


_Choice = tuple[_Term, ...]


# No path has such components, and what is in .git is no file of the repository.
_INSANE = tuple(_Hit(Glob(True, segments, False)) for segments in (("**", "."), ("**", ".."), (".git",)))


class _Rules:
    """A pattern set, compiled."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.globs = tuple(map(parse, patterns))
        negates = not all(glob.include for glob in self.globs)
        # Hulls of the patterns that cover whole trees, and whether strictly; of no use where others may negate.
        self.trees = {} if negates else _trees(self.globs)
        self.loose = tuple(glob for glob in self.globs if negates or not glob.tree)
        # The paths that are matched, as a union; the terms with the shortest paths first.
        self.terms = sorted(_terms(self.globs, True), key=lambda term: term.least)
        self.index = _Index(self.terms)

    @cached_property
    def escapes(self) -> tuple[_Term, ...]:
        """The paths that are not matched."""
        return tuple(_terms(self.globs, False))

    def covers(self, path: str) -> bool:
        """Whether a literal pattern by itself matches this path and all that lies under it."""
        trees = self.trees
        return bool(trees) and (trees.get(path) is False or any(above in trees for above in _above(path)))

    def matches(self, path: str) -> bool:
        """The answer of GitIgnoreSpec.match_file."""
        if "\n" in path:
            return _judge(self.globs).decide(path)
        return self.covers(path) or (bool(self.loose) and _judge(self.loose).decide(path))


class _Judge:
    """The patterns of a set side by side, to see which of them decides on a path."""

    def __init__(self, globs: Sequence[Glob]) -> None:
        strands = [glob.strand(as_file=False) for glob in globs]
        self.machine = Machine(strands)
        self.as_file = self.included = at = 0
        for glob, strand in zip(globs, strands, strict=True):
            size = len(strand.items)
            self.as_file |= sum(1 << at + place for place in glob.strand(as_file=True).accepts)
            self.included |= ((1 << size) - 1) << at if glob.include else 0
            at += size

    def decide(self, path: str) -> bool:
        """Whether the last pattern to match as a file, or else the last to match at all, includes the path."""
        states = self.machine.run(path)
        if path.endswith("\n"):
            # The reference takes the end to be also before a last line break.
            states |= self.machine.run(path[:-1]) & self.machine.accept
        hits = states & self.as_file or states & self.machine.accept
        return bool(hits) and bool(self.included >> hits.bit_length() - 1 & 1)


class _Index:
    """Terms by hull, and by each directory above their hull."""

    def __init__(self, terms: Iterable[_Term]) -> None:
        self.at: dict[str, list[_Term]] = {}
        self.under: dict[str, list[_Term]] = {}
        for term in terms:
            self.at.setdefault(term.hull, []).append(term)
            for above in _above(term.hull):
                self.under.setdefault(above, []).append(term)

    def meeting(self, other: _Index) -> Iterator[tuple[list[_Term], list[_Term]]]:
        """The groups of which one's hull is the other's or lies above it: no others can have a path in common."""
        sides = (self.at, other.at), (self.at, other.under), (self.under, other.at)
        return ((mine[hull], theirs[hull]) for mine, theirs in sides for hull in mine.keys() & theirs.keys())


_rules = lru_cache(maxsize=1 << 14)(_Rules)
_judge = lru_cache(maxsize=256)(_Judge)


@lru_cache(maxsize=8192)
def _machine(hits: tuple[_Hit, ...]) -> Machine:
    return Machine(hit.glob.strand(hit.as_file) for hit in hits)


def _above(path: str) -> Iterator[str]:
    """The directories above a path, the root as ''."""
    if path:
        yield ""
    at = path.find("/")
    while at > 0:
        yield path[:at]
        at = path.find("/", at + 1)


def _related(hull: str, other: str) -> bool:
    return hull == other or not hull or not other or hull.startswith(other + "/") or other.startswith(hull + "/")


def _trees(globs: Iterable[Glob]) -> dict[str, bool]:
    trees: dict[str, bool] = {}
    for glob in globs:
        if glob.tree:
            trees[glob.hull] = trees.get(glob.hull, True) and glob.strict
    return trees


def _terms(globs: Sequence[Glob], verdict: bool) -> Iterator[_Term]:
    """The paths on which the patterns come to this verdict."""
    against = [at for at, glob in enumerate(globs) if glob.include is not verdict]
    if not verdict:
        yield _Term(None, tuple(_Hit(globs[at]) for at in against))
    for at, glob in enumerate(globs):
        if glob.include is verdict:
            before = [globs[other] for other in against if other < at]
            after = [globs[other] for other in against if other > at]
            yield from _decided_by(glob, before, after)


def _decided_by(glob: Glob, before: Sequence[Glob], after: Sequence[Glob]) -> Iterator[_Term]:
    """The paths that a pattern decides on, given those around it that would decide otherwise."""
    if glob.level == "file" or (glob.level == "both" and (before or after)):
        yield _Term(_Hit(glob, as_file=True), _as_file(after), glob.hull, glob.least)
    if glob.level != "file":
        # To have a hit as a file in here too does no harm: those before do not have one.
        yield _Term(_Hit(glob), (*_as_file(before), *map(_Hit, after)), glob.hull, glob.least)


def _as_file(globs: Iterable[Glob]) -> tuple[_Hit, ...]:
    return tuple(_Hit(glob, as_file=True) for glob in globs if glob.level != "dir")


# ---- the search for a witness


@lru_cache(maxsize=8192)
def _overlap(a: tuple[str, ...], b: tuple[str, ...], apart_from: tuple[str, ...]) -> str | None:
    left, right = _rules(a), _rules(b)
    meeting = list(left.index.meeting(right.index))
    return _witness(_choices(meeting), _rules(apart_from)) if meeting else None


@lru_cache(maxsize=8192)
def _outside(a: tuple[str, ...], allowed: tuple[str, ...]) -> str | None:
    return _witness(((term,) for term in _rules(a).terms), _rules(allowed))


def _choices(groups: Iterable[tuple[list[_Term], list[_Term]]]) -> Iterator[_Choice]:
    """Every pair of terms out of the groups, those with the shortest paths first; lazily, for few are ever needed."""
    lone: list[_Choice] = []
    many = []
    for left, right in groups:
        if len(left) == len(right) == 1:
            lone.append((left[0], right[0]))
        else:
            many.append(_pairs(left, right))
    return merge(sorted(lone, key=_least), *many, key=_least)


def _pairs(left: Sequence[_Term], right: Sequence[_Term]) -> Iterator[_Choice]:
    passed: tuple[list[_Term], list[_Term]] = ([], [])
    for term, mine in merge(zip(left, repeat(True)), zip(right, repeat(False)), key=lambda entry: entry[0].least):
        passed[mine].append(term)
        for other in passed[not mine]:
            yield (term, other) if mine else (other, term)


def _witness(choices: Iterable[_Choice], avoid: _Rules) -> str | None:
    """The best path in all terms of one of the choices, which come by length, and not matched by `avoid`."""
    best: str | None = None
    for choice in choices:
        if best is not None and _least(choice) > len(best):
            break
        if avoid.covers(_hull(choice)):
            continue
        for escape in avoid.escapes:
            found = _shortest((*choice, escape), len(best) if best is not None else LONGEST * 4)
            best = found if best is None or (found and readability(found) < readability(best)) else best
    return best


def _hull(terms: _Choice) -> str:
    return max([term.hull for term in terms], key=len)


def _least(terms: _Choice) -> int:
    return max([term.least for term in terms])


def _shortest(terms: _Choice, most: int) -> str | None:
    """The best path in all these terms, of at most so many characters."""
    hull = _hull(terms)
    hits = [term.hit for term in terms if term.hit]
    if not all(_related(hull, hit.glob.hull) for hit in hits):
        return None
    if any(are_apart(one.glob, other.glob) for one, other in combinations(hits, 2)):
        return None
    wanted = [hit for hit in hits if not _granted(hit, hull)]
    unless = [hit for term in terms for hit in term.unless if _related(hull, hit.glob.hull)]
    if hull and not wanted and not unless:
        return hull
    insane = [hit for hit in _INSANE if _related(hull, hit.glob.hull)]
    machines = [_machine((hit,)) for hit in wanted]
    return Search(hull, machines, _machine((*unless, *insane)), _machine(tuple(insane))).shortest(most)


def _granted(hit: _Hit, hull: str) -> bool:
    """Whether the hit is certain on this hull, which is its own or lies below, and on all under it."""
    glob = hit.glob
    certain = glob.tree and (not hit.as_file or glob.level == "file")
    return certain and (not glob.strict or hull != glob.hull)
