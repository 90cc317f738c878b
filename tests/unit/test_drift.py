"""What a move of the target means to an attempt: who is concerned, who may meet a conflict, and what follows."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState, Drift
from ticketd.domain.drift import MOST_PATHS, MOST_RESTARTS, Answer, answer, conflict_note, judge, meeting
from ticketd.domain.globs import EVERYTHING, NOTHING, PatternSet, matches
from ticketd.domain.settings import DriftSettings, OnConflict

names = st.sampled_from(["a", "b", "ab", "c.py"])
paths = st.sets(st.lists(names, min_size=1, max_size=3).map("/".join), max_size=6)


def stand_in_each_others_way(one: str, other: str) -> bool:
    a, b = PurePosixPath(one), PurePosixPath(other)
    return a == b or a in b.parents or b in a.parents


@given(paths, paths)
def test_whatever_can_conflict_is_tried_and_nothing_else(changed: set[str], touched: set[str]) -> None:
    expected = sorted(path for path in touched if any(stand_in_each_others_way(path, other) for other in changed))
    assert list(meeting(touched, changed)) == expected
    assert list(judge(changed, NOTHING, touched).tried) == expected


@given(paths, paths, st.sampled_from([NOTHING, EVERYTHING, PatternSet(("/a",)), PatternSet(("*", "!*.py"))]))
def test_relevant_is_what_the_claim_covers_or_the_agent_has_written(
    changed: set[str], touched: set[str], claim: PatternSet
) -> None:
    judged = judge(changed, claim, touched)
    matters = {
        path
        for path in changed
        if matches(claim, path) or any(stand_in_each_others_way(path, other) for other in touched)
    }
    assert set(judged.paths) == matters
    assert judged.level is (Drift.RELEVANT if matters else Drift.BEHIND)


def test_a_claim_of_everything_costs_no_trial_where_nothing_was_written() -> None:
    judged = judge({"a", "b"}, EVERYTHING, ["c"])
    assert (judged.level, judged.paths, judged.tried) == (Drift.RELEVANT, ("a", "b"), ())


def test_what_was_written_is_named_before_what_is_only_claimed_and_no_more_than_a_few() -> None:
    judged = judge({f"f{number:03}" for number in range(100)}, EVERYTHING, ["f099"])
    assert judged.paths[:2] == ("f099", "f000")
    assert len(judged.paths) == MOST_PATHS


NOW = 1000.0


def attempt(ran_s: float, **more: object) -> Attempt:
    key, running = AttemptKey("t", 1), AttemptState.RUNNING
    return Attempt(key, running, 1, "b", "default", started_at=NOW - ran_s, **more)  # type: ignore[arg-type]


RESTART = DriftSettings(OnConflict.RESTART, restart_within_s=60.0)


@pytest.mark.parametrize(
    ("settings", "of", "restarts", "expected"),
    [
        (DriftSettings(OnConflict.CONTINUE), attempt(1), 0, Answer.NOTHING),
        (DriftSettings(OnConflict.NOTIFY), attempt(1), 0, Answer.TELL),
        (RESTART, attempt(59), 0, Answer.RESTART),
        (RESTART, attempt(61), 0, Answer.TELL),
        (RESTART, attempt(59), MOST_RESTARTS - 1, Answer.RESTART),
        (RESTART, attempt(59), MOST_RESTARTS, Answer.TELL),
        (RESTART, attempt(59, resumes="c"), 0, Answer.TELL),
        (RESTART, attempt(59, restarted=True), 1, Answer.NOTHING),
        (RESTART, attempt(59, preempted=True), 0, Answer.NOTHING),
    ],
)
def test_only_what_has_just_begun_begins_anew_and_not_for_ever(
    settings: DriftSettings, of: Attempt, restarts: int, expected: Answer
) -> None:
    assert answer(settings, of, restarts, NOW) is expected


def test_a_note_is_one_line_and_its_news_are_the_paths_not_how_far_the_target_has_come() -> None:
    paths = ["a`b", "two\nlines"]
    news, line = conflict_note("origin/main", "1" * 40, "0" * 40, paths)
    assert line.startswith(news) and line.count("\n") == 1 and line.endswith("\n")
    assert "`a'b`" in line and "`two\\nlines`" in line and "1" * 12 in line
    later, other = (conflict_note("origin/main", "2" * 40, "0" * 40, each)[0] for each in (paths, ["c"]))
    assert later == news and other not in line


def test_a_note_of_many_paths_stays_short() -> None:
    assert "and 5 more" in conflict_note("m", "1", "0", [f"f{n}" for n in range(MOST_PATHS + 5)])[1]
