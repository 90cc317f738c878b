"""Which earlier conversation an attempt goes on with, and where it will look for it."""

from __future__ import annotations

from dataclasses import replace

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.report import Report, Usage
from ticketd.domain.sessions import kept_trees, session_of
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


def test_an_agent_that_ended_before_its_start_was_noted_has_run_all_the_same() -> None:
    quick = attempt(1, "one", started_at=None, outcome="exited", worktree="4")
    assert session_of([quick], NOW, "4") == "one"
    assert kept_trees([quick], {"claude"}) == ("4",)


def of(ticket: str, number: int, session: str | None, tree: str, ended_at: float, **changes: object) -> Attempt:
    made = attempt(number, session, worktree=tree, ended_at=ended_at, **changes)
    return replace(made, key=AttemptKey(ticket, number))


def test_a_tree_is_kept_for_each_ticket_that_will_look_there_the_longest_kept_first() -> None:
    attempts = [of("a", 1, "one", "4", 9.0), of("b", 1, "two", "5", 3.0), of("c", 1, "three", "5", 4.0)]
    assert kept_trees(attempts, {"claude"}) == ("5", "4")


def test_the_tree_that_is_kept_is_the_one_in_which_the_conversation_was_taken_up_last() -> None:
    attempts = [of("a", 1, "one", "4", 1.0), of("a", 2, "two", "5", 2.0), of("a", 3, None, "6", 3.0)]
    assert kept_trees(attempts, {"claude"}) == ("5",)
    assert session_of(attempts, replace(NOW, key=AttemptKey("a", 4)), "5") == "two"


def test_no_tree_is_kept_for_a_profile_that_goes_on_anywhere_nor_where_there_is_no_conversation() -> None:
    attempts = [of("a", 1, "one", "4", 1.0), of("b", 1, None, "5", 2.0)]
    assert kept_trees(attempts, {"codex"}) == ()
    assert kept_trees(attempts, {"claude"}) == ("4",)
    assert kept_trees([of("a", 1, None, "4", 1.0, reason=Reason.AGENT_FAILED)], {"claude"}) == ()


def test_a_ticket_that_has_gone_to_another_profile_keeps_no_tree_for_the_first() -> None:
    attempts = [of("a", 1, "one", "4", 1.0), of("a", 2, "two", "5", 2.0, agent="codex")]
    assert kept_trees(attempts, {"claude"}) == ()
