"""What tokens cost, and what of a session's sums belongs to its last run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.pricelist import KNOWN
from ticketd.domain.prices import Price, PriceList, less, price_of, tokens
from ticketd.domain.report import Report, Usage

DEAR, CHEAP = Price(10.0, 50.0, 1.0, 12.5), Price(1.0, 4.0)
LISTED = {"big-2": DEAR, "big-2-mini": CHEAP}
PRICES = PriceList({}, LISTED)

COUNTS = st.integers(0, 10**9)
USAGES = st.builds(
    Usage, st.sampled_from(["big-2", "other"]), COUNTS, COUNTS, COUNTS, COUNTS, st.none() | st.floats(0, 1e4)
)
REPORTS = st.builds(
    Report,
    cost_usd=st.none() | st.floats(0, 1e4),
    usage=st.lists(USAGES, max_size=2, unique_by=lambda each: each.model).map(tuple),
)


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("big-2", DEAR),
        ("big-2-20261101", DEAR),
        ("big-2-2026-11-01", DEAR),
        ("big-2-latest", DEAR),
        ("big-2[1m]", DEAR),
        ("openai/big-2", DEAR),
        ("big-2-mini", CHEAP),
        ("big-2-mini-20261101", CHEAP),
        ("big-2-nano", None),
        ("big-2.5", None),
        ("big", None),
        ("", None),
    ],
)
def test_a_listed_price_is_for_that_very_model(model: str, price: Price | None) -> None:
    assert price_of(model, {}, LISTED) == price


def test_of_ones_own_prices_the_longest_name_that_a_model_begins_with_decides() -> None:
    own = {"big": CHEAP, "big-2-x": DEAR}
    assert price_of("big-2-x-turbo", own, LISTED) == DEAR
    assert price_of("big-2", own, LISTED) == CHEAP
    assert price_of("house/big-3", own, LISTED) == CHEAP
    assert price_of("small", own, LISTED) is None


def test_each_kind_of_token_has_its_price() -> None:
    used = Usage("big-2", input=1000, output=200, cache_read=50_000, cache_write=4000)
    assert DEAR.of(used) == 0.12
    assert CHEAP.of(used) == 0.0558


def test_what_the_agent_says_itself_stands() -> None:
    used = (Usage("big-2", input=1000), Usage("nobody-knows", input=5))
    assert PRICES.priced(Report(cost_usd=0.5, usage=used)).cost_usd == 0.5
    assert PRICES.priced(Report(usage=(Usage("nobody-knows", input=5, cost_usd=0.2), used[0]))).cost_usd == 0.21
    (alone,) = PRICES.priced(Report(cost_usd=0.5, usage=used[1:])).usage
    assert alone.cost_usd == 0.5


def test_a_sum_that_lacks_one_model_is_not_told() -> None:
    used = (Usage("big-2", input=1000), Usage("nobody-knows", input=5))
    assert PRICES.priced(Report(usage=used)).cost_usd is None
    assert PRICES.priced(Report(usage=used[:1])).cost_usd == 0.01
    assert PRICES.priced(Report()).cost_usd is None


def test_an_agent_that_calls_its_tokens_free_does_not_know() -> None:
    used = (Usage("big-2", input=1000, cost_usd=0.0),)
    assert PRICES.priced(Report(cost_usd=0.0, usage=used)).cost_usd == 0.01
    assert PRICES.priced(Report(cost_usd=0.0, usage=(Usage("mine", input=3, cost_usd=0.0),))).cost_usd is None
    assert PriceList({"mine": Price(0, 0)}, {}).priced(Report(usage=(Usage("mine", input=3),))).cost_usd == 0


def test_a_run_that_goes_on_is_charged_for_what_it_added() -> None:
    first = Report("s", 0.5, (Usage("big-2", 100, 10, 1000, 7, 0.5),))
    whole = Report("s", 1.25, (Usage("big-2", 150, 30, 5000, 7, 1.0), Usage("other", 5, cost_usd=0.25)), 3, "done")
    alone = (Usage("big-2", 50, 20, 4000, 0, 0.5), Usage("other", 5, cost_usd=0.25))
    assert less(whole, [first]) == Report("s", 0.75, alone, 3, "done")


@given(REPORTS, st.lists(REPORTS, max_size=3))
def test_nothing_is_ever_charged_below_zero(report: Report, earlier: list[Report]) -> None:
    left = PRICES.priced(less(report, earlier))
    assert (left.cost_usd or 0.0) >= 0.0
    for each in left.usage:
        assert min(each.input, each.output, each.cache_read, each.cache_write, each.cost_usd or 0.0) >= 0
    assert sum(map(tokens, left.usage)) <= sum(map(tokens, report.usage))


def test_every_listed_price_is_a_price() -> None:
    for model, price in KNOWN.items():
        assert 0 < price.input < price.output < 1000, model
        assert price.cache_read is None or price.cache_read < price.input, model
        assert price_of(model, {}, KNOWN) == price
