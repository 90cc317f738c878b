"""What an attempt has really written joins its claim, unless somebody else holds it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ticketd.domain.claims import Claim
from ticketd.domain.globs import PatternSet, fault, literal, matches, overlap

MOST_PATTERNS = 200
"""How many patterns a claim may have before directories join it instead of files."""
LEAST_ROOM = 8
MOST_PATHS = 20
"""How many paths of one collision are kept."""


@dataclass(frozen=True, slots=True, order=True)
class Collision:
    """`ticket` wrote `path`, which the claim of `other` covers."""

    ticket: str
    other: str
    path: str

    def __str__(self) -> str:
        return f"{self.ticket} wrote {self.path}, which {self.other} holds"

    def seen_by(self, ticket: str) -> str:
        """The ticket on the other side."""
        return self.other if ticket == self.ticket else self.ticket


@dataclass(frozen=True, slots=True)
class Widening:
    """The patterns that join the claim, and what can not since others hold it."""

    added: tuple[str, ...] = ()
    collisions: tuple[Collision, ...] = ()


def widen(own: Claim, paths: Iterable[str], others: Sequence[Claim], shared: PatternSet) -> Widening:
    """`others` are held. Paths of `shared` belong to nobody."""
    outside = [path for path in paths if not (matches(own.patterns, path) or matches(shared, path))]
    held = {other.ticket: [path for path in outside if matches(other.patterns, path)] for other in others}
    collisions = [Collision(own.ticket, other, path) for other, paths in held.items() for path in paths[:MOST_PATHS]]
    taken = {path for paths in held.values() for path in paths}
    free = [path for path in outside if path not in taken and fault(literal(path)) is None]
    return Widening(_joining(own, free, others, shared), tuple(sorted(collisions)))


def _joining(own: Claim, paths: Sequence[str], others: Sequence[Claim], shared: PatternSet) -> tuple[str, ...]:
    room = MOST_PATTERNS - len(own.patterns.patterns)
    known = own.patterns.patterns
    wanted = collapsed(paths, max(room, LEAST_ROOM))
    # A directory joins once, though the claim may take out of it what was written there (`!*.md`).
    found = _free(tuple(pattern for pattern in wanted if pattern not in known), others, shared)
    if room <= 0:  # full, so that only directories join: the claim of one who writes on and on would grow for ever
        names = set(map(literal, paths))
        return tuple(pattern for pattern in found if pattern not in names)
    # A directory that another's pattern can reach into does not join; some of its files do.
    left = [path for path in paths if not matches(PatternSet((*known, *found)), path)][: room - len(found)]
    return (*found, *_free(tuple(map(literal, left)), others, shared))


def _free(patterns: Sequence[str], others: Sequence[Claim], shared: PatternSet) -> tuple[str, ...]:
    return tuple(
        pattern for pattern in patterns if not any(overlap(PatternSet((pattern,)), o.patterns, shared) for o in others)
    )


def collapsed(paths: Iterable[str], room: int) -> tuple[str, ...]:
    """Literal patterns for these paths; where there are more than `room`, directories stand for the files in them, the
    fullest first. What is left over at the root is left out: the pattern for that would keep everybody else waiting."""
    names = set(paths)
    while len(names) > room and (inside := _by_directory(names)):
        for directory, members in sorted(
            inside.items(), key=lambda item: (-len(item[1]), -item[0].count("/"), item[0])
        ):
            names.difference_update(members)
            names.add(directory)
            if len(names) <= room:
                break
        names = {name for name in names if names.isdisjoint(above(name))}
    return tuple(map(literal, sorted(names)[:room]))


def _by_directory(names: Iterable[str]) -> dict[str, list[str]]:
    inside: dict[str, list[str]] = defaultdict(list)
    for name in names:
        directory = name.rpartition("/")[0]
        if directory:
            inside[directory].append(name)
    return inside


def above(name: str) -> Iterator[str]:
    """The folders that hold a path, the outermost first."""
    at = name.find("/")
    while at > 0:
        yield name[:at]
        at = name.find("/", at + 1)


def note_line(collision: Collision, ticket: str) -> str:
    """One line of Markdown for the agent of `ticket`, who is on one side of the collision."""
    path = as_code(collision.path)
    if ticket == collision.ticket:
        return (
            f"- You wrote `{path}`, which ticket {collision.other} holds: one of you will be rebased onto the other.\n"
        )
    return f"- Ticket {collision.ticket} wrote `{path}`, which you hold: one of you will be rebased onto the other.\n"


def as_code(path: str) -> str:
    """A path between backticks of Markdown, on one line."""
    return path.replace("`", "'").replace("\n", "\\n")
