"""What tickets, scopes and days may cost, and what follows when it is used up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ticketd.domain.attempt import Attempt
from ticketd.domain.days import Day, day_of
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import Reason, Ticket, TicketRecord
from ticketd.domain.verdict import Fail, Requeue, Verdict

NO_DAY = Day(0.0, 0.0)
UNTIL_MIDNIGHT = "waits for midnight, "


@dataclass(frozen=True, slots=True)
class DaySpent:
    """What the attempts that ended on one day have cost, by scope; those under way are not in it."""

    day: Day = NO_DAY
    scopes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Today:
    """What has been spent today, by scope, with what the attempts under way are known to have used so far."""

    day: Day
    scopes: Mapping[str, float]

    def why_not(self, scope: str, settings: Settings) -> str:
        """Why nothing of this scope may go on; empty if it may."""
        limit, spent = settings.scope_budget_of(scope), self.scopes.get(scope, 0.0)
        if limit is not None and spent >= limit:
            raised = f"`budget_usd` under [scopes.{scope}]" if _has_own(scope, settings) else "`scope` under [budget]"
            told = f"scope {scope} has cost {dollars(spent)} today, of {dollars(limit)}"
            return f"{told}; {UNTIL_MIDNIGHT}or raise {raised}"
        limit, spent = settings.budget.day, sum(self.scopes.values())
        if limit is not None and spent >= limit:
            told = f"today has cost {dollars(spent)}, of {dollars(limit)}"
            return f"{told}; {UNTIL_MIDNIGHT}or raise `day` under [budget]"
        return ""


def today(spent: DaySpent, attempts: Iterable[Attempt], tickets: Mapping[str, TicketRecord], now: float) -> Today:
    """`attempts`: those under way. An attempt's cost is that of the day on which it ends."""
    scopes = dict(spent.scopes) if now in spent.day else {}
    for attempt in attempts:
        if attempt.spent_usd and attempt.key.ticket in tickets:
            scope = tickets[attempt.key.ticket].ticket.scope
            scopes[scope] = scopes.get(scope, 0.0) + attempt.spent_usd
    return Today(day_of(now), scopes)


def _has_own(scope: str, settings: Settings) -> bool:
    return scope in settings.scopes and settings.scopes[scope].budget_usd is not None


def ticket_used_up(ticket: Ticket, spent: float, settings: Settings) -> str:
    """Why no attempt of this ticket may go on; empty if one may."""
    limit = settings.budget_of(ticket)
    if limit is None or spent < limit:
        return ""
    raised = f"`budget_usd` in {ticket.path}" if ticket.budget_usd is not None else "`ticket` under [budget]"
    return f"its attempts have cost {dollars(spent)}, of {dollars(limit)}; raise {raised}"


def within_budget(verdict: Verdict, record: TicketRecord, cost: float | None, settings: Settings) -> Verdict:
    """A ticket that would run again has failed if it may not cost more, and so has one whose agent has given up, as
    some do by themselves when they have used up theirs. One that was ended for the budget of its scope or of the day
    has not: it goes on when that allows. `cost`: of the attempt just ended."""
    used_up = ticket_used_up(record.ticket, record.spent_usd + (cost or 0.0), settings)
    match verdict:
        case Requeue(detail=detail) | Fail(reason=Reason.AGENT_FAILED, detail=detail) if used_up:
            return Fail(Reason.BUDGET, f"{used_up}; then `ticketd retry {record.id}`. Its last attempt: {detail}")
        case Fail(reason=Reason.BUDGET, detail=detail) if not used_up:
            return Requeue(detail, goes_on=True)
        case _:
            return verdict


def dollars(usd: float) -> str:
    """To the cent, or further where that would show nothing."""
    return f"${usd:.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.4f}"
