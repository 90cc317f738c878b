"""Who has spent what: the bills of attempts, summed up by whatever one asks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.days import date_of
from ticketd.domain.prices import DIGITS, tokens
from ticketd.domain.report import Usage


@dataclass(frozen=True, slots=True)
class Bill:
    """What one attempt has used and cost. `at`: when it ended, or now if it is under way; `cost_usd`: None where
    nobody knows."""

    key: AttemptKey
    scope: str
    profile: str
    at: float
    cost_usd: float | None
    usage: tuple[Usage, ...]


class By(StrEnum):
    TICKET = "ticket"
    SCOPE = "scope"
    DAY = "day"
    PROFILE = "profile"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Sum:
    """`attempts` that have a part in it; `cost_usd` of those whose cost is known; `unpriced`: of how many it is not,
    though they have used tokens."""

    name: str
    attempts: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    usage: tuple[Usage, ...]
    cost_usd: float | None


def sums(bills: Iterable[Bill], by: By) -> list[Sum]:
    """The dearest first; days as they came."""
    found: dict[str, Sum] = {}
    for bill in bills:
        for part in _parts(bill, by):
            found[part.name] = _with(found.get(part.name) or Sum(part.name), part)
    if by is By.DAY:
        return [found[name] for name in sorted(found)]
    return sorted(found.values(), key=lambda each: (-each.cost_usd, -each.input - each.output, each.name))


def total(bills: Iterable[Bill]) -> Sum:
    whole = Sum("")
    for bill in bills:
        whole = _with(whole, _Part("", bill.usage, bill.cost_usd))
    return whole


def unpriced(bills: Iterable[Bill]) -> list[str]:
    """The models whose price nobody knows."""
    return sorted({each.model for bill in bills for each in bill.usage if each.cost_usd is None and tokens(each)})


NAMES: Mapping[By, Callable[[Bill], str]] = {
    By.TICKET: lambda bill: bill.key.ticket,
    By.SCOPE: lambda bill: bill.scope,
    By.DAY: lambda bill: date_of(bill.at).isoformat(),
    By.PROFILE: lambda bill: bill.profile,
}


def _parts(bill: Bill, by: By) -> Iterator[_Part]:
    """By model an attempt is as many as it used; what no model accounts for stands under no name."""
    if by is not By.MODEL:
        yield _Part(NAMES[by](bill), bill.usage, bill.cost_usd)
        return
    for each in bill.usage:
        yield _Part(each.model, (each,), each.cost_usd)
    rest = (bill.cost_usd or 0.0) - sum(each.cost_usd or 0.0 for each in bill.usage)
    if not bill.usage or rest >= 10**-DIGITS:
        yield _Part("", (), round(rest, DIGITS))


def _with(so_far: Sum, part: _Part) -> Sum:
    used = any(map(tokens, part.usage))
    return Sum(
        so_far.name,
        so_far.attempts + 1,
        so_far.input + sum(each.input for each in part.usage),
        so_far.output + sum(each.output for each in part.usage),
        so_far.cache_read + sum(each.cache_read for each in part.usage),
        so_far.cache_write + sum(each.cache_write for each in part.usage),
        round(so_far.cost_usd + (part.cost_usd or 0.0), DIGITS),
        so_far.unpriced + (part.cost_usd is None and used),
    )
