"""When an agent is taken to get nowhere: by how long it has been still, and by what it fails at."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.liveness import (
    LONGEST_GAP_S,
    Habit,
    Signs,
    Step,
    Stillness,
    acted,
    came_of_it,
    looked,
    loop_words,
    still_words,
)

STALL = 900.0
gaps = st.lists(st.floats(0.5, LONGEST_GAP_S), min_size=1, max_size=60)


def watched(looks: list[Signs]) -> float:
    stillness = Stillness.begun(looks[0])
    for signs in looks[1:]:
        stillness = looked(stillness, signs, STALL)
    return stillness.still_s


def at_times(gaps: list[float]) -> list[float]:
    times = [0.0]
    for gap in gaps:
        times.append(times[-1] + gap)
    return times


@given(gaps)
def test_who_gives_no_sign_has_been_still_all_the_time(gaps: list[float]) -> None:
    still = watched([Signs(at, 10, 3.0) for at in at_times(gaps)])
    assert abs(still - sum(gaps)) < 1e-6


@given(gaps)
def test_who_works_a_tenth_of_the_time_is_never_still_for_longer_than_it_takes_to_tell(gaps: list[float]) -> None:
    assert watched([Signs(at, 10, at / 10) for at in at_times(gaps)]) <= 2 * LONGEST_GAP_S


@given(gaps)
def test_the_little_that_a_waiting_program_uses_is_no_work(gaps: list[float]) -> None:
    assert abs(watched([Signs(at, 10, at / 100) for at in at_times(gaps)]) - sum(gaps)) < 1e-6


@given(gaps)
def test_output_and_changed_files_are_signs_whatever_the_processor_does(gaps: list[float]) -> None:
    times = at_times(gaps)
    assert watched([Signs(at, number) for number, at in enumerate(times)]) == 0.0
    assert watched([Signs(at, 10, files=number) for number, at in enumerate(times)]) == 0.0


def test_a_night_that_the_machine_slept_is_no_stall() -> None:
    assert watched([Signs(0.0, 10, 1.0), Signs(8 * 3600.0, 10, 1.0)]) == LONGEST_GAP_S


def test_nothing_is_said_before_a_third_of_the_limit() -> None:
    said = [still_words(seconds, STALL) for seconds in (0.0, 299.0, 300.0, 8000.0)]
    assert said == ["", "", "no sign of progress for 5m", "no sign of progress for 2h 13m"]


def steps(*said: tuple[str, str, bool]) -> Habit:
    habit = Habit()
    for action, result, failed in said:
        habit = came_of_it(acted(habit, action), result, failed)
    return habit


RED = ("make test", "exit code 2", True)


def test_only_the_same_failure_of_the_same_action_counts_and_only_in_a_row() -> None:
    assert steps(RED, RED, RED).times == 3
    assert steps(RED, RED, ("edit x", "", False)).times == 0
    assert steps(RED, ("make test", "exit code 1", True), RED).times == 1
    assert steps(RED, ("make lint", "exit code 2", True)).times == 1


def test_a_comment_behind_a_command_makes_no_other_one_of_it() -> None:
    numbered = [(f"make test  # attempt {number}", "exit code 2", True) for number in range(3)]
    assert steps(*numbered).step == Step("make test", "exit code 2")
    assert steps(*numbered).times == 3
    wrapped = [(f"/bin/bash -lc 'make test # {number}'", "exit code 2", True) for number in range(3)]
    assert steps(*wrapped).times == 3
    quoted = [(f"grep ' #{number}' x", "exit code 1", True) for number in range(3)]
    assert steps(*quoted).times == 1


def test_results_of_several_things_done_at_once_belong_to_them_in_their_order() -> None:
    habit = Habit()
    for _ in range(2):
        habit = came_of_it(came_of_it(acted(acted(habit, "a"), "b"), "", False), "red", True)
    assert habit.step is not None
    assert (habit.step.action, habit.times) == ("b", 1)


def test_a_loop_is_told_with_what_was_done_and_what_came_of_it() -> None:
    assert loop_words(steps(RED, RED)) == "it has failed at the same thing 2 times in a row: make test: exit code 2"
