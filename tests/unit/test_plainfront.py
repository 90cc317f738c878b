"""Plain front matter is read just as the YAML parser would read it, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ticketd.domain import frontmatter, plainfront
from ticketd.domain.frontmatter import MAX_FRONT, Table
from ticketd.domain.values import FaultAt

EVERYDAY = """\
title: "Retry failed uploads: three times"
scope: _global
priority: high
size:   S

touches:
  - "/src/upload/**"
  - /tests/upload/
  - '!*.md'
depends_on: [first, "second", 'third' , 4th]
labels:
- a b
- c
gate: none
agent: swift.v2
timeout: 1h30m
verify: make test -j 4
budget_usd: 2.50
on_failure: block"""


def by_parser(front: str) -> Table | None:
    try:
        return frontmatter.read(front, 1)
    except FaultAt:
        return None


def test_everyday_front_matter_needs_no_parser() -> None:
    read = plainfront.read(EVERYDAY, 1)
    assert read is not None
    assert read == by_parser(EVERYDAY)


@pytest.mark.parametrize(
    "front",
    [
        "",
        "title:",
        "title: # nothing",
        "title: a # b",
        "title: a: b",
        'title: "a\\nb"',
        "title: 'it''s'",
        "title: a\n  b",
        "title: a\n  - b",
        "- a",
        "title: |\n  a",
        "title: &a b",
        "title: *a",
        "title: !x y",
        "touches: [a, b,]",
        "touches: [a, [b]]",
        "touches: [a: b]",
        "touches:\n  - a\n - b",
        "touches:\n  - a\n   - b",
        "touches:\n  - - a",
        "touches:\n\t- a",
        "title: a\u2028b",
        f"title: {'a' * 2000}",
        "\n" * MAX_FRONT + "title: a",
    ],
)
def test_what_is_not_plain_is_left_to_the_parser(front: str) -> None:
    assert plainfront.read(front, 1) is None


BITS = st.sampled_from(["b c", "- ", ": ", " #", ", ", "  ", "null", "...", "---", "<<", "**"]) | st.sampled_from(
    "aé1~-?:#'\"[],{}&*!|>%@`\\ \t=./\u2028"
)
WORDS = st.one_of(
    st.lists(BITS, max_size=5).map("".join),
    st.lists(BITS, max_size=4).map("".join).map(lambda text: f'"{text}"'),
    st.lists(BITS, max_size=4).map("".join).map(lambda text: f"'{text}'"),
    st.lists(BITS, max_size=6).map("".join).map(lambda text: f"[{text}]"),
    st.lists(st.sampled_from(["a", '"b"', "'c d'", " e ", "**", "!x", ""]), max_size=4).map(
        lambda words: f"[{','.join(words)}]"
    ),
)
LINES = st.one_of(
    st.builds("{}: {}".format, st.sampled_from(["title", "touches", "a_b"]), WORDS),
    st.sampled_from(["touches:", "labels: ", "", "  ", "title:x"]),
    st.builds("{}- {}".format, st.sampled_from(["", " ", "  ", "    "]), WORDS),
    st.lists(BITS, max_size=5).map("".join),
)


@settings(max_examples=1500, deadline=None)
@given(st.lists(LINES, max_size=6).map("\n".join))
@example("touches: [ ]")
@example("touches: [")
@example("touches: []]")
@example("touches:\n\n- a\n\n- b\ntitle: c")
@example("title: a  b  ")
@example("touches: [a  b  , c]")
def test_what_is_read_without_the_parser_is_what_the_parser_reads(front: str) -> None:
    read = plainfront.read(front, 1)
    assert read is None or read == by_parser(front)
