"""What tokens cost. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ticketd.domain.report import Report, Usage

_SAME_MODEL = re.compile(r"(-latest|[-@]\d{8}|-\d{4}-\d{2}-\d{2}|\[\w+\]|:\w+)*")
"""What may follow the name of a model that is the same model: a date, `latest`, the length of its context."""
DIGITS = 9
"""Of sums in USD: no token costs a fraction of that, and no more of a float can be trusted."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens. What is said of neither `cache_read` nor `cache_write` is priced like `input`."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None

    def of(self, usage: Usage) -> float:
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        cache = usage.cache_read * read + usage.cache_write * write
        return round((usage.input * self.input + usage.output * self.output + cache) / 1e6, DIGITS)


def price_of(model: str, own: Mapping[str, Price], known: Mapping[str, Price]) -> Price | None:
    """`own` prices hold for every model whose name begins with theirs, the longest deciding; `known` ones for that
    very model alone, since a `-mini` costs a fraction. A provider in front of the name (`openai/…`) may be left out."""
    names = (model, model.rpartition("/")[2])
    for name in names:
        if prefixes := [prefix for prefix in own if name.startswith(prefix)]:
            return own[max(prefixes, key=len)]
    for name in names:
        for model_known in (prefix for prefix in known if name.startswith(prefix)):
            if _SAME_MODEL.fullmatch(name, len(model_known)):
                return known[model_known]
    return None


@dataclass(frozen=True, slots=True)
class PriceList:
    own: Mapping[str, Price]
    known: Mapping[str, Price]

    def cost(self, usage: Usage) -> float | None:
        """As the agent says, else by its price; None where nobody knows. An agent that calls tokens free does not know
        what they cost either: where it has no price it says 0."""
        if usage.cost_usd:
            return usage.cost_usd
        price = price_of(usage.model, self.own, self.known)
        return price.of(usage) if price is not None else None if tokens(usage) else usage.cost_usd

    def priced(self, report: Report) -> Report:
        """With all that can be known of its cost. A sum that lacks one model would be a wrong number."""
        usage = tuple(replace(each, cost_usd=self.cost(each)) for each in report.usage)
        if report.cost_usd or not any(map(tokens, usage)):
            alone = report.cost_usd is not None and len(usage) == 1
            usage = (replace(usage[0], cost_usd=report.cost_usd),) if alone else usage
            return replace(report, usage=usage)
        return replace(report, usage=usage, cost_usd=total(each.cost_usd for each in usage))


def total(costs: Iterable[float | None]) -> float | None:
    """None if any of them is not known."""
    known: list[float] = []
    for cost in costs:
        if cost is None:
            return None
        known.append(cost)
    return round(sum(known), DIGITS)


def tokens(usage: Usage) -> int:
    return usage.input + usage.output + usage.cache_read + usage.cache_write


def less(report: Report, earlier: Iterable[Report]) -> Report:
    """What a report that counts its whole session says of the last run alone. Never below zero: an agent that has
    forgotten the session begins to count anew."""
    cost, used = report.cost_usd, {each.model: each for each in report.usage}
    for before in earlier:
        cost = None if cost is None else cost - (before.cost_usd or 0.0)
        for each in before.usage:
            if each.model in used:
                used[each.model] = _minus(used[each.model], each)
    cost = None if cost is None else round(max(cost, 0.0), DIGITS)
    return replace(report, cost_usd=cost, usage=tuple(map(_at_least_nothing, used.values())))


def _minus(usage: Usage, before: Usage) -> Usage:
    cost = None if usage.cost_usd is None else usage.cost_usd - (before.cost_usd or 0.0)
    return Usage(
        usage.model,
        usage.input - before.input,
        usage.output - before.output,
        usage.cache_read - before.cache_read,
        usage.cache_write - before.cache_write,
        cost,
    )


def _at_least_nothing(usage: Usage) -> Usage:
    cost = None if usage.cost_usd is None else round(max(usage.cost_usd, 0.0), DIGITS)
    return Usage(
        usage.model,
        max(usage.input, 0),
        max(usage.output, 0),
        max(usage.cache_read, 0),
        max(usage.cache_write, 0),
        cost,
    )
