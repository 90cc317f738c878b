"""Which earlier conversation an attempt goes on with."""

from __future__ import annotations

from dataclasses import replace

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.report import Report, Usage
from ticketd.domain.sessions import session_of
from ticketd.domain.ticket import Reason

USED = (Usage("m", input=1),)


def attempt(number: int, session: str | None, **changes: object) -> Attempt:
    made = Attempt(AttemptKey("t", number), AttemptState.ENDED, 1, "b", "claude", "4", started_at=1.0)
    return replace(made, report=Report(session, usage=USED if session else ()), **changes)  # type: ignore[arg-type]


NOW = attempt(9, None, resumes="c" * 40)


def test_the_newest_session_of_the_same_profile_is_taken_up() -> None:
    earlier = [attempt(1, "one"), attempt(2, "two"), attempt(3, "other", agent="codex")]
    assert session_of(earlier, NOW, None) == "two"


def test_who_begins_afresh_takes_up_nothing() -> None:
    assert session_of([attempt(1, "one")], replace(NOW, resumes=None), None) is None


def test_a_session_is_left_where_it_would_not_be_found_in_this_worktree() -> None:
    assert session_of([attempt(1, "one")], NOW, "5") is None
    assert session_of([attempt(1, "one")], NOW, "4") == "one"


def test_a_session_that_could_not_be_taken_up_is_not_tried_again() -> None:
    refused = attempt(2, None, resumes="c" * 40, reason=Reason.AGENT_FAILED)
    assert session_of([attempt(1, "one"), refused], NOW, None) is None
    unasked = replace(refused, report=Report("new"))
    assert session_of([attempt(1, "one"), unasked], NOW, None) is None


def test_an_attempt_that_a_rate_limit_or_a_crash_kept_from_speaking_costs_no_session() -> None:
    assert session_of([attempt(1, "one"), attempt(2, None), attempt(3, None, started_at=None)], NOW, None) == "one"
