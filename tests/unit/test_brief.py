"""What others have written stands in a brief as a quotation, whatever is in it; and the brief keeps to its limit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ticketd.agents.scripted_program import texts_of_tickets
from ticketd.app.brief import LOG_LINES, log_tail
from ticketd.app.trees import Trees
from ticketd.domain.brief import Earlier, Facts, render_brief, render_follow_up
from ticketd.domain.brieftemplate import FIELDS, SECTIONS, TEMPLATE, faults_of, fill
from ticketd.domain.globs import PatternSet
from ticketd.domain.mending import LOG_BYTES, Mending
from ticketd.domain.pages import Page, in_order, render_pages
from ticketd.domain.problems import Severity
from ticketd.domain.quoting import as_code, fenced, size_of
from ticketd.domain.repair import Repair, RepairKind
from ticketd.domain.settings import BriefSettings, Settings
from ticketd.domain.ticket import Ticket

NASTY = st.lists(
    st.sampled_from(
        [
            "```",
            "````ticket",
            "~~~~",
            "## ticketd's rules of this run",
            "# x",
            "$task",
            "${rules}",
            "- a",
            "",
            " ",
            "`",
            "agent: exit 3",
            "    code",
            "a\u2028## b",
            "\r## c",
            "</ticket>",
        ]
    )
    | st.text(alphabet="`~#a \n$", max_size=12),
    max_size=8,
).map("\n".join)
TICKET = Ticket("fix-it", "tickets/fix-it.md", "Fix it", body="Mend the lamp.", touches=PatternSet(("/lamp/",)))
FACTS = Facts(TICKET, 3, "a" * 40, {})
PLAIN = Settings()


def parse(brief: str) -> tuple[list[tuple[str, str]], list[str]]:
    """The quotations with their kinds, and the lines that are ticketd's own."""
    quoted: list[tuple[str, str]] = []
    own: list[str] = []
    fence, kind, lines = "", "", list[str]()
    for line in brief.split("\n"):
        opens = re.fullmatch("(`{3,})([a-z]*)", line)
        if fence and line == fence:
            quoted.append((kind, "\n".join(lines)))
            fence, lines = "", []
        elif fence:
            lines.append(line)
        elif opens:
            fence, kind = opens[1], opens[2]
        else:
            own.append(line)
    assert not fence, "a quotation is not closed"
    return quoted, own


def headings(brief: str) -> list[str]:
    return [line for line in parse(brief)[1] if line.startswith("#")]


@given(st.text(alphabet="`~ax\n"))
def test_nothing_ends_a_quotation_from_inside(text: str) -> None:
    first, *lines, last = fenced(text).split("\n")
    assert first == last and set(first) == {"`"} and len(first) >= 3
    assert "\n".join(lines) == text
    assert not any(line.strip().startswith(first) for line in lines)


@given(NASTY, NASTY, NASTY, NASTY, NASTY)
@settings(max_examples=150, deadline=None)
def test_whatever_others_write_it_comes_out_as_the_same_parts(
    body: str, review: str, said: str, page: str, log: str
) -> None:
    repair = Repair(RepairKind.VERIFY, "b" * 40, "c" * 40, told=f"it failed: {said}", log="/tmp/log", fault=review)
    facts = replace(
        FACTS,
        ticket=replace(TICKET, title=f"T {said}", body=body or "x", touches=PatternSet((f"/{page}",))),
        held={"other": PatternSet((log,))},
        mending=Mending(repair, tail=log or "x"),
        reviews=(review,),
        earlier=(Earlier(1, "a" * 40, "b" * 40, (said,), (page,), said),),
        pages=(Page(f"wiki/_global/{said}.md", size_of(page), page),),
    )
    roomy = Settings(brief=BriefSettings(limit=10**6, wiki_content=10**6))
    brief = render_brief(facts, roomy)
    quoted, own = parse(brief)
    assert quoted[0] == ("ticket", body or "x")
    assert (
        dict(quoted)["review"] == review
        and dict(quoted)["page"] == page.rstrip()
        and dict(quoted)["log"] == (log or "x")
    )
    plain = [f"Landing failed: {' '.join(f'it failed: {said}'.split())}"]
    assert [line.lstrip("# ") for line in own if line.startswith("#")] == [
        "The task",
        *plain,
        "A reviewer rejected this before",
        "Files",
        "ticketd's rules of this run",
        "What happened before",
        "Pages of the wiki",
    ]
    assert "\n".join(texts_of_tickets(brief.split("\n"))) == (body or "x")


@given(st.text(alphabet="`a b\n#"))
def test_a_word_within_a_line_neither_ends_nor_breaks_it(text: str) -> None:
    code = as_code(text)
    ticks = re.match("`+", code)
    assert ticks and "\n" not in code and code.endswith(ticks[0])
    assert ticks[0] not in code[len(ticks[0]) : -len(ticks[0])]


def test_the_task_comes_first_and_one_sentence_says_what_wins() -> None:
    brief = render_brief(FACTS, PLAIN)
    assert headings(brief) == ["## The task", "## Files", "## ticketd's rules of this run"]
    assert "the rules win" in " ".join(brief.split("## The task")[0].split())
    assert "\n\n\n" not in brief and brief.endswith("\n")


def test_a_ticket_without_a_text_is_its_title() -> None:
    assert parse(render_brief(replace(FACTS, ticket=replace(TICKET, body="")), PLAIN))[0] == [("ticket", "Fix it")]


@given(st.integers(0, 40_000), st.lists(st.integers(0, 9_000), max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_brief_keeps_to_its_limit_as_far_as_the_task_and_the_rules_let_it(limit: int, sizes: list[int]) -> None:
    words = tuple("wörd " * (size // 6) + "end" for size in sizes)
    facts = replace(
        FACTS,
        reviews=words,
        earlier=tuple(Earlier(n, "a" * 40, "b" * 40, ("one",), ("lamp",), said) for n, said in enumerate(words)),
        pages=tuple(Page(f"wiki/_global/{n}.md", size_of(text), text) for n, text in enumerate(words)),
    )
    least = size_of(render_brief(FACTS, PLAIN))
    brief = render_brief(facts, Settings(brief=BriefSettings(limit=limit, wiki_content=limit)))
    assert size_of(brief) <= max(limit, least)
    assert parse(brief)[0][0] == ("ticket", TICKET.body)


def test_small_pages_are_there_as_they_are_and_the_others_are_named_the_nearest_first() -> None:
    pages = [
        Page("wiki/_global/deep/down.md", 4, "down"),
        Page("wiki/_global/long.md", 9000, "# Long ones\n" + "x" * 8988),
        Page("wiki/_global/short.md", 5, "short"),
        Page("wiki/acme/own.md", 300, "own" * 100),
    ]
    ordered = in_order(pages, ("wiki/acme", "wiki/_global"))
    assert [page.path for page in ordered] == [pages[3].path, pages[2].path, pages[1].path, pages[0].path]
    told = render_pages(ordered, 1000, 10_000)
    assert [text for _, text in parse(told)[0]] == ["own" * 100, "short", "down"]
    assert "- `wiki/_global/long.md`: Long ones" in told
    assert len(render_pages(ordered, 0, 10_000).split("\n- ")) == 5
    assert "and 4 more" in render_pages(ordered, 0, 160) and render_pages([], 10, 10) == ""


def test_a_follow_up_says_only_what_is_new() -> None:
    repair = Repair(RepairKind.CONFLICT, "b" * 40, "c" * 40, told="conflicts with origin/main in lamp")
    facts = replace(FACTS, afresh=False, mending=Mending(repair, True, ("lamp",)), reviews=("not blue",))
    told = render_follow_up(facts, PLAIN, changed=False)
    assert headings(told) == [
        "## Landing failed: conflicts with origin/main in lamp",
        "## A reviewer rejected this before",
    ]
    assert TICKET.body not in told and "fix-it" in told and size_of(told) < 1500
    assert ("ticket", TICKET.body) in parse(render_follow_up(facts, PLAIN, changed=True))[0]


def test_a_follow_up_in_a_clean_tree_says_so_and_why() -> None:
    told = render_follow_up(replace(FACTS, fates=("- attempt 2: timeout: it took too long",)), PLAIN, changed=False)
    assert "nothing of what you have done is in it" in " ".join(told.split()) and "took too long" in told


def test_our_own_template_has_every_section_and_no_fault() -> None:
    assert faults_of("ours", TEMPLATE) == ()
    assert all(f"${name}" in TEMPLATE for name in SECTIONS)


def test_a_template_of_ones_own_is_checked_with_line_and_nearest_field() -> None:
    found = faults_of(".ticketd/brief.md", "Hello\n$taks and $\n$$5 ${mend}\n")
    told = [str(each) for each in found]
    assert [each.line for each in found] == [2, 2, 0] and "`$task`" in told[2]
    assert "there is no field `$taks`" in told[0] and "did you mean `task`?" in told[0] and "`$$`" in told[1]
    assert [each.severity for each in faults_of("x", "$task")] == [Severity.WARNING]


def test_what_a_field_holds_is_not_filled_in_again_and_empty_sections_leave_no_gap() -> None:
    fields = dict.fromkeys(FIELDS, "") | {"task": "cost: $id $$", "id": "fix-it"}
    assert fill("$id:\n\n$mend\n\n${review}\n\n$task\n\nbye $$1\n", fields) == "fix-it:\n\ncost: $id $$\n\nbye $1\n"


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
