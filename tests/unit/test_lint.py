"""Checks over the whole set of tickets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ticketd.domain.globs import EVERYTHING, PatternSet, fault, outside
from ticketd.domain.lint import lint, lint_one
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.settings import AgentProfile, ScopeSettings, Settings
from ticketd.domain.ticketfile import Parsed, parse_ticket

PLAIN = Settings()


def file(
    path: str, *keys: str, touches: str = "[src/x.py]", body: str = "# Title\n\nDo it.\n", config: Settings = PLAIN
) -> Parsed:
    lines = ["---", *keys, *([f"touches: {touches}"] if touches else []), "---", body]
    return parse_ticket(path, "\n".join(lines).encode(), config)


def tickets(**depends_on: str) -> list[Parsed]:
    """Tickets by id, with the ids each depends on."""
    return [file(f"tickets/{id}.md", f"depends_on: [{', '.join(ids.split())}]") for id, ids in depends_on.items()]


def errors(found: tuple[Problem, ...]) -> list[Problem]:
    return [p for p in found if p.severity is Severity.ERROR]


def test_a_sound_set_has_no_problems() -> None:
    assert lint(tickets(a="", b="a", c="a b"), PLAIN) == ()


def test_an_id_in_two_folders_is_an_error_in_both_files_that_names_the_other() -> None:
    found = errors(lint([file("tickets/a.md"), file("tickets/acme/a.md"), file("tickets/b.md")], PLAIN))
    assert [(p.file, "tickets/acme/a.md" in p.what) for p in found] == [
        ("tickets/a.md", True),
        ("tickets/acme/a.md", False),
    ]
    assert "tickets/a.md" in found[1].what


def test_an_unknown_dependency_is_an_error_at_its_line_that_names_the_nearest_id() -> None:
    late = file("tickets/late.md", "title: x", "depends_on:", "  - early", "  - eraly")
    (problem,) = lint([late, file("tickets/early.md")], PLAIN)
    assert (problem.file, problem.line, problem.severity) == ("tickets/late.md", 5, Severity.ERROR)
    assert "`eraly`" in problem.what
    assert problem.mend == "did you mean `early`?"


def test_a_landed_ticket_may_be_depended_on_though_its_file_is_gone() -> None:
    assert lint(tickets(a="gone"), PLAIN, {"gone"}) == ()


def test_a_dependency_whose_file_has_errors_is_no_mistake_of_the_dependent() -> None:
    (problem,) = lint([*tickets(a="b"), file("tickets/b.md", "size: XL")], PLAIN)
    assert (problem.file, problem.severity) == ("tickets/a.md", Severity.WARNING)
    assert "tickets/b.md" in problem.mend


def test_a_ticket_that_depends_on_itself_is_an_error() -> None:
    (problem,) = lint(tickets(a="a"), PLAIN)
    assert (problem.line, problem.what) == (2, "the ticket depends on itself")


@pytest.mark.parametrize(
    ("graph", "spelled"),
    [
        ({"a": "b", "b": "a"}, ["a → b → a"]),
        ({"a": "b", "b": "c", "c": "a", "d": "a"}, ["a → b → c → a"]),
        ({"a": "b", "b": "c", "c": "d b", "d": "a"}, ["b → c → b"]),
        ({"a": "b", "b": "a", "x": "y a", "y": "x"}, ["a → b → a", "x → y → x"]),
        ({"a": "", "b": "a", "c": "a b", "d": "b c"}, []),
        ({"z": "m a", "m": "z", "a": "m"}, ["m → z → m"]),
    ],
)
def test_each_knot_is_one_error_with_a_shortest_cycle(graph: dict[str, str], spelled: list[str]) -> None:
    found = errors(lint(tickets(**graph), PLAIN))
    assert [p.what.split(": ")[1] for p in found] == spelled


def test_a_cycle_is_told_at_the_line_of_the_dependency() -> None:
    a = file("tickets/a.md", "depends_on:", "  - c", "  - b")
    (problem,) = lint([a, *tickets(b="a", c="")], PLAIN)
    assert (problem.file, problem.line) == ("tickets/a.md", 4)


def test_a_cycle_of_a_thousand_is_abridged() -> None:
    (problem,) = lint(tickets(**{f"t{n:04}": f"t{(n + 1) % 1000:04}" for n in range(1000)}), PLAIN)
    assert "t0000 → t0001" in problem.what
    assert problem.what.endswith("t0999 → t0000")
    assert "986 more" in problem.what
    assert len(problem.what) < 300


def test_a_long_chain_is_walked_without_recursion() -> None:
    assert lint(tickets(**{f"t{n}": f"t{n + 1}" if n < 1500 else "" for n in range(1501)}), PLAIN) == ()


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef"))))
@settings(deadline=None)
def test_a_set_has_a_cycle_error_just_if_it_cannot_be_put_in_order(graph: dict[str, set[str]]) -> None:
    edges = {node: {d for d in ahead if d in graph and d != node} for node, ahead in graph.items()}
    found = [p for p in lint(tickets(**{n: " ".join(sorted(a)) for n, a in edges.items()}), PLAIN) if "→" in p.what]
    left = dict(edges)
    while free := [node for node, ahead in left.items() if not ahead & left.keys()]:
        for node in free:
            del left[node]
    assert bool(found) == bool(left)
    for problem in found:
        cycle = problem.what.split(": ")[1].split(" → ")
        assert cycle[0] == cycle[-1]
        assert all(b in edges[a] for a, b in pairwise(cycle))


@pytest.mark.parametrize(
    ("parsed", "line", "what"),
    [
        (file("tickets/a.md", touches=""), 0, "no `touches`"),
        (file("tickets/a.md", "size: S", touches="['**']"), 3, "claims every file"),
        (file("tickets/a.md", touches="['*']"), 2, "claims every file"),
        (file("tickets/a.md", touches="['src/**', '**']"), 2, "claims every file"),
        (file("tickets/a.md", touches="[]"), 2, "claims no file"),
        (file("tickets/a.md", touches="['!src']"), 2, "claims no file"),
        (file("tickets/a.md", body="Do it."), 0, "no title"),
        (file("tickets/a.md", "title: Do it", body=""), 0, "no text"),
    ],
)
def test_what_is_legal_but_hardly_meant_is_a_warning(parsed: Parsed, line: int, what: str) -> None:
    (problem,) = lint([parsed], PLAIN)
    assert (problem.severity, problem.line) == (Severity.WARNING, line)
    assert what in problem.what
    assert problem.mend


def test_a_heading_that_is_the_id_is_a_title() -> None:
    assert lint([file("tickets/a.md", body="# a\n\nDo it.")], PLAIN) == ()


def test_a_misspelled_scope_is_a_warning_and_a_free_one_is_not() -> None:
    config = Settings(scopes={"acme": ScopeSettings("acme", paths=PatternSet(("src/**",)))})
    (problem,) = lint([file("tickets/amce/a.md"), file("tickets/zoo/b.md"), file("tickets/c.md")], config)
    assert (problem.file, problem.severity) == ("tickets/amce/a.md", Severity.WARNING)
    assert problem.mend == "did you mean `acme`?"


def test_a_ticket_that_no_agent_takes_is_an_error() -> None:
    two = {name: AgentProfile(name, command=("x",)) for name in ("quick", "deep")}
    config = Settings(agents=two, routes={"S": ("quick",)})
    named = file("tickets/b.md", "agent: deep", config=config)
    (problem,) = lint([file("tickets/a.md", config=config), file("tickets/s.md", "size: S"), named], config)
    assert (problem.file, problem.severity) == ("tickets/a.md", Severity.ERROR)
    assert "`agent: quick` or `agent: deep`" in problem.mend


def test_problems_of_the_files_themselves_are_not_repeated() -> None:
    assert lint([file("tickets/a.md", "size: XL")], PLAIN) == ()


def test_a_dependency_that_is_unknown_to_very_many_files_still_has_its_line() -> None:
    many = tickets(**{f"t{number}": f"ghost{number}" for number in range(500)})
    found = errors(lint(many, PLAIN))
    assert len(found) == 500
    assert {p.line for p in found} == {2}
    assert any("did you mean" in p.mend for p in found) and any("write that ticket" in p.mend for p in found)


def test_what_one_file_is_warned_of_needs_no_other() -> None:
    alone = file("tickets/a.md", touches="", config=PLAIN)
    assert lint_one(alone, PLAIN) == lint([alone], PLAIN)


@settings(max_examples=200)
@given(st.lists(st.text(alphabet="ab!?[]/.", min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_claim_without_a_star_never_claims_every_file(patterns: list[str]) -> None:
    assume(not any(fault(pattern) for pattern in patterns))
    assert outside(EVERYTHING, PatternSet(tuple(patterns))) is not None
