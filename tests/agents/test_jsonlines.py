"""Values out of records that nobody vouches for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ticketd.agents.jsonlines import LONGEST_LINE, count_at, last_words, lines_of, number_at, session_at
from ticketd.agents.story import LONGEST_NAME, MOST_MODELS, Story
from ticketd.domain.report import Usage


@pytest.mark.parametrize("given", [-1, 10**30, True, "3", None, [1], float("nan"), float("inf"), -0.5])
def test_what_is_no_number_of_tokens_counts_nothing(given: object) -> None:
    assert count_at({"usage": {"input": given}}, "usage", "input") == 0


@pytest.mark.parametrize("given", [-1, 10**30, True, "3", None, float("nan"), float("inf")])
def test_what_is_no_price_is_none(given: object) -> None:
    assert number_at({"cost": given}, "cost") is None


def test_numbers_are_numbers() -> None:
    assert (count_at({"n": 3}, "n"), count_at({"n": 3.0}, "n"), number_at({"n": 0.5}, "n")) == (3, 3, 0.5)


@pytest.mark.parametrize("given", ["--resume", "", "a b", "../x", "a\n", "x" * 129, 7, None])
def test_a_session_that_could_be_anything_else_is_none(given: object) -> None:
    assert session_at({"id": given}, "id") is None


def test_the_last_words_are_the_end_without_what_a_terminal_would_obey() -> None:
    words = last_words("x" * 5000 + "\x1b[31mdone\x1b[0m\x07\n")
    assert words.endswith("xdone")
    assert len(words) == 2000


def test_a_line_that_is_too_long_is_left_out_and_the_next_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"before\n" + b"x" * (LONGEST_LINE + 1) + b"\nafter\nlast")
    assert [line.strip() for line in lines_of(log)] == ["before", "after", "last"]


def test_a_report_stays_small_whatever_models_are_named() -> None:
    story = Story()
    for number in range(1000):
        story.add(Usage(f"{number} {'x' * 1000}", input=1))
    assert len(story.report().usage) <= MOST_MODELS
    assert max(len(each.model) for each in story.report().usage) <= LONGEST_NAME
