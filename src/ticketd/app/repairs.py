"""Work that did not land, on its way back to the agent; and whether what comes from there is mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from ticketd.app.session import Works
from ticketd.app.steps import OUTPUT_IN, failure_of
from ticketd.domain.attempt import Attempt, AttemptKey
from ticketd.domain.budget import within_budget
from ticketd.domain.landing import Landing
from ticketd.domain.repair import Repair, RepairKind, Unmended, some
from ticketd.domain.ticket import Reason, TicketRecord
from ticketd.domain.verdict import Fail, Requeue, after_failure
from ticketd.ports import Kept

MOST_MESSAGES = 20


@dataclass(frozen=True, slots=True)
class Conflicted:
    """The work does not rebase onto the target's commit `onto`. `messages`: git's own."""

    onto: str
    paths: tuple[str, ...]
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """`candidate` is the work on top of the target's commit `onto`; `detail`: the words of what failed for it."""

    onto: str
    candidate: str
    detail: str


Mishap = Conflicted | FailedCheck


def send_back(works: Works, landing: Landing, record: TicketRecord, mishap: Mishap) -> Requeue | Fail:
    """What becomes of work that did not land: mended by its agent, begun afresh, or given to a person; to that one too
    where the ticket may not cost more."""
    verdict = within_budget(_next_for(works, landing, record, mishap), record, None, works.settings())
    assert isinstance(verdict, Requeue | Fail)
    return verdict


def _next_for(works: Works, landing: Landing, record: TicketRecord, mishap: Mishap) -> Requeue | Fail:
    settings = works.settings()
    match mishap:
        case Conflicted(onto, paths, messages):
            told = f"conflicts with {works.settings().target.name} in {some(paths)}"
            ours, said = landing.tip, messages[:MOST_MESSAGES]
            repair = Repair(RepairKind.CONFLICT, onto, ours, told, merges=onto, ours=ours, messages=said)
            return after_failure(record, settings, Reason.CONFLICT, _last(record, told), repair)
        case FailedCheck(onto, candidate, words):
            told, log = failure_of(words)
            # Nothing else may hold it when the worktree is made: the lane lets go of its candidates.
            works.history.keep(verified_ref(landing.key), candidate)
            repair = Repair(RepairKind.VERIFY, onto, candidate, told, log=log)
            detail = _last(record, told) + (f"{OUTPUT_IN}{log}" if log else "")
            return after_failure(record, settings, Reason.VERIFY_FAILED, detail, repair)
    assert_never(mishap)


def _last(record: TicketRecord, told: str) -> str:
    """With how often it was tried to mend it."""
    return f"{told}, after {record.repairs} repair{'s' * (record.repairs > 1)}" if record.repairs else told


def verified_ref(key: AttemptKey) -> str:
    """Keeps the commit that an attempt's work was verified as, once that has failed."""
    return f"refs/ticketd-extra/{key.ticket}/{key.number}/verified"


def judge(works: Works, record: TicketRecord, attempt: Attempt, kept: Kept, own: Sequence[str]) -> Unmended | None:
    """Whether what an agent has left may go to the lane; `own`: the paths that are changed in it. What it was to mend
    is looked at, and nothing that it says is believed.

    Raises:
        GitFailed: a commit is missing.
    """
    repair = record.repair if attempt.mends is not None else None
    if repair and repair.kind is RepairKind.CONFLICT and works.history.contains(kept.tip, repair.base):
        return _left(works, repair, kept) or _taken_back(works, repair, kept) or _nothing_own(repair, own)
    if kept.undecided and (marked := works.history.marked(kept.tip, kept.undecided, (attempt.base,))):
        return Unmended(f"conflict markers are left in {some(marked)}")
    if repair is None:
        return None
    if not works.history.changed(attempt.resumes or attempt.base, kept.tip):
        return Unmended(f"{repair.told}; its agent was to mend that, and changed nothing")
    return _nothing_own(repair, own)


def _left(works: Works, repair: Repair, kept: Kept) -> Unmended | None:
    """Another repair goes on from there, if this one has resolved anything at all."""
    left, all_ = works.history.unresolved(kept.tip, kept.undecided, repair.ours, repair.base)
    if not left:
        return None
    fault = f"the conflict is not resolved in {some(left)}"
    again = replace(repair, tip=kept.tip, merges=None, fault=fault)
    return Unmended(f"{repair.told}; {fault}", again if len(left) < len(all_) else None)


def _taken_back(works: Works, repair: Repair, kept: Kept) -> Unmended | None:
    """What only the target has changed must not be as it was before: whoever takes one side whole drops it."""
    fork = works.history.fork_point(repair.ours, repair.base)
    if fork is None:
        return None
    theirs, ours, result = (set(works.history.changed(fork, commit)) for commit in (repair.base, repair.ours, kept.tip))
    if not (back := sorted(theirs - ours - result)):
        return None
    fault = f"it takes back what {works.settings().target.name} has changed in {some(back)}"
    return Unmended(f"{repair.told}; mending that, {fault}", replace(repair, fault=fault))


def _nothing_own(repair: Repair, own: Sequence[str]) -> Unmended | None:
    return None if own else Unmended(f"{repair.told}; mended, nothing of the ticket's own work is left")
