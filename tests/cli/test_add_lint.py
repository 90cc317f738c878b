"""`ticketd add` and `ticketd lint`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hands_yard import Hands, make_hands

from ticketd.domain.settings import Settings
from ticketd.domain.ticket import Priority, Size, TicketState
from ticketd.domain.ticketfile import parse_ticket


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    return make_hands(tmp_path)


# --- add ------------------------------------------------------------------------------------------------------------


def test_add_writes_a_ticket_and_queues_it(hands: Hands) -> None:
    hands.ticket("first")
    options = ("--touches", "src/up/**", "--touches", "!src/up/old.py", "--depends-on", "first")
    said = hands.ok("add", "Retry: the “uploader”", *options, "--priority", "P1", "--size", "s", "--body", "Do it.")
    assert said == "tickets/retry-the-uploader.md\n"
    path = hands.work / said.strip()
    ticket = parse_ticket(said.strip(), path.read_bytes(), Settings()).ticket
    assert ticket is not None
    assert ticket.title == "Retry: the “uploader”"
    assert ticket.touches.patterns == ("src/up/**", "!src/up/old.py")
    assert (ticket.depends_on, ticket.priority, ticket.size) == (("first",), Priority.HIGH, Size.S)
    assert ticket.body == "Do it."
    assert hands.state_of("retry-the-uploader") is TicketState.QUEUED
    assert [entry.name for entry in path.parent.iterdir() if entry.name.startswith(".")] == []


def test_add_never_overwrites_and_numbers_the_id(hands: Hands) -> None:
    hands.ok("add", "Same", "--touches", "a")
    document = hands.json("add", "Same", "--touches", "b")
    assert document == {"schema": 1, "id": "same-2", "path": "tickets/same-2.md"}
    assert '"a"' in (hands.work / "tickets" / "same.md").read_text()


def test_an_id_whose_file_is_gone_is_not_used_again(hands: Hands) -> None:
    hands.ok("add", "Same", "--touches", "a")
    (hands.work / "tickets" / "same.md").unlink()
    assert hands.ok("add", "Same", "--touches", "a") == "tickets/same-2.md\n"


def test_a_long_title_is_numbered_within_the_length_of_an_id(hands: Hands) -> None:
    title = "a" * 64
    hands.ok("add", title, "--touches", "a")
    assert hands.json("add", title, "--touches", "a")["id"] == f"{'a' * 62}-2"


def test_a_scope_is_a_folder(hands: Hands) -> None:
    assert hands.ok("add", "One", "--scope", "acme", "--touches", "a") == "tickets/acme/one.md\n"
    assert hands.ok("add", "Two", "--scope", "_global", "--touches", "a") == "tickets/two.md\n"
    with hands.store() as store:
        assert {r.id: r.ticket.scope for r in store.board().tickets.values()} == {"one": "acme", "two": "_global"}


def test_the_body_comes_from_standard_input(hands: Hands) -> None:
    hands.ok("add", "Piped", "--touches", "a", "--body", "-", stdin="Zwölf\r\nZeilen\n".encode())
    with hands.store() as store:
        record = store.ticket("piped")
        assert record is not None
        assert record.ticket.body == "Zwölf\nZeilen"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Bad", "--touches", "../x"), "`touches`: `../x`"),
        (("Bad", "--depends-on", "frist"), "did you mean `first`?"),
        (("Bad", "--depends-on", "no such id"), "cannot be an id"),
        (("Bad", "--priority", "urgent"), "--priority: `urgent`"),
        (("Bad", "--size", "XL"), "--size: `XL`"),
        (("Bad", "--scope", "../x"), "--scope: "),
        (("Bad", "--scope", "first.md/x"), "--scope: "),
        (("", "--touches", "a"), "TITLE: the text is empty"),
        (("Two\nlines",), "TITLE: the text has more than one line"),
        ((), "Missing argument"),
    ],
)
def test_bad_input_writes_nothing(hands: Hands, arguments: tuple[str, ...], said: str) -> None:
    hands.ticket("first")
    assert said in hands.refused(2, "add", *arguments)
    assert [entry.name for entry in (hands.work / "tickets").iterdir()] == ["first.md"]


def test_a_body_that_is_not_text_is_refused(hands: Hands) -> None:
    assert "not UTF-8" in hands.refused(2, "add", "Bad", "--body", "-", stdin=b"\xff\xfe")


def test_add_refuses_to_close_a_circle(hands: Hands) -> None:
    hands.ticket("first", depends_on=["second"])
    assert "circle" in hands.refused(2, "add", "Second", "--touches", "a", "--depends-on", "first")
    assert not (hands.work / "tickets" / "second.md").exists()


def test_a_warning_is_said_and_the_ticket_written(hands: Hands) -> None:
    done = hands.run("add", "All of it")
    assert (done.returncode, done.stdout) == (0, "tickets/all-of-it.md\n")
    assert "claims every file" in done.stderr


def test_without_a_set_up_add_exits_3(hands: Hands) -> None:
    (hands.work / "ticketd.toml").unlink()
    (hands.work / "tickets").rmdir()
    assert "`ticketd init`" in hands.refused(3, "add", "One")


# --- lint -----------------------------------------------------------------------------------------------------------


def test_lint_is_content_with_sound_tickets(hands: Hands) -> None:
    hands.ticket("a", "say hi")
    hands.ticket("b", "say hi")
    assert hands.ok("lint") == "ok: 2 tickets, no faults\n"
    assert hands.json("lint") == {"schema": 1, "tickets": 2, "errors": 0, "warnings": 0, "problems": []}


def test_lint_tells_file_line_and_mend_and_exits_1(hands: Hands) -> None:
    (hands.work / "tickets" / "a.md").write_text('---\ntouches: ["a"]\nprioritty: high\n---\ntext\n')
    done = hands.run("lint")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "tickets/a.md:3: error: unknown key `prioritty` (did you mean `priority`?)",
        "1 ticket: 1 error, 0 warnings",
    ]
    document = hands.json("lint", code=1)
    assert (document["errors"], document["problems"][0]["line"]) == (1, 3)


def test_warnings_alone_exit_0(hands: Hands) -> None:
    (hands.work / "tickets" / "a.md").write_text("# Do it\n\ntext\n")
    said = hands.ok("lint")
    assert "tickets/a.md: warning: " in said
    assert said.endswith("1 ticket: 0 errors, 1 warning\n")


def test_lint_reads_the_configuration_too(hands: Hands) -> None:
    (hands.work / "ticketd.toml").write_text("slotz = 3\n")
    done = hands.run("lint")
    assert done.returncode == 1
    assert done.stdout.startswith("ticketd.toml:1: error: ")


def test_lint_sees_a_new_profile_at_once(hands: Hands) -> None:
    """Its own reading counts: a fault that only the old ticketd.toml made is gone with it."""
    hands.ticket("a", "say hi", agent="fast")
    assert hands.run("lint").returncode == 1
    (hands.work / "ticketd.toml").write_text('[agents.fast]\npreset = "scripted"\n')
    assert hands.ok("lint") == "ok: 1 ticket, no faults\n"


def test_named_files_alone_are_told_of_but_all_are_known(hands: Hands) -> None:
    hands.ticket("a", "say hi", depends_on=["b"])
    hands.ticket("b", "say hi", nonsense=1)
    (hands.work / "tickets" / "acme").mkdir()
    (hands.work / "tickets" / "acme" / "c.md").write_text("nothing\n")
    assert "b.md" in hands.run("lint").stdout
    assert hands.ok("lint", "tickets/a.md").startswith("tickets/a.md:3: warning: it waits for `b`")
    assert hands.ok("lint", "ticketd.toml") == "ok: 0 tickets, no faults\n"
    assert hands.run("lint", "tickets/b.md").returncode == 1
    assert "acme/c.md" in hands.ok("lint", "tickets/acme")
    inside = hands.run("lint", "c.md", where=hands.work / "tickets" / "acme")
    assert inside.stdout.splitlines()[-1].startswith("1 ticket: ")


@pytest.mark.parametrize("path", ["README", "/etc/hosts", "..", ".", "tickets/none.md", "tickets/.."])
def test_a_path_that_is_no_ticket_is_wrong_usage(hands: Hands, path: str) -> None:
    hands.ticket("a")
    assert "ticket" in hands.refused(2, "lint", path)
