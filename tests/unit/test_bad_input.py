"""Words that no sane person writes, where no other test has them. The table is in wiki/_global/reliability.md."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain import globs, values
from ticketd.domain.lint import lint
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.settings import Settings
from ticketd.domain.settingsfile import parse_settings
from ticketd.domain.ticketfile import Parsed, parse_ticket
from ticketd.domain.values import MAX_BYTES, Fault

IDS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,12}", fullmatch=True).filter(values.is_id)


def parse(front: str, path: str = "tickets/x.md") -> Parsed:
    return parse_ticket(path, f"---\n{front}\n---\nBody.\n".encode(), Settings())


def the_error(problems: tuple[Problem, ...]) -> Problem:
    (error,) = (problem for problem in problems if problem.severity is Severity.ERROR)
    assert error.mend
    return error


def test_a_bomb_of_merge_keys_is_refused_at_its_first_key() -> None:
    levels = ["a0: &a0 {k: v}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 24))]
    assert "1 MiB" in the_error(parse("\n".join(levels)).problems).what
    assert "merge keys" in the_error(parse("<<: {title: x}").problems).what


@pytest.mark.parametrize(
    "front", ["title: a\ntitle: a", "'title': a\n\"title\": b", "touches: [a]\ntitle: x\ntouches: [b]"]
)
def test_a_key_that_stands_twice_is_an_error_that_names_both_lines(front: str) -> None:
    error = the_error(parse(front).problems)
    assert "stands twice, first in line 2" in error.what
    assert error.line == len(front.split("\n")) + 1


@pytest.mark.parametrize("priority", ["-1", "1000000000", "1.5", "true", "[high]", "4", "P4", "'low '' high'"])
def test_a_priority_is_one_of_four_words(priority: str) -> None:
    assert "priority" in the_error(parse(f"priority: {priority}").problems).what
    assert parse("priority: High").problems == parse("priority: P1").problems == ()


@given(st.text(min_size=1, max_size=8))
def test_no_two_ids_are_the_same_to_a_file_system_or_to_unicode(text: str) -> None:
    if values.is_id(text):
        assert text == text.casefold() == unicodedata.normalize("NFC", text) == unicodedata.normalize("NFKD", text)


@given(IDS, IDS, st.integers(1, 99), st.integers(1, 99))
def test_no_ref_of_a_ticket_stands_in_the_way_of_anothers(a: str, b: str, m: int, n: int) -> None:
    """git keeps refs as files: `t` and `t/x` cannot both be there."""
    one, other = f"refs/ticketd/{a}/{m}", f"refs/ticketd/{b}/{n}"
    assert not one.startswith(f"{other}/") and not other.startswith(f"{one}/")


def test_a_line_as_long_as_a_file_may_be_is_only_a_line() -> None:
    body = b"x" * (MAX_BYTES - 10)
    parsed = parse_ticket("tickets/x.md", body, Settings())
    assert parsed.ticket is not None and len(parsed.ticket.body) == len(body)


def test_very_many_keys_are_refused_before_they_are_read() -> None:
    assert "128 KiB" in the_error(parse("\n".join(f"k{n}: v" for n in range(400_000 // 8))).problems).what


@pytest.mark.parametrize(
    "text",
    [
        "slots = " + "{a = " * 20_000,
        "a" + ".a" * 20_000 + " = 1",
        "[" + "a." * 20_000 + "a]",
        "slots = inf",
        "slots = 9223372036854775808",
        "slots = -0x8000000000000000",
        '[target]\nbranch = "\\ud800"',
        '[limits]\ngrace = "99999999999h"',
        "[secrets]\nenv = ['A-B']",
        "[secrets]\nfiles = ['../.env']",
        "[secrets]\nexcept = ['']",
        "[secrets]\nfile = ['.env']",
    ],
)
def test_a_configuration_that_nobody_means_is_an_error_and_no_traceback(text: str) -> None:
    parsed = parse_settings("ticketd.toml", text.encode())
    assert parsed.settings is None and parsed.problems[0].what


@pytest.mark.parametrize("pattern", ["[" + "a" * 50_000 + "]", "*" * 100_000, "/" * 5000, "a" * 5000])
def test_a_pattern_of_absurd_length_is_a_fault(pattern: str) -> None:
    with pytest.raises(Fault):
        values.pattern(pattern)


def test_braces_and_extended_globs_are_only_letters() -> None:
    for pattern in ("{a,b}" * 18, "+(a|b)", "@(x)", "!(x)", "~/x", "C:/x"):
        assert globs.fault(pattern) is None
    assert not globs.matches(globs.PatternSet(("{a,b}",)), "a")
    assert globs.matches(globs.PatternSet(("{a,b}",)), "{a,b}")


def test_many_tickets_with_ten_dependencies_each_are_checked() -> None:
    names = [f"t{n}" for n in range(1000)]
    front = "touches: [/{}]\ndepends_on: [{}]"
    parsed = [
        parse(front.format(name, ", ".join(names[max(0, n - 10) : n])), f"tickets/{name}.md")
        for n, name in enumerate(names)
    ]
    assert [each for each in lint(parsed, Settings(), frozenset()) if each.severity is Severity.ERROR] == []


@given(
    st.sampled_from(["LD_", "DYLD_", "GIT_", "PYTHON", "TICKETD_"]),
    st.from_regex(r"[A-Z0-9_]{0,10}", fullmatch=True),
)
def test_no_variable_that_bends_other_programs_reaches_an_agent(prefix: str, rest: str) -> None:
    text = f"[agents.a]\ncommand = ['x']\nenv = ['{prefix}{rest}']\n"
    error = the_error(parse_settings("ticketd.toml", text.encode()).problems)
    assert error.line == 3 and "never passed to agents" in error.what
