"""What is expected of a ticket, and how that follows what its likes have taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queues import ticket

from ticketd.domain.estimates import BY_SIZE, Estimates, Sample, learn
from ticketd.domain.ticket import Size

M = ticket("m").ticket
SAMPLES = st.lists(
    st.builds(
        Sample,
        st.sampled_from(Size),
        st.sampled_from(["acme", "beta", "_global"]),
        st.sampled_from(["quick", "careful"]),
        st.floats(-1e3, 1e7),
        st.floats(-1e3, 1e5),
    ),
    max_size=40,
)


def took(*seconds: float, scope: str = "acme", agent: str = "quick", size: Size = Size.M) -> list[Sample]:
    return [Sample(size, scope, agent, each, 30.0) for each in seconds]


def likely(samples: Sequence[Sample], agent: str | None = None, scope: str = "acme") -> float:
    return learn(samples).of(replace(M, scope=scope), agent).likely


def test_before_anything_has_landed_the_size_alone_says_it() -> None:
    assert {size: learn(()).of(replace(M, size=size)).likely for size in Size} == {
        Size.S: 300.0,
        Size.M: 720.0,
        Size.L: 1800.0,
    }
    assert learn(()) == Estimates()


def test_one_attempt_says_little_and_many_say_it_all() -> None:
    assert 72 < likely(took(72)) < 720
    assert likely(took(*[72] * 100)) == pytest.approx(80, rel=0.1)


def test_sizes_are_learned_apart() -> None:
    learned = learn(took(*[60] * 50))
    assert learned.of(replace(M, size=Size.L)) == Estimates().of(replace(M, size=Size.L))


def test_an_agent_that_takes_longer_is_expected_to() -> None:
    samples = took(*[300] * 30) + took(*[1200] * 30, agent="careful")
    assert likely(samples, "quick") < likely(samples) < likely(samples, "careful")


def test_a_scope_that_takes_longer_is_expected_to_and_one_that_is_new_goes_by_the_others() -> None:
    samples = took(*[300] * 30, scope="small") + took(*[1200] * 30, scope="large")
    small, new, large = (likely(samples, scope=scope) for scope in ("small", "new", "large"))
    assert small < new < large


def test_what_an_agent_takes_for_one_scope_counts_more_than_what_it_takes_elsewhere() -> None:
    samples = [
        *took(*[300] * 20, scope="small"),
        *took(*[900] * 20, scope="large"),
        *took(*[300] * 20, agent="careful", scope="small"),
        *took(*[5000] * 20, agent="careful", scope="large"),
    ]
    assert likely(samples, "careful", "small") < likely(samples, "careful", "large")
    assert likely(samples, "quick", "large") < likely(samples, "careful", "large")


def test_fewer_than_five_of_a_kind_do_not_make_a_group() -> None:
    common = took(*[300] * 30)
    assert likely(common + took(*[9000] * 4, agent="careful"), "careful") == pytest.approx(likely(common), rel=0.1)


def test_the_same_attempts_are_not_counted_once_for_each_group_they_are_in() -> None:
    """One agent and one scope: by scope, by agent and by both there is nothing to know that the size does not say."""
    one = took(*[72] * 6)
    assert likely(one, "quick") == likely(one, "another", "elsewhere")


def test_a_few_absurd_attempts_change_next_to_nothing() -> None:
    usual = took(*[500, 550, 600, 650, 700] * 4)
    night = took(*[500_000] * 3)
    calm, shaken = learn(usual).of(M), learn(night + usual).of(M)
    assert shaken.likely <= calm.likely * 1.11
    assert shaken.high <= calm.high * 1.4


def test_what_was_true_long_ago_is_forgotten() -> None:
    assert likely(took(*[100] * 100) + took(*[5000] * 1000)) == likely(took(*[100] * 100))


def test_the_wider_attempts_scatter_the_wider_the_range() -> None:
    narrow, wide = learn(took(*[600] * 50)).of(M), learn(took(*[200, 600, 1800] * 17)).of(M)
    assert wide.high / wide.likely > narrow.high / narrow.likely > 1


def test_one_more_attempt_seldom_moves_what_is_expected() -> None:
    taken = [400 + 37 * n % 300 for n in range(100)]
    expected = [likely(took(*reversed(taken[:n]))) for n in range(20, 100)]
    assert len([1 for before, after in pairwise(expected) if before != after]) <= 4


def test_time_in_the_lane_is_learned_beside() -> None:
    assert learn(()).landing_s == 60.0
    assert learn([Sample(Size.M, "acme", "quick", 600.0, 300.0)] * 100).landing_s == pytest.approx(280, rel=0.1)


@given(SAMPLES)
def test_a_range_holds_what_is_likely_whatever_has_been_seen(samples: list[Sample]) -> None:
    learned = learn(samples)
    assert learned.landing_s > 0
    for size in Size:
        for scope in ("acme", "unheard-of"):
            for agent in (None, "quick", "unheard-of"):
                each = learned.of(replace(M, size=size, scope=scope), agent)
                assert 0 < each.low < each.likely < each.high
                assert each.learned_from == sum(s.size is size and s.seconds > 0 for s in samples)


@given(SAMPLES, st.randoms(use_true_random=False))
def test_the_order_of_a_few_samples_does_not_matter(samples: list[Sample], random: object) -> None:
    shuffled = list(samples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert learn(shuffled) == learn(samples)


@given(SAMPLES, st.sampled_from(Size))
def test_what_is_likely_lies_between_what_the_size_says_and_what_was_seen(samples: list[Sample], size: Size) -> None:
    seen = [s.seconds for s in samples if s.size is size and s.seconds > 0]
    bounds = [*seen, BY_SIZE[size]]
    expected = learn(samples).of(replace(M, size=size), "quick").likely
    assert min(bounds) / 1.06 <= expected <= max(bounds) * 1.06
