"""What documents tell of costs."""

from __future__ import annotations

from typing import Any

from ticketd.domain.attempt import Attempt
from ticketd.domain.budget import Today
from ticketd.domain.days import iso
from ticketd.domain.prices import DIGITS
from ticketd.domain.settings import Settings


def today_document(spent: Today, settings: Settings) -> dict[str, Any]:
    """What the budgets of the day go by: the scopes that have spent something or have a budget of their own."""
    own = (name for name, scope in settings.scopes.items() if scope.budget_usd is not None)
    return {
        "ends_at": iso(spent.day.end),
        "cost_usd": round(sum(spent.scopes.values()), DIGITS),
        "budget_usd": settings.budget.day,
        "scopes": [
            {
                "scope": name,
                "cost_usd": round(spent.scopes.get(name, 0.0), DIGITS),
                "budget_usd": settings.scope_budget_of(name),
            }
            for name in sorted({*spent.scopes, *own})
        ],
    }


def cost_of(attempt: Attempt) -> float | None:
    """So far, of one under way."""
    return attempt.spent_usd if attempt.report.cost_usd is None else attempt.report.cost_usd


def tokens_of(attempt: Attempt) -> dict[str, int]:
    kinds = ("input", "output", "cache_read", "cache_write")
    return {kind: sum(getattr(each, kind) for each in attempt.report.usage) for kind in kinds}
