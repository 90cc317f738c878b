"""Budgets: who waits for which, until when, and what becomes of what was ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from queues import SETTINGS, snapshot, ticket

from ticketd.domain.budget import DaySpent, within_budget
from ticketd.domain.days import day_of
from ticketd.domain.scheduler.queue import decide
from ticketd.domain.scheduler.schedule import Schedule, Snapshot, Start
from ticketd.domain.scheduler.waits import WaitKind
from ticketd.domain.settings import BudgetSettings, ScopeSettings, Settings
from ticketd.domain.ticket import Reason, TicketState
from ticketd.domain.verdict import Cancel, Fail, Requeue, ToLanding

NOW = 1_790_000_000.0
TODAY = day_of(NOW)
ACME = replace(SETTINGS, scopes={"acme": ScopeSettings("acme", budget_usd=5.0)})


def limited(**budget: float) -> Settings:
    return replace(SETTINGS, budget=BudgetSettings(**budget))


def spent(**scopes: float) -> DaySpent:
    return DaySpent(TODAY, scopes)


def starts(schedule: Schedule) -> list[str]:
    return [each.ticket for each in schedule.decisions if isinstance(each, Start)]


def running(snapshot: Snapshot, usd: float) -> Snapshot:
    return replace(snapshot, attempts=tuple(replace(each, spent_usd=usd) for each in snapshot.attempts))


@pytest.mark.parametrize(("usd", "started"), [(9.99, ["a"]), (10.0, [])])
def test_nothing_starts_once_the_day_has_cost_its_budget(usd: float, started: list[str]) -> None:
    given = snapshot(ticket("a"), settings=limited(day=10.0), spent=spent(bell=usd))
    assert starts(decide(given, NOW)) == started


def test_what_waits_for_the_day_starts_at_midnight() -> None:
    given = snapshot(ticket("a"), settings=limited(day=10.0), spent=spent(acme=12.0))
    schedule = decide(given, NOW)
    ((on,),) = (each.waits_on for each in schedule.waiting)
    assert (on.kind, on.until, schedule.next_at) == (WaitKind.BUDGET, TODAY.end, TODAY.end)
    assert "$12.00" in on.detail
    assert "`day` under [budget]" in on.detail
    assert starts(decide(given, TODAY.end)) == ["a"]


def test_a_scope_without_budget_lets_the_others_go_on() -> None:
    given = snapshot(ticket("a"), ticket("b", scope="bell"), settings=ACME, spent=spent(acme=5.0, bell=50.0))
    assert starts(decide(given, NOW)) == ["b"]
    both = limited(scope=40.0)
    assert starts(decide(replace(given, settings=both), NOW)) == ["a"]


def test_what_running_attempts_have_used_counts() -> None:
    given = snapshot(ticket("r", state=TicketState.RUNNING), ticket("a"), settings=ACME, spent=spent(acme=3.0))
    assert starts(decide(running(given, 1.9), NOW)) == ["a"]
    assert starts(decide(running(given, 2.0), NOW)) == []


def test_one_that_may_cost_no_more_keeps_nobody_off_its_files() -> None:
    first = ticket("a", touches=["/x"], budget_usd=1.0, spent_usd=1.0)
    given = snapshot(first, ticket("b", 1, touches=["/x"]))
    schedule = decide(given, NOW)
    assert starts(schedule) == ["b"]
    ((on,),) = (each.waits_on for each in schedule.waiting)
    assert (on.kind, on.until) == (WaitKind.BUDGET, None)
    assert "`budget_usd` in tickets/a.md" in on.detail


def test_a_tickets_own_budget_comes_before_that_of_all_tickets() -> None:
    given = snapshot(ticket("a", budget_usd=3.0, spent_usd=2.0), ticket("b", spent_usd=2.0), settings=limited(ticket=2))
    assert starts(decide(given, NOW)) == ["a"]


def test_a_ticket_that_may_cost_no_more_has_failed_instead_of_running_again() -> None:
    record = ticket("a", budget_usd=1.0, spent_usd=0.5, state=TicketState.RUNNING)
    again = Requeue("it failed", failed=True)
    assert within_budget(again, record, 0.4, SETTINGS) == again
    assert within_budget(again, record, None, SETTINGS) == again
    verdict = within_budget(again, record, 0.5, SETTINGS)
    assert isinstance(verdict, Fail)
    assert verdict.reason is Reason.BUDGET
    assert "it failed" in verdict.detail


def test_one_without_retries_that_has_used_up_its_budget_has_failed_for_that() -> None:
    record = ticket("a", budget_usd=1.0, state=TicketState.RUNNING)
    failed = Fail(Reason.AGENT_FAILED, "it used up its budget before it was done")
    assert within_budget(failed, record, 0.9, SETTINGS) == failed
    verdict = within_budget(failed, record, 1.0, SETTINGS)
    assert isinstance(verdict, Fail) and verdict.reason is Reason.BUDGET


def test_good_work_lands_whatever_it_has_cost() -> None:
    record = ticket("a", budget_usd=1.0, state=TicketState.RUNNING)
    for verdict in (ToLanding(), Cancel("asked"), Fail(Reason.NO_CHANGES, "none")):
        assert within_budget(verdict, record, 9.0, SETTINGS) == verdict


def test_what_was_ended_for_the_budget_of_the_day_goes_on_when_that_allows() -> None:
    record = ticket("a", budget_usd=5.0, state=TicketState.RUNNING)
    ended = Fail(Reason.BUDGET, "today has cost $10.00")
    assert within_budget(ended, record, 2.0, SETTINGS) == Requeue("today has cost $10.00", goes_on=True)
    assert within_budget(ended, record, 5.0, SETTINGS) == ended


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_a_day_goes_from_midnight_to_midnight_here() -> None:
    day = day_of(datetime(2026, 10, 25, 12, tzinfo=UTC).timestamp())
    if time.tzname[0] != "CET":
        pytest.skip("this machine knows no time zones")
    assert day.begin == datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp()
    assert day.end - day.begin == 25 * 3600.0
    assert day_of(day.end).begin == day.end
