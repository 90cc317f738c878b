"""What a move of the target means for an attempt that is under way, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from ticketd.domain.attempt import Attempt, AttemptState, Drift
from ticketd.domain.globs import PatternSet, matches
from ticketd.domain.settings import DriftSettings, OnConflict
from ticketd.domain.widening import above, as_code

MOST_PATHS = 20
"""How many paths are kept with an attempt."""
MOST_RESTARTS = 2
"""How often one ticket begins anew because of a conflict; after that its agents are told."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The level short of a conflict, and the paths that make it so. `tried`: what the attempt has written there; only
    if there is some of it can a rebase meet a conflict."""

    level: Drift
    paths: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()


def judge(changed: Collection[str], claim: PatternSet, touched: Iterable[str]) -> Judged:
    """Of a target that has moved and changed these paths. `touched`: all that the attempt has written, what it has
    taken back again too."""
    tried = meeting(touched, changed)
    met = meeting(changed, tried)
    known = set(met)
    claimed = (path for path in sorted(changed) if path not in known and matches(claim, path))
    paths = (*met, *islice(claimed, max(MOST_PATHS - len(met), 0)))[:MOST_PATHS]
    return Judged(Drift.RELEVANT if paths else Drift.BEHIND, paths, tried)


def meeting(paths: Iterable[str], others: Collection[str]) -> tuple[str, ...]:
    """Those of `paths` that are one of the others, or a folder above one, or below one: where one side has a file and
    the other a folder, git finds a conflict too."""
    at = set(others)
    folders = {folder for path in at for folder in above(path)}
    return tuple(sorted(path for path in paths if path in at or path in folders or not at.isdisjoint(above(path))))


class Answer(StrEnum):
    """What follows from a conflict."""

    NOTHING = "nothing"
    TELL = "tell"
    RESTART = "restart"


def answer(settings: DriftSettings, attempt: Attempt, restarts: int, now: float) -> Answer:
    """`restarts`: how often the ticket has begun anew before; `now` in epoch seconds. What goes on from an earlier
    attempt's work has not only just begun."""
    if settings.on_conflict is OnConflict.CONTINUE or attempt.is_ending:
        return Answer.NOTHING
    begun = attempt.started_at or attempt.dispatched_at
    young = attempt.state is AttemptState.RUNNING and now - begun < settings.restart_within_s
    if settings.on_conflict is OnConflict.RESTART and young and attempt.resumes is None and restarts < MOST_RESTARTS:
        return Answer.RESTART
    return Answer.TELL


def conflict_note(target: str, tip: str, since: str, paths: Sequence[str]) -> tuple[str, str]:
    """A line of Markdown for the agent, and the part of it that is news: that the target has gone on with the same
    paths in conflict is none. `since`: the newest commit that the attempt shares with the target."""
    more = f" and {len(paths) - MOST_PATHS} more" if len(paths) > MOST_PATHS else ""
    named = ", ".join(_named(paths))
    news = f"- Since {since[:12]}, `{target}` conflicts with what you have written in {named}{more}"
    return news, f"{news}: it has moved to {tip[:12]}, and your work will be rebased onto it.\n"


def _named(paths: Sequence[str]) -> Iterator[str]:
    return (f"`{as_code(path)}`" for path in paths[:MOST_PATHS])
