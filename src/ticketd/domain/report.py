"""What an agent's run says of itself: its session, what it used, what that cost, its last words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model. `input`: without those that came from the provider's cache (`cache_read`) or went into it
    (`cache_write`); `output`: with those spent on reasoning. `cost_usd`: as the agent itself says; None where it does
    not."""

    model: str
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost_usd: float | None = None

    def plus(self, other: Usage) -> Usage:
        """Together; what they cost is known where both say it."""
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            self.model,
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            (self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
        )


@dataclass(frozen=True, slots=True)
class Report:
    """`session`: the name by which the agent takes up this conversation again; `cost_usd`: of the run; None where
    nobody knows; `usage`: by model; `turns`: how often the model was asked; `said`: the last thing it said."""

    session: str | None = None
    cost_usd: float | None = None
    usage: tuple[Usage, ...] = ()
    turns: int | None = None
    said: str = ""


NOTHING_REPORTED = Report()


def as_told(report: Report) -> dict[str, Any]:
    """As an event and the store keep it; `report_of` is the way back."""
    return {
        "session": report.session,
        "cost_usd": report.cost_usd,
        "usage": [asdict(each) for each in report.usage],
        "turns": report.turns,
        "said": report.said,
    }


def report_of(told: Mapping[str, Any]) -> Report:
    usage = tuple(Usage(**each) for each in told["usage"])
    return Report(told["session"], told["cost_usd"], usage, told["turns"], told["said"])


def added(usages: Sequence[Usage], one: Usage) -> tuple[Usage, ...]:
    """With what was used once more, one of each model."""
    sums = {each.model: each for each in usages}
    sums[one.model] = sums[one.model].plus(one) if one.model in sums else one
    return tuple(sums.values())
