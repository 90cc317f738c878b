"""The merge train: what is verified together, what may be pushed, and who is to blame. Pure.

The candidates of the lane are a stack: each is one ticket's work on top of the candidate before it, the first on top
of the target. What a verification says of a candidate it says of all below it, too: together they are what would be
pushed. A candidate is verified on the assumption that those below it pass, so several verifications run side by side.
Where one fails, the stack below it is bisected, and blame falls only on one that failed on top of what has passed.

Ideas taken from Zuul's gate (speculation), bors-ng (bisection) and Mergify (the last suspect is not verified again).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Result(StrEnum):
    """What is known of a candidate, verified together with those below it."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"

    @classmethod
    def of(cls, passed: bool) -> Result:
        return cls.PASSED if passed else cls.FAILED


@dataclass(frozen=True, slots=True)
class Train:
    """`results`: one for each candidate, the one next to the target first; None: not verified. `target`: of the target
    as it is. `reruns`: how often the first candidate, or the target, may be run again after it has failed."""

    results: tuple[Result | None, ...]
    target: Result | None = None
    reruns: int = 0
    target_reruns: int = 0


@dataclass(frozen=True, slots=True)
class Push:
    """The first `count` candidates, all at once."""

    count: int


@dataclass(frozen=True, slots=True)
class Verify:
    """The candidate at this place (from 0), with all below it."""

    place: int


@dataclass(frozen=True, slots=True)
class VerifyTarget:
    """Before the first candidate is blamed: does the target pass without it?"""


@dataclass(frozen=True, slots=True)
class Abandon:
    """A verification that runs for nothing: one below it has failed."""

    place: int


@dataclass(frozen=True, slots=True)
class Blame:
    """The first candidate fails on a target that passes."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The target itself fails: nobody's work can be judged until it has moved."""


Move = Push | Verify | VerifyTarget | Abandon | Blame | Wait


def next_moves(train: Train, together: int, lanes: int) -> tuple[Move, ...]:
    """All that can be done at once; nothing while verifications run that must be awaited. `together`: how many
    candidates one verification takes on at most; `lanes`: how many verifications may run."""
    failed = next((at for at, result in enumerate(train.results) if result is Result.FAILED), None)
    sound = train.results[:failed]
    passed = max((at for at, result in enumerate(sound) if result is Result.PASSED), default=None)
    if passed is not None:
        return (Push(passed + 1),)
    running = [at for at, result in enumerate(sound) if result is Result.RUNNING]
    if failed is None:
        return _go_on(len(train.results), running, together, lanes)
    doomed = (Abandon(at) for at in range(failed, len(train.results)) if train.results[at] is Result.RUNNING)
    suspects = _blame(train) if failed == 0 else _bisect(failed, running, lanes)
    return (*doomed, *suspects)


def _go_on(length: int, running: list[int], together: int, lanes: int) -> tuple[Move, ...]:
    """The next stretches of the stack, as many as there are lanes free."""
    begin = running[-1] + 1 if running else 0
    ends: list[int] = []
    while begin < length and len(running) + len(ends) < lanes:
        ends.append(min(begin + together, length) - 1)
        begin = ends[-1] + 1
    return tuple(Verify(end) for end in ends)


def _bisect(failed: int, running: list[int], lanes: int) -> tuple[Move, ...]:
    """The middle of the widest stretch that nothing is known of, again and again while lanes are free."""
    bounds: list[int] = [-1, *running, failed]
    chosen: list[int] = []
    while len(running) + len(chosen) < lanes:
        low, high = max(pairwise(bounds), key=lambda pair: pair[1] - pair[0])
        if high - low < 2:
            break
        chosen.append((low + high) // 2)
        bounds = sorted((*bounds, chosen[-1]))
    return tuple(Verify(place) for place in sorted(chosen))


def _blame(train: Train) -> tuple[Move, ...]:
    """First it is run again, as a flaky check costs no agent's time; then it is asked whether it was broken before."""
    if train.reruns > 0:
        return (Verify(0),)
    match train.target:
        case Result.PASSED:
            return (Blame(),)
        case Result.FAILED:
            return (VerifyTarget(),) if train.target_reruns > 0 else (Wait(),)
        case Result.RUNNING:
            return ()
        case None:
            return (VerifyTarget(),)


def in_train_order(paths: list[frozenset[str]]) -> list[int]:
    """The places of `paths` (what each candidate changes) in the order to stack them: the first stays first, so that
    nobody starves; then those that meet none before them; then the rest, each in the order given."""
    taken: set[str] = set()
    apart, others = [], []
    for place, own in enumerate(paths):
        if place == 0 or taken.isdisjoint(own):
            apart.append(place)
            taken |= own
        else:
            others.append(place)
    return [*apart, *others]


def meets(moved: frozenset[str], own: frozenset[str]) -> bool:
    """Whether a path of one is a path of the other, or lies below one: a file may have become a directory."""
    return not moved.isdisjoint(own) or _lies_below(moved, own) or _lies_below(own, moved)


def _lies_below(paths: frozenset[str], others: frozenset[str]) -> bool:
    return any(not others.isdisjoint(_parents(path)) for path in paths)


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
