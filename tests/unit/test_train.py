"""The merge train: everything good is pushed, nothing bad is, and the verifications are counted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.train import (
    Abandon,
    Blame,
    Move,
    Push,
    Result,
    Train,
    Verify,
    VerifyTarget,
    Wait,
    in_train_order,
    next_moves,
)

PASSED, FAILED, RUNNING = Result.PASSED, Result.FAILED, Result.RUNNING


def moves(*results: Result | None, together: int = 4, lanes: int = 1, **said: object) -> tuple[Move, ...]:
    return next_moves(Train(results, **said), together, lanes)  # type: ignore[arg-type]


def test_a_train_is_as_many_as_wait_up_to_its_length() -> None:
    assert moves(None) == (Verify(0),)
    assert moves(None, None, None) == (Verify(2),)
    assert moves(*[None] * 9) == (Verify(3),)


def test_what_comes_while_a_train_is_verified_makes_the_next_one() -> None:
    assert moves(None, RUNNING, None, None) == ()
    assert moves(None, RUNNING, None, None, lanes=2) == (Verify(3),)


def test_lanes_verify_trains_on_top_of_each_other_side_by_side() -> None:
    assert moves(*[None] * 10, lanes=3) == (Verify(3), Verify(7), Verify(9))


def test_all_up_to_the_highest_that_has_passed_is_pushed_at_once() -> None:
    assert moves(None, PASSED, None, PASSED, RUNNING) == (Push(4),)


def test_below_a_failure_what_has_passed_is_pushed_first() -> None:
    assert moves(None, PASSED, None, FAILED, PASSED) == (Push(2),)


def test_a_failed_train_is_bisected_and_what_stands_on_it_is_abandoned() -> None:
    assert moves(None, None, None, FAILED, None, RUNNING) == (Abandon(5), Verify(1))


def test_more_lanes_bisect_in_more_parts() -> None:
    assert moves(*[None] * 7, FAILED, lanes=3) == (Verify(1), Verify(3), Verify(5))


def test_a_lone_failure_is_run_again_before_anybody_is_blamed() -> None:
    assert moves(FAILED, None, reruns=1) == (Verify(0),)


def test_nobody_is_blamed_for_a_target_that_fails_by_itself() -> None:
    assert moves(FAILED) == (VerifyTarget(),)
    assert moves(FAILED, target=RUNNING) == ()
    assert moves(FAILED, target=FAILED, target_reruns=1) == (VerifyTarget(),)
    assert moves(FAILED, target=FAILED) == (Wait(),)
    assert moves(FAILED, target=PASSED) == (Blame(),)


def test_disjoint_candidates_come_first_but_never_before_the_first() -> None:
    paths = [frozenset(each) for each in ("ab", "b", "c", "cd", "e")]
    assert in_train_order(paths) == [0, 2, 4, 1, 3]


@dataclass
class Run:
    """A lane in small: bad tickets fail whatever holds them, flaky ones fail once."""

    bad: set[int]
    flaky: set[int]
    queue: list[int]
    together: int
    lanes: int
    reruns: int = 1
    pushed: list[int] = field(default_factory=list)
    sent_back: list[int] = field(default_factory=list)
    verifications: int = 0
    most_at_once: int = 0

    def run(self) -> None:
        results: dict[tuple[int, ...], Result] = {}
        runs: dict[tuple[int, ...], int] = {}
        target: Result | None = None
        while self.queue:
            stack = self.queue[: self.together * self.lanes]
            stacked = [tuple(self.pushed + stack[: at + 1]) for at in range(len(stack))]
            left = self.reruns + 1 - runs.get(stacked[0], 0)
            train = Train(tuple(results.get(each) for each in stacked), target, reruns=max(left, 0))
            chosen = next_moves(train, self.together, self.lanes)
            assert chosen, "a lane that waits for nothing"
            verified = [stacked[move.place] for move in chosen if isinstance(move, Verify)]
            self.most_at_once = max(self.most_at_once, len(verified))
            for each in verified:
                runs[each] = runs.get(each, 0) + 1
                results[each] = self._verify(each)
            match chosen[0]:
                case Push(count):
                    self.pushed += stack[:count]
                    self.queue = self.queue[count:]
                    target = PASSED
                case Blame():
                    self.sent_back.append(self.queue.pop(0))
                case VerifyTarget():
                    self.verifications += 1
                    target = PASSED

    def _verify(self, stack: tuple[int, ...]) -> Result:
        self.verifications += 1
        flakes = self.flaky & set(stack)
        self.flaky -= flakes
        return FAILED if flakes or self.bad & set(stack) else PASSED


tickets = st.sets(st.integers(0, 19))


@given(tickets, tickets, st.integers(1, 20), st.integers(1, 8), st.integers(1, 4))
def test_every_good_ticket_is_pushed_every_bad_one_sent_back_and_verifications_are_bounded(
    bad: set[int], flaky: set[int], count: int, together: int, lanes: int
) -> None:
    everyone = set(range(count))
    bad, flaky = bad & everyone, (flaky - bad) & everyone
    run = Run(bad, set(flaky), list(range(count)), together, lanes)
    run.run()
    assert run.pushed == sorted(everyone - bad)
    assert run.sent_back == sorted(bad)
    assert run.most_at_once <= lanes
    # For each stretch one; for each fault a bisection, speculations lost with it, and one run again; the target once.
    trouble = len(bad) + len(flaky)
    each = (lanes + 1) * (math.ceil(math.log2(together * lanes + 1)) + 2)
    assert run.verifications <= count + 1 + trouble * each
    if not trouble:
        assert run.verifications == math.ceil(count / together)
