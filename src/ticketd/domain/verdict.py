"""What becomes of a ticket after its agent, or the lane, is done with it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from ticketd.domain.attempt import EndedFor
from ticketd.domain.globs import PatternSet, matches
from ticketd.domain.repair import Repair, RepairKind, Unmended, some
from ticketd.domain.review import BEFORE_IT_LANDS
from ticketd.domain.settings import Outside, ReviewClaim, Settings
from ticketd.domain.ticket import Gate, Reason, TicketRecord

FIRST_BACKOFF_S = 5.0
LONGEST_BACKOFF_S = 900.0
MOST_MISHAPS = 3
"""How often in a row an agent may be lost, or not be started at all, before its ticket fails."""


@dataclass(frozen=True, slots=True)
class ToLanding:
    """`outside`: paths written outside the declared patterns; they join the claim, and with `warn` that is told of.
    `review`: a person looks first, for the reason in `detail`; `release`: its claim is not held meanwhile."""

    outside: tuple[str, ...] = ()
    warn: bool = False
    review: bool = False
    detail: str = ""
    release: bool = False


@dataclass(frozen=True, slots=True)
class Requeue:
    """Back to the queue. `failed` uses up a retry; `deferred` makes the next backoff of this ticket longer; `goes_on`:
    the next attempt begins from what this one has done; `preempted`: so, for it made way for another; `repair`: its
    agent gets its work back to mend it, which uses up a repair."""

    detail: str
    failed: bool = False
    deferred: bool = False
    preempted: bool = False
    goes_on: bool = False
    not_before: float | None = None
    reason: Reason | None = None
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Cancel:
    detail: str


Verdict = ToLanding | Requeue | Fail | Cancel


@dataclass(frozen=True, slots=True)
class Finish:
    """How an attempt ended. `how`: exited, timeout, ended, log-limit, cannot-run, no-capacity, spawn-failed, lost,
    lost-with-machine or never-started; `outcome`: done, later or failed; `changed`, `nested` and `too_large`: paths,
    as kept. `agent`: the profile that ran it; `until`: when it may be asked again (epoch seconds), if it said so;
    `unmended`: why what it leaves may not land; `ended_for`: why ticketd has ended it for good; `unusable`: that its
    profile can do nothing until a person mends it."""

    how: str
    outcome: str
    detail: str
    changed: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    too_large: tuple[str, ...] = ()
    agent: str = ""
    until: float | None = None
    preempted: bool = False
    unmended: Unmended | None = None
    restarted: bool = False
    unread: str = ""
    ended_for: EndedFor | None = None
    unusable: bool = False


def backoff(times: int) -> float:
    """Seconds to wait after being put off `times` times in a row."""
    return min(FIRST_BACKOFF_S * 2.0 ** min(max(times - 1, 0), 30), LONGEST_BACKOFF_S)


def is_due(not_before: float | None, now: float) -> bool:
    """Whether a backoff is over. One that reaches further than any may is of a clock that has been set back."""
    return not_before is None or not_before <= now or not_before - now > LONGEST_BACKOFF_S


def after_failure(
    record: TicketRecord, settings: Settings, reason: Reason, detail: str, repair: Repair | None = None
) -> Requeue | Fail:
    """The ticket's own failure, the cheapest way on first: its agent mends it while there is something to mend
    (`repair`) and it has repairs left; then afresh while it has retries left; then a person."""
    if repair is not None and record.repairs < settings.landing.repairs:
        return Requeue(detail, reason=reason, repair=repair)
    if record.failures < settings.retries_of(record.ticket):
        return Requeue(detail, failed=True, reason=reason)
    return Fail(reason, detail)


def reason_of(repair: Repair | None) -> Reason:
    """What work fails with that is not mended. Without a repair: it left a conflict of its own making."""
    return Reason.VERIFY_FAILED if repair is not None and repair.kind is RepairKind.VERIFY else Reason.CONFLICT


def after_attempt(record: TicketRecord, finish: Finish, settings: Settings, now: float) -> Verdict:
    """What follows from how an attempt ended. `now` in epoch seconds."""
    if record.cancel_requested:
        return Cancel("cancelled while its agent ran; its work is kept")
    match finish.how:
        case "ended" if finish.ended_for is not None:
            return _ended_for(record, finish, finish.ended_for, settings)
        case "ended" if finish.preempted:
            return Requeue("it made way for a critical ticket, and goes on from where it was", preempted=True)
        case "ended" if finish.restarted:
            return Requeue("the target has moved into what it had just begun; it begins anew")
        case "ended" | "never-started" | "no-capacity":
            return Requeue(finish.detail or "its agent was ended; it runs again")
        case "lost-with-machine":
            # However often: a machine that goes down again and again says nothing of this ticket.
            return Requeue(finish.detail or "the machine went down while it ran", goes_on=True)
        case "lost":
            # An agent that takes all memory may well be what has its supervisor killed: that comes to an end.
            lost = _put_off_or_fail(record, Reason.LOST, finish.detail or "its agent was lost", now)
            return replace(lost, goes_on=True) if isinstance(lost, Requeue) else lost
        case "timeout":
            return after_failure(record, settings, Reason.TIMEOUT, finish.detail, record.repair)
        case "spawn-failed":
            # Passes by itself, most often: a program that is just being written, a disk that stumbles.
            return _put_off_or_fail(record, Reason.AGENT_FAILED, finish.detail, now)
        case "cannot-run" if _may_go_elsewhere(record, finish, settings):
            return Requeue(finish.detail, deferred=True)
        case "cannot-run":
            return Fail(Reason.AGENT_FAILED, _cannot_run(record, finish))
        case "log-limit":
            return after_failure(record, settings, Reason.AGENT_FAILED, finish.detail, record.repair)
    if finish.outcome == "later":
        # Nothing about this ticket: its profile is what waits (`throttle.limited`), another may take it at once.
        return Requeue(finish.detail or "the agent asked to be run later", goes_on=bool(finish.changed))
    if finish.unusable and _may_go_elsewhere(record, finish, settings):
        return Requeue(finish.detail, deferred=True, goes_on=bool(finish.changed))
    if finish.outcome != "done":
        return after_failure(record, settings, Reason.AGENT_FAILED, finish.detail, record.repair)
    return _judge_work(record, finish, settings)


def _ended_for(record: TicketRecord, finish: Finish, ended_for: EndedFor, settings: Settings) -> Requeue | Fail:
    """One that only hung goes on from what it had done: there is nothing wrong with that."""
    match ended_for:
        case EndedFor.BUDGET:
            return Fail(Reason.BUDGET, finish.detail)
        case EndedFor.STALL:
            stalled = after_failure(record, settings, Reason.TIMEOUT, finish.detail, record.repair)
            return replace(stalled, goes_on=True) if isinstance(stalled, Requeue) else stalled
        case EndedFor.LOOP:
            return after_failure(record, settings, Reason.AGENT_FAILED, finish.detail, record.repair)
    assert_never(ended_for)


def has_fallback(record: TicketRecord, agent: str, settings: Settings) -> bool:
    """Whether another profile of its route may run the ticket."""
    route = [profile.name for profile in settings.route_of(record.ticket)]
    return agent in route and len(route) > 1


def _may_go_elsewhere(record: TicketRecord, finish: Finish, settings: Settings) -> bool:
    """Not for ever: the others may be no better."""
    return record.deferrals < MOST_MISHAPS and has_fallback(record, finish.agent, settings)


def _cannot_run(record: TicketRecord, finish: Finish) -> str:
    profile = finish.agent or "NAME"
    mend = f"install it or mend `command` under [agents.{profile}] in ticketd.toml, then `ticketd retry {record.id}`"
    return f"{finish.detail}; {mend}"


def _put_off_or_fail(record: TicketRecord, reason: Reason, detail: str, now: float) -> Requeue | Fail:
    return Fail(reason, detail) if record.deferrals >= MOST_MISHAPS else _put_off(record, detail, now)


def _put_off(record: TicketRecord, detail: str, now: float) -> Requeue:
    return Requeue(detail, deferred=True, not_before=now + backoff(record.deferrals + 1))


def _judge_work(record: TicketRecord, finish: Finish, settings: Settings) -> Verdict:
    if finish.unread:
        why = f"its worktree was tampered with: {finish.unread}; its files are kept"
        return after_failure(record, settings, Reason.AGENT_FAILED, why)
    if finish.unmended is not None:
        why, again = finish.unmended.why, finish.unmended.again
        return after_failure(record, settings, reason_of(record.repair), why, again)
    if finish.too_large:
        why = f"larger than `largest_file` under [limits] allows: {some(finish.too_large)}; it is left in its worktree"
        return after_failure(record, settings, Reason.AGENT_FAILED, why)
    if finish.nested:
        why = f"cannot be landed, being a repository of its own or not to be read: {some(finish.nested)}"
        return after_failure(record, settings, Reason.AGENT_FAILED, why)
    if not finish.changed:
        return after_failure(record, settings, Reason.NO_CHANGES, "the agent ended well but changed nothing")
    scope = settings.scopes.get(record.ticket.scope)
    if scope and scope.paths and (foreign := _unmatched(finish.changed, scope.paths)):
        return after_failure(
            record, settings, Reason.OUTSIDE_CLAIM, f"outside the paths of scope {scope.name}: {some(foreign)}"
        )
    outside = _unmatched(finish.changed, record.ticket.touches)
    if outside and settings.claims.outside is Outside.FAIL:
        return after_failure(record, settings, Reason.OUTSIDE_CLAIM, f"outside the claim: {some(outside)}")
    why = why_review(record, finish.changed, settings)
    return ToLanding(
        outside=outside,
        warn=bool(outside) and settings.claims.outside is Outside.WARN,
        review=bool(why),
        detail=why,
        release=bool(why) and settings.review.claim is ReviewClaim.RELEASE,
    )


def wants_word_to_run(record: TicketRecord, settings: Settings) -> bool:
    """Whether a person must approve it, as it is now, before it runs."""
    return settings.gate_of(record.ticket, record.priority) is Gate.START and not record.start_approved


def why_review(record: TicketRecord, changed: tuple[str, ...], settings: Settings) -> str:
    """Why a person must approve these changes before they land; empty if nobody has to."""
    protected = tuple(path for path in changed if matches(settings.review.protect, path))
    if protected:
        verb = "is" if len(protected) == 1 else "are"
        return f"{BEFORE_IT_LANDS}: touches {some(protected)}, which {verb} protected"
    return BEFORE_IT_LANDS if settings.gate_of(record.ticket, record.priority) is Gate.LAND else ""


def _unmatched(paths: tuple[str, ...], patterns: PatternSet) -> tuple[str, ...]:
    return tuple(path for path in paths if not matches(patterns, path))
