"""Which conversation of an earlier attempt an agent goes on with, and in which worktree it was. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby

from ticketd.domain.attempt import Attempt
from ticketd.domain.report import Report
from ticketd.domain.ticket import Reason


def session_of(earlier: Iterable[Attempt], attempt: Attempt, tree: str | None) -> str | None:
    """The newest one of the same ticket and profile, if there is work of it to go on with. `earlier`: oldest first;
    `tree`: the worktree that it has to have been in, where the agent finds it in no other."""
    held = held_by(earlier, attempt)
    return held.report.session if held and tree in (None, held.worktree) else None


def held_by(earlier: Iterable[Attempt], attempt: Attempt) -> Attempt | None:
    """The attempt that had the conversation which this one goes on with; wherever that was."""
    if attempt.resumes is None:
        return None
    return _newest([each for each in earlier if each.agent == attempt.agent and each.key < attempt.key])


def kept_trees(attempts: Iterable[Attempt], bound: Collection[str]) -> tuple[str, ...]:
    """The worktrees in which tickets will look for a conversation, the one that has waited longest first. `attempts`:
    of tickets with work to go on with, by ticket, oldest first; `bound`: the profiles that find theirs nowhere else."""
    kept = sorted(_kept(attempts, bound), key=lambda each: (each.ended_at or 0.0, each.key))
    return tuple(dict.fromkeys(each.worktree for each in kept if each.worktree))


def _kept(attempts: Iterable[Attempt], bound: Collection[str]) -> Iterator[Attempt]:
    """Each ticket's is that of the profile which had it last."""
    for _, of_ticket in groupby(attempts, key=lambda each: each.key.ticket):
        ran = [each for each in of_ticket if _has_run(each)]
        if ran and ran[-1].agent in bound and (held := _newest([each for each in ran if each.agent == ran[-1].agent])):
            yield held


def _newest(of_profile: list[Attempt]) -> Attempt | None:
    """One that could not be taken up is not tried again: its attempt has failed, and the model was never asked."""
    for each in reversed(of_profile):
        if not _has_run(each):
            continue
        if each.reason is Reason.AGENT_FAILED and not _has_spoken(each.report):
            return None
        if each.report.session:
            return each
    return None


def _has_run(attempt: Attempt) -> bool:
    """Whether its agent has. One that ends at once may be noted as over before it is noted as started."""
    return attempt.started_at is not None or attempt.outcome == "exited"


def _has_spoken(report: Report) -> bool:
    return bool(report.session) and any(each.input or each.output or each.cache_read for each in report.usage)
