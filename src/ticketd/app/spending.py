"""What attempts cost, who may not spend any more, and the document of `ticketd cost`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ticketd.app.costs import today_document
from ticketd.app.queries import SCHEMA, Document, iso
from ticketd.app.session import Session, Works
from ticketd.domain import spending
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.budget import Today, ticket_used_up, today
from ticketd.domain.days import day_of
from ticketd.domain.prices import DIGITS, less
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.report import Report, Usage
from ticketd.domain.settings import BudgetSettings, Settings
from ticketd.domain.spending import By, Sum
from ticketd.domain.ticket import TicketRecord
from ticketd.domain.values import quoted, shown
from ticketd.ports import AgentResult, Store


class Spending:
    def __init__(self, works: Works) -> None:
        self._works = works

    def report(self, attempt: Attempt, result: AgentResult) -> Report:
        """What this attempt alone used, with what it cost as far as that can be known. An agent that was ended before
        it could say has cost what it was seen to use."""
        settings, report = self._works.settings(), result.report
        report = replace(report, usage=named(report.usage, attempt, settings))
        if result.whole_session and report.session is not None:
            earlier = self._works.session.store.attempts(attempt.key.ticket)
            same = (each.report for each in earlier if each.key.number < attempt.key.number)
            report = less(report, (each for each in same if each.session == report.session))
        priced = settings.price_list.priced(report)
        return replace(priced, cost_usd=attempt.spent_usd) if attempt.spent_usd and not priced.cost_usd else priced

    def exceeded(self, live: Mapping[AttemptKey, Sequence[Usage]]) -> Mapping[AttemptKey, str]:
        """Which running attempts must be ended now, and why; also those that have used nothing themselves, if others
        have used up what they share. `live`: what each is seen to have used so far; that is noted, for the scheduler
        counts it too."""
        works, settings = self._works, self._works.settings()
        store, now = works.session.store, works.session.clock.now()
        before = {attempt.key: attempt for attempt in store.live_attempts()}
        seen = {key: self._seen(attempt, live.get(key, ()), settings) for key, attempt in before.items()}
        if news := {key: usd for key, usd in seen.items() if usd != (before[key].spent_usd or 0.0)}:
            store.seen_to_cost(news)
        running = [attempt for attempt in before.values() if attempt.state is AttemptState.RUNNING]
        tickets = _tickets_of(store, before.values())
        day = today(store.spent(), (replace(before[key], spent_usd=usd) for key, usd in seen.items()), tickets, now)
        return {
            attempt.key: f"its budget is used up: {why}"
            for attempt in running
            if (record := tickets.get(attempt.key.ticket)) is not None
            and (why := _why_end(record, seen[attempt.key], day, settings))
        }

    def _seen(self, attempt: Attempt, usage: Sequence[Usage], settings: Settings) -> float:
        """It never falls: what a daemon that adopts has yet to read again was spent all the same. Answers of a model
        without a price count nothing."""
        costs = (settings.price_list.cost(each) or 0.0 for each in named(usage, attempt, settings))
        return max(round(sum(costs), DIGITS), attempt.spent_usd or 0.0)


def _tickets_of(store: Store, attempts: Iterable[Attempt]) -> dict[str, TicketRecord]:
    found = (store.ticket(attempt.key.ticket) for attempt in attempts)
    return {record.id: record for record in found if record is not None}


def _today(store: Store, live: Sequence[Attempt], now: float) -> Today:
    return today(store.spent(), live, _tickets_of(store, live), now)


def named(usage: Sequence[Usage], attempt: Attempt, settings: Settings) -> tuple[Usage, ...]:
    """An agent that does not tell its model used the one that its profile names."""
    profile = settings.agents.get(attempt.agent)
    model = (profile.model if profile else None) or ""
    return tuple(each if each.model else replace(each, model=model) for each in usage)


def _why_end(record: TicketRecord, seen: float, day: Today, settings: Settings) -> str:
    own = ticket_used_up(record.ticket, record.spent_usd + seen, settings)
    return own or day.why_not(record.ticket.scope, settings)


def unpriced_notice(settings: Settings, session: Session) -> Problem | None:
    """A budget that does not count what was used today holds nobody back, and should say so itself."""
    scopes = (scope.budget_usd for scope in settings.scopes.values())
    if settings.budget == BudgetSettings() and not any(scopes):
        return None
    now = session.clock.now()
    used = spending.unpriced(session.store.bills(day_of(now).begin, now))
    models = [model for model in used if settings.price_list.cost(Usage(model, input=1)) is None]
    if not models:
        return None
    told = ", ".join(shown(model) for model in models if model) or "agents that do not tell their model"
    mend = f"add `[prices.{quoted(models[-1])}]`" if models[-1] else "name the `model` of each profile"
    return Problem("ticketd.toml", 0, f"no budget has what was used today of {told}", mend, Severity.WARNING)


def cost(session: Session, settings: Settings, by: By, since: float | None) -> Document:
    """`rows`: sums by what was asked for. `unpriced_models`: whose price nobody knows, so that neither the sums nor
    the budgets have what they cost. `today`: what the budgets of the day go by."""
    store, now = session.store, session.clock.now()
    bills = store.bills(0.0 if since is None else now - since, now)
    return {
        "schema": SCHEMA,
        "at": iso(now),
        "since": iso(None if since is None else now - since),
        "by": by,
        "rows": [_sum(each) for each in spending.sums(bills, by)],
        "total": _sum(spending.total(bills)),
        "unpriced_models": spending.unpriced(bills),
        "today": today_document(_today(store, store.live_attempts(), now), settings),
    }


def _sum(each: Sum) -> dict[str, Any]:
    return {
        "name": each.name,
        "attempts": each.attempts,
        "tokens": {name: getattr(each, name) for name in ("input", "output", "cache_read", "cache_write")},
        "cost_usd": each.cost_usd,
        "unpriced": each.unpriced,
    }
