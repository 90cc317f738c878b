"""What a profile may be given: backoff after refusals, suspension and fewer at once after rate limits, fallback."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.settings import AgentProfile, Settings
from ticketd.domain.throttle import (
    LONGEST_NAMED_S,
    Failing,
    Limited,
    NoRoom,
    Served,
    Throttle,
    choose,
    failed,
    is_blank,
    learned,
    limited,
    refused,
    started,
    succeeded,
    suspended_until,
)
from ticketd.domain.verdict import LONGEST_BACKOFF_S, Finish

FRESH = Throttle("claude")
CLAUDE, CODEX = AgentProfile("claude"), AgentProfile("codex", max_slots=2)
LATER = Finish("exited", "later", "overloaded", until=500.0)


def rate_limit(throttle: Throttle, now: float, until: float | None = None, running: int = 8) -> Throttle:
    return limited(throttle, running, now - 1, now, until, "overloaded")


# --- refusals ---


def test_the_backoff_grows_only_where_a_whole_batch_was_refused() -> None:
    throttle, ends = FRESH, []
    for whole in (False, True, False, True, True):
        throttle = refused(replace(throttle, until=None), whole, 100.0, "EAGAIN")
        ends.append((throttle.refused, throttle.until))
    assert ends == [(0, 105.0), (1, 105.0), (1, 105.0), (2, 110.0), (3, 120.0)]


def test_one_more_refusal_of_a_batch_that_is_waited_out_already_changes_nothing() -> None:
    first = refused(FRESH, False, 100.0, "EAGAIN")
    assert refused(first, False, 101.0, "EAGAIN") == first


def test_any_start_that_comes_through_sets_the_counter_back_and_keeps_the_pause() -> None:
    throttle = started(refused(refused(FRESH, True, 0.0, "x"), True, 6.0, "x"))
    assert (throttle.refused, throttle.until) == (0, 16.0)


# --- rate limits ---


def test_a_rate_limit_suspends_until_the_named_time_and_halves_what_runs() -> None:
    throttle = rate_limit(FRESH, 100.0, until=5000.0)
    assert (throttle.until, throttle.limit) == (5000.0, 4.0)


def test_a_rate_limit_without_a_time_backs_off_longer_each_time_in_a_row() -> None:
    throttle, lasts, now = FRESH, [], 0.0
    for _ in range(10):
        throttle = rate_limit(throttle, now)
        assert throttle.until is not None
        lasts.append(throttle.until - now)
        now = throttle.until + 1
    assert lasts == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 900.0, 900.0]


def test_an_agent_that_names_a_time_just_ahead_for_ever_does_not_spin() -> None:
    throttle = replace(FRESH, limited=5)
    assert rate_limit(throttle, 100.0, until=100.1).until == 260.0


def test_a_burst_of_answers_is_one_rate_limit() -> None:
    first = limited(FRESH, 8, 50.0, 100.0, None, "overloaded")
    others = first
    for second in range(7):
        others = limited(others, 8 - second, 60.0, 101.0, None, "overloaded")
    assert others == first
    assert limited(first, 8, 60.0, 101.0, 900.0, "overloaded").until == 900.0


def test_the_next_rate_limit_after_the_suspension_counts_again() -> None:
    first = limited(FRESH, 8, 50.0, 100.0, None, "")
    second = limited(first, 4, 106.0, 110.0, None, "")
    assert (second.limited, second.limit, second.until) == (2, 2.0, 120.0)


def test_success_sets_the_counter_back_and_leaves_a_suspension_alone() -> None:
    throttle = succeeded(rate_limit(FRESH, 100.0, until=5000.0), 8)
    assert (throttle.limited, throttle.until, throttle.limit) == (0, 5000.0, 4.25)


def test_a_limit_grows_back_by_about_one_a_round_until_it_is_gone() -> None:
    throttle, successes = Throttle("claude", limit=1.0), 0
    while throttle.limit is not None:
        throttle = succeeded(throttle, 8)
        successes += 1
    assert 8 * 7 // 2 <= successes <= 8 * 8 // 2
    assert is_blank(throttle, 0.0)


def test_a_suspension_beyond_reason_is_of_a_clock_set_back_unless_a_provider_named_it() -> None:
    guessed = Throttle("claude", until=10_000.0)
    assert [suspended_until(guessed, now) for now in (0.0, 9_500.0, 10_000.0)] == [None, 10_000.0, None]
    assert suspended_until(replace(guessed, named=True), 0.0) == 10_000.0
    assert suspended_until(rate_limit(FRESH, 0.0, until=1e12), 1.0) == LONGEST_NAMED_S
    assert suspended_until(replace(guessed, until=1e12, named=True), 0.0) is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["limited", "served", "refused", "started"]),
        st.integers(0, 20),
        st.floats(0.0, 2000.0),
        st.none() | st.floats(0.0, 1e7),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 16))
def test_whatever_happens_the_limit_stays_between_one_and_the_slots_and_no_answer_shortens_a_suspension(
    steps: list[tuple[str, int, float, float | None]], slots: int
) -> None:
    throttle, now = FRESH, 1000.0
    for what, running, passes, until in steps:
        now += passes
        before = throttle
        match what:
            case "limited":
                throttle = limited(throttle, min(running, slots), now - passes, now, until, "")
            case "served":
                throttle = succeeded(throttle, slots)
            case "refused":
                throttle = refused(throttle, running % 2 == 0, now, "")
            case _:
                throttle = started(throttle)
        assert throttle.limit is None or 1.0 <= throttle.limit < max(slots, 2)
        assert (suspended_until(throttle, now) or 0.0) >= (suspended_until(before, now) or 0.0)
        longest = LONGEST_NAMED_S if throttle.named else LONGEST_BACKOFF_S
        assert throttle.until is None or throttle.until - now <= longest
    for _ in range(slots * slots + 1):
        throttle = succeeded(throttle, slots)
    assert throttle.limit is None and is_blank(throttle, now + LONGEST_NAMED_S)


# --- which profile ---


def test_the_first_profile_of_the_route_with_room_is_chosen() -> None:
    assert choose((CLAUDE, CODEX), {}, {"claude": 7}, 0.0) == CLAUDE
    suspended = {"claude": Throttle("claude", until=5.0, why="rate limited: x")}
    assert choose((CLAUDE, CODEX), suspended, {"codex": 1}, 0.0) == CODEX
    assert choose((CLAUDE, CODEX), suspended, {"codex": 2}, 0.0) == NoRoom(
        "claude: rate limited: x; profile codex runs 2 at a time", 5.0, full=True
    )


def test_with_all_profiles_suspended_the_earliest_end_counts() -> None:
    throttles = {"claude": Throttle("claude", until=50.0, why="a"), "codex": Throttle("codex", until=9.0, why="b")}
    assert choose((CLAUDE, CODEX), throttles, {}, 0.0) == NoRoom("claude: a; codex: b", 9.0, full=False)
    assert choose((CLAUDE, CODEX), throttles, {}, 9.0) == CODEX


@pytest.mark.parametrize(("running", "room"), [(1, True), (2, False), (3, False)])
def test_a_limit_holds_in_whole_agents(running: int, room: bool) -> None:
    chosen = choose((CLAUDE,), {"claude": Throttle("claude", limit=2.9)}, {"claude": running}, 0.0)
    assert (chosen == CLAUDE) is room


# --- what an end says ---

SHARED = Settings(
    slots=8,
    agents={
        "opus": AgentProfile("opus", account="anthropic"),
        "sonnet": AgentProfile("sonnet", account="anthropic", max_slots=3),
        "codex": CODEX,
    },
)


def test_a_rate_limit_is_noted_for_every_profile_of_the_account() -> None:
    assert learned(LATER, SHARED.agents["opus"], SHARED, 8) == Limited(("opus", "sonnet"), 500.0, "overloaded")
    assert learned(LATER, SHARED.agents["codex"], SHARED, 8) == Limited(("codex",), 500.0, "overloaded")
    assert learned(LATER, AgentProfile("gone"), SHARED, 8) == Limited(("gone",), 500.0, "overloaded")


def test_work_done_says_that_the_account_has_room_and_a_failure_that_left_work_says_nothing() -> None:
    opus = SHARED.agents["opus"]
    assert learned(Finish("exited", "done", ""), opus, SHARED, 8) == Served({"opus": 8, "sonnet": 3})
    for finish in (
        Finish("exited", "failed", "", changed=("x",)),
        Finish("timeout", "failed", ""),
        Finish("lost", "failed", ""),
    ):
        assert learned(finish, opus, SHARED, 8) is None


# --- profiles that keep failing ---


def fail(throttle: Throttle, ticket: str, now: float, at_once: bool = False) -> Throttle:
    return failed(throttle, ticket, now - 1, now, "no answer", at_once)


def test_one_ticket_that_fails_again_and_again_is_its_own_fault() -> None:
    throttle = FRESH
    for now in range(20):
        throttle = fail(throttle, "a", float(now))
    assert suspended_until(throttle, 20.0) is None
    assert throttle.limit is None


def test_a_profile_that_comes_to_nothing_on_three_tickets_in_a_row_makes_way_and_is_tried_with_one() -> None:
    throttle = fail(fail(fail(FRESH, "a", 1.0), "b", 2.0), "c", 3.0)
    assert suspended_until(throttle, 3.0) == 43.0
    assert choose([CLAUDE, CODEX], {"claude": throttle}, {}, 4.0) == CODEX
    assert choose([CLAUDE], {"claude": throttle}, {}, 50.0) == CLAUDE
    assert isinstance(choose([CLAUDE], {"claude": throttle}, {"claude": 1}, 50.0), NoRoom)


def test_work_done_in_between_begins_the_count_anew() -> None:
    throttle = fail(succeeded(fail(fail(FRESH, "a", 1.0), "b", 2.0), 8), "c", 3.0)
    assert suspended_until(throttle, 3.0) is None


def test_a_profile_without_a_valid_key_makes_way_at_once_and_for_longer_each_time() -> None:
    throttle, ends, now = FRESH, [], 0.0
    for _ in range(3):
        throttle = fail(throttle, "a", now, at_once=True)
        ends.append((throttle.until or 0.0) - now)
        now = (throttle.until or 0.0) + 2
    assert ends == [40.0, 80.0, 160.0]


def test_those_that_were_under_way_when_a_profile_was_suspended_say_nothing_new() -> None:
    throttle = fail(FRESH, "a", 10.0, at_once=True)
    assert failed(throttle, "b", 5.0, 11.0, "no answer", at_once=True) == throttle


def test_a_failure_that_left_nothing_is_noted_and_one_of_the_profile_s_own_at_once() -> None:
    opus = SHARED.agents["opus"]
    unusable = Finish("exited", "failed", "x", ("f",), unusable=True)
    cannot = Finish("cannot-run", "failed", "no such program")
    assert learned(Finish("exited", "failed", "x"), opus, SHARED, 8) == Failing("opus", "x", at_once=False)
    assert learned(unusable, opus, SHARED, 8) == Failing("opus", "x", at_once=True)
    assert learned(cannot, opus, SHARED, 8, has_fallback=True) == Failing("opus", "no such program", at_once=True)
    assert learned(cannot, opus, SHARED, 8, has_fallback=False) is None
