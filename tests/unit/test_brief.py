"""What an agent is told of a log is a quotation, whatever is in it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ticketd.app.brief import LOG_LINES, log_tail
from ticketd.app.trees import Trees
from ticketd.domain.mending import LOG_BYTES
from ticketd.domain.quoting import fenced


@given(st.text(alphabet="`~ax\n"))
def test_nothing_ends_a_quotation_from_inside(text: str) -> None:
    first, *lines, last = fenced(text).split("\n")
    assert first == last and set(first) == {"`"} and len(first) >= 3
    assert "\n".join(lines) == text
    assert not any(line.strip().startswith(first) for line in lines)


def test_of_a_log_the_end_is_quoted_without_colours_and_controls(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(500)) + b"\x1b[31mred\x1b[0m \xff\a\n\n")
    lines = log_tail(log).split("\n")
    assert (len(lines), lines[0], lines[-1]) == (LOG_LINES, f"line {500 - LOG_LINES + 1}", "red \ufffd")


def test_a_log_of_one_endless_line_is_cut_and_one_that_is_not_there_is_empty(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x" * 10 * LOG_BYTES)
    assert len(log_tail(log)) == LOG_BYTES
    assert log_tail(tmp_path / "none") == ""


def test_the_worktree_that_work_lay_in_is_taken_again_if_it_is_free() -> None:
    trees = Trees(["1", "2", "3"], [], [])
    assert [trees.take("c", "2"), trees.take("c", "2"), trees.take("c")] == ["2", "1", "3"]
