"""What becomes of a ticket after its agent is done."""

from __future__ import annotations

from dataclasses import replace

import pytest
from queues import SETTINGS, ticket

from ticketd.domain.attempt import EndedFor
from ticketd.domain.globs import PatternSet
from ticketd.domain.review import BEFORE_IT_LANDS
from ticketd.domain.settings import (
    AgentProfile,
    ClaimsSettings,
    Limits,
    Outside,
    ReviewClaim,
    ReviewSettings,
    ScopeSettings,
    Settings,
)
from ticketd.domain.ticket import Gate, Priority, Reason, TicketState
from ticketd.domain.verdict import (
    Cancel,
    Fail,
    Finish,
    Requeue,
    ToLanding,
    after_attempt,
    after_failure,
    backoff,
    is_due,
    why_review,
)

RUNNING = ticket("t", touches=["/src/"], state=TicketState.RUNNING)
NO_RETRY = replace(SETTINGS, limits=Limits(retries=0))
DONE = Finish("exited", "done", "", changed=("src/a.py",))


def test_work_within_the_claim_goes_to_landing() -> None:
    assert after_attempt(RUNNING, DONE, SETTINGS, 0.0) == ToLanding()


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish("exited", "failed", "exit code 3"), Reason.AGENT_FAILED),
        (Finish("timeout", "failed", "60 s"), Reason.TIMEOUT),
        (Finish("log-limit", "failed", "its log passed 9 bytes"), Reason.AGENT_FAILED),
        (Finish("exited", "done", ""), Reason.NO_CHANGES),
        (replace(DONE, nested=("vendor/x",)), Reason.AGENT_FAILED),
        (replace(DONE, too_large=("model.bin",)), Reason.AGENT_FAILED),
    ],
)
def test_the_tickets_own_failure_uses_up_a_retry_and_then_fails_it(finish: Finish, reason: Reason) -> None:
    first = after_attempt(RUNNING, finish, SETTINGS, 0.0)
    assert isinstance(first, Requeue) and first.failed and first.reason is reason
    last = after_attempt(replace(RUNNING, failures=1), finish, SETTINGS, 0.0)
    assert isinstance(last, Fail) and last.reason is reason


def test_what_was_ended_to_begin_anew_costs_no_retry_and_does_not_go_on_from_there() -> None:
    verdict = after_attempt(RUNNING, Finish("ended", "failed", "", restarted=True), NO_RETRY, 0.0)
    assert isinstance(verdict, Requeue) and "begins anew" in verdict.detail
    assert (verdict.failed, verdict.deferred, verdict.preempted, verdict.not_before) == (False, False, False, None)
    assert after_attempt(RUNNING, replace(DONE, restarted=True), NO_RETRY, 0.0) == ToLanding(), "it was done before"


@pytest.mark.parametrize("how", ["ended", "never-started", "no-capacity", "lost", "lost-with-machine"])
def test_what_was_not_the_tickets_fault_costs_no_retry(how: str) -> None:
    verdict = after_attempt(RUNNING, Finish(how, "failed", "x"), NO_RETRY, 0.0)
    assert isinstance(verdict, Requeue) and not verdict.failed


@pytest.mark.parametrize(("how", "reason"), [("lost", Reason.LOST), ("spawn-failed", Reason.AGENT_FAILED)])
def test_a_mishap_that_keeps_happening_fails_the_ticket_in_the_end(how: str, reason: Reason) -> None:
    verdicts = [
        after_attempt(replace(RUNNING, deferrals=n), Finish(how, "failed", "x"), NO_RETRY, 0.0) for n in range(4)
    ]
    assert all(isinstance(verdict, Requeue) and not verdict.failed for verdict in verdicts[:3])
    assert verdicts[3] == Fail(reason, "x")


@pytest.mark.parametrize("deferrals", [0, 3, 50])
def test_a_machine_that_goes_down_again_and_again_fails_no_ticket_and_its_work_is_gone_on_from(deferrals: int) -> None:
    record = replace(RUNNING, deferrals=deferrals)
    verdict = after_attempt(record, Finish("lost-with-machine", "failed", "x"), NO_RETRY, 100.0)
    assert verdict == Requeue("x", goes_on=True)


def test_an_agent_that_was_lost_by_itself_is_put_off_and_goes_on_from_its_work() -> None:
    verdict = after_attempt(RUNNING, Finish("lost", "failed", "x"), NO_RETRY, 100.0)
    assert verdict == Requeue("x", deferred=True, goes_on=True, not_before=105.0)


def test_a_backoff_that_a_set_back_clock_left_behind_is_over() -> None:
    assert [is_due(at, 1000.0) for at in (None, 999.0, 1001.0, 1900.0, 90_000.0)] == [True, True, False, False, True]


@pytest.mark.parametrize("deferrals", [0, 50])
def test_later_costs_no_retry_and_lets_another_profile_take_the_ticket_at_once(deferrals: int) -> None:
    later = Finish("exited", "later", "rate limit")
    verdict = after_attempt(replace(RUNNING, deferrals=deferrals), later, NO_RETRY, 100.0)
    assert verdict == Requeue("rate limit")


def test_a_rate_limit_that_met_work_goes_on_from_it() -> None:
    verdict = after_attempt(RUNNING, Finish("exited", "later", "rate limit", ("x",)), NO_RETRY, 100.0)
    assert verdict == Requeue("rate limit", goes_on=True)


def ended(ended_for: EndedFor) -> Finish:
    return Finish("ended", "failed", "why", ("x",), agent="claude", ended_for=ended_for)


def test_a_stalled_agent_uses_up_a_retry_and_the_next_goes_on_from_its_work() -> None:
    verdict = after_attempt(RUNNING, ended(EndedFor.STALL), SETTINGS, 0.0)
    assert verdict == Requeue("why", failed=True, goes_on=True, reason=Reason.TIMEOUT)
    assert after_attempt(RUNNING, ended(EndedFor.STALL), NO_RETRY, 0.0) == Fail(Reason.TIMEOUT, "why")


def test_a_loop_is_begun_afresh_and_a_budget_used_up_ends_it() -> None:
    loop = after_attempt(RUNNING, ended(EndedFor.LOOP), SETTINGS, 0.0)
    assert loop == Requeue("why", failed=True, reason=Reason.AGENT_FAILED)
    assert after_attempt(RUNNING, ended(EndedFor.BUDGET), SETTINGS, 0.0) == Fail(Reason.BUDGET, "why")


def test_one_that_has_done_well_before_it_could_be_ended_has_done_well() -> None:
    done = Finish("exited", "done", "", ("src/x",), ended_for=EndedFor.STALL)
    assert isinstance(after_attempt(RUNNING, done, SETTINGS, 0.0), ToLanding)


ROUTED = replace(
    NO_RETRY,
    agents={"claude": AgentProfile("claude"), "codex": AgentProfile("codex")},
    routes={"M": ("claude", "codex")},
)


@pytest.mark.parametrize("how", ["cannot-run", "exited"])
def test_a_profile_that_cannot_be_used_costs_no_retry_where_another_may_take_the_ticket(how: str) -> None:
    finish = Finish(how, "failed", "no key", agent="claude", unusable=True)
    assert after_attempt(RUNNING, finish, ROUTED, 0.0) == Requeue("no key", deferred=True)
    assert isinstance(after_attempt(replace(RUNNING, deferrals=3), finish, ROUTED, 0.0), Fail)
    assert isinstance(after_attempt(RUNNING, finish, NO_RETRY, 0.0), Fail)


def test_an_agent_that_cannot_be_run_fails_its_ticket_at_once_and_says_how_to_mend_it() -> None:
    verdict = after_attempt(RUNNING, Finish("cannot-run", "failed", "cannot run 'x'", agent="claude"), SETTINGS, 0.0)
    assert isinstance(verdict, Fail) and verdict.reason is Reason.AGENT_FAILED
    assert "cannot run 'x'" in verdict.detail
    assert "[agents.claude]" in verdict.detail and "`ticketd retry t`" in verdict.detail


def test_a_cancelled_ticket_stays_cancelled_however_its_agent_ended() -> None:
    assert isinstance(after_attempt(replace(RUNNING, cancel_requested=True), DONE, SETTINGS, 0.0), Cancel)


def outside(policy: Outside) -> Settings:
    return replace(NO_RETRY, claims=ClaimsSettings(outside=policy))


STRAY = Finish("exited", "done", "", changed=("src/a.py", "other/b*.py"))


def test_paths_outside_the_claim_join_it_and_are_told_of_where_the_policy_is_to_warn() -> None:
    for policy, warn in ((Outside.EXTEND, False), (Outside.WARN, True)):
        verdict = after_attempt(RUNNING, STRAY, outside(policy), 0.0)
        assert verdict == ToLanding(outside=("other/b*.py",), warn=warn)


def test_paths_outside_the_claim_fail_where_the_policy_says_so() -> None:
    verdict = after_attempt(RUNNING, STRAY, outside(Outside.FAIL), 0.0)
    assert isinstance(verdict, Fail) and verdict.reason is Reason.OUTSIDE_CLAIM


def test_a_scope_never_writes_outside_its_paths_whatever_the_policy() -> None:
    settings = replace(outside(Outside.EXTEND), scopes={"acme": ScopeSettings("acme", PatternSet(("/src/",)))})
    verdict = after_attempt(RUNNING, STRAY, settings, 0.0)
    assert isinstance(verdict, Fail) and verdict.reason is Reason.OUTSIDE_CLAIM


def test_a_gate_before_landing_sends_the_work_to_review() -> None:
    settings = replace(SETTINGS, gates={Priority.CRITICAL: Gate.LAND})
    urgent = replace(RUNNING, bumped=Priority.CRITICAL)
    assert after_attempt(urgent, DONE, settings, 0.0) == ToLanding(review=True, detail=BEFORE_IT_LANDS)


@pytest.mark.parametrize("gate", list(Gate))
def test_protected_paths_force_the_gate_whatever_the_ticket_says(gate: Gate) -> None:
    settings = replace(SETTINGS, review=ReviewSettings(ReviewClaim.RELEASE, PatternSet(("/src/deploy/", "*.lock"))))
    gated = ticket("t", touches=["/src/"], state=TicketState.RUNNING, gate=gate)
    finish = replace(DONE, changed=("src/a.py", "src/deploy/x.yml"))
    verdict = after_attempt(gated, finish, settings, 0.0)
    assert isinstance(verdict, ToLanding) and verdict.review and verdict.release
    assert verdict.detail == f"{BEFORE_IT_LANDS}: touches src/deploy/x.yml, which is protected"
    both = why_review(gated, ("src/deploy/x.yml", "src/y.lock"), settings)
    assert both.endswith("touches src/deploy/x.yml, src/y.lock, which are protected")


def test_work_that_touches_nothing_protected_needs_nobody() -> None:
    settings = replace(SETTINGS, review=ReviewSettings(protect=PatternSet(("/deploy/",))))
    assert after_attempt(RUNNING, DONE, settings, 0.0) == ToLanding()


def test_a_tickets_own_retries_come_before_the_configurations() -> None:
    stubborn = ticket("t", retries=5, failures=4, state=TicketState.RUNNING)
    assert isinstance(after_failure(stubborn, NO_RETRY, Reason.CONFLICT, ""), Requeue)


def test_a_backoff_is_bounded() -> None:
    assert [backoff(n) for n in (0, 1, 2, 3, 10_000)] == [5.0, 5.0, 10.0, 20.0, 900.0]
