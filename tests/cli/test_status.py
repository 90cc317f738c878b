"""The status screen: on terminals of several sizes, in a pipe, and while it stays open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from eyes_yard import BASE, ESCAPES, NOW, Terminal, Yard
from rich.cells import cell_len

from ticketd.app import queries
from ticketd.app.tickets import settings_of
from ticketd.cli.display import Display, settled
from ticketd.cli.render.screen import screen
from ticketd.cli.render.told import Teller
from ticketd.cli.render.words import age, clock, duration, one_wait, output_words, safe
from ticketd.domain.events import Event, EventKind
from ticketd.domain.landing import Phase
from ticketd.domain.report import NOTHING_REPORTED
from ticketd.domain.throttle import Limited
from ticketd.domain.ticket import Reason
from ticketd.domain.verdict import Fail, Requeue, ToLanding

SIZES = [(200, 60), (80, 24), (60, 24), (50, 20), (30, 10), (12, 4)]


def document_of(yard: Yard) -> queries.Document:
    return queries.status(yard.session, settings_of(yard.session)[0], ())


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_terminal_of_any_size_gets_lines_that_fit(yard: Yard, columns: int, rows: int) -> None:
    yard.busy()
    with yard.daemon():
        lines = screen(document_of(yard), columns, rows)
    assert len(lines) <= rows
    assert max(cell_len(line.plain) for line in lines) <= columns


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (50, 20)])
def test_a_real_terminal_gets_them_too(yard: Yard, columns: int, rows: int) -> None:
    yard.busy()
    with yard.daemon():
        terminal = Terminal(yard, columns, rows, "status")
        assert terminal.end() == 0
    assert max(cell_len(line) for line in terminal.lines()) <= columns
    text = "\n".join(terminal.lines())
    assert "retry-uploader" in text and "db-schema" in text and "ticketd review approve last-asked" in text
    assert "\x1b[" in terminal.raw


def test_what_holds_an_agent_up_stands_below_it(yard: Yard) -> None:
    yard.ticket("a", touches=["a"])
    yard.sync()
    yard.session.store.held_up(yard.start("a", 1), "cannot be ended: 7 (cat)")
    with yard.daemon():
        document = document_of(yard)
    assert document["slots"][0]["held_up"] == "cannot be ended: 7 (cat)"
    lines = [line.plain.strip() for line in screen(document, 80, 24)]
    assert "cannot be ended: 7 (cat)" in lines[[line.startswith("1  a ") for line in lines].index(True) + 1]


def test_no_color_is_respected(yard: Yard) -> None:
    yard.busy()
    terminal = Terminal(yard, 80, 24, "status", NO_COLOR="1")
    assert terminal.end() == 0
    assert not any(f"\x1b[{colour}" in terminal.raw for colour in ("3", "9", "1;3"))


def test_a_pipe_gets_everything_in_plain_lines(yard: Yard) -> None:
    yard.busy()
    for number in range(60):
        yard.ticket(f"more-{number:02}", body="# " + "a long title " * 9, touches=["src/db/**"])
    with yard.daemon():
        answer = yard.run("status")
    assert "\x1b" not in answer.out and "more waiting" not in answer.out and "…" not in answer.out
    assert not any(0x2500 <= ord(character) < 0x2600 for character in answer.out), "box drawing"
    assert all(line == line.rstrip() for line in answer.out.splitlines())
    assert sum("more-" in line and "overlaps db-schema on src/db/a" in line for line in answer.out.splitlines()) == 60


def test_every_why_not_has_an_answer(yard: Yard) -> None:
    yard.busy()
    with yard.daemon():
        out = yard.run("status").out
    for said in (
        "3 behind, conflict src/db/schema.sql",
        "overlaps retry-uploader on src/upload/client.py",
        "after db-schema (running)",
        "`ticketd unhold on-hold` lets it go",
        "ticketd review approve first-asked  before it runs",
        "ticketd review approve last-asked   before it lands",
        "failed  broken: agent-failed after 1 attempt",
        "the agent ended with exit code 3",
        "ticketd logs broken; ticketd retry broken",
        "error  tickets/wrong.md:2",
        f"@ {BASE[:7]}",
        "on-its-way  queued",
        "4 queued  2 running  2 review  1 landing  0 landed  1 failed",
    ):
        assert said in out, said


def test_a_stall_is_shown_by_cause_with_its_mend(yard: Yard) -> None:
    yard.ticket("bad", touches=["/bad"], retries=0)
    for id_ in ("one", "two"):
        yard.ticket(id_, touches=[f"/{id_}"], depends_on=["bad"])
    yard.ticket("kept", touches=["/kept"])
    yard.sync()
    yard.finish(yard.start("bad", 1), Fail(Reason.AGENT_FAILED, "exit code 3"))
    yard.session.store.hold("kept", True, NOW)
    with yard.daemon():
        document, out = document_of(yard), yard.run("status").out
    assert [each["ticket"] for each in document["stalled"]] == ["kept", "one", "two"]
    assert out.partition("NOTHING RUNS AND NOTHING CAN\n")[2].splitlines()[:5] == [
        "  kept is held by a person",
        "    `ticketd unhold kept`",
        "    keeps kept",
        "  bad failed (agent-failed)",
        "    `ticketd logs bad` shows why; `ticketd retry bad` tries again",
    ]
    assert "    keeps one, two\n" in out
    for columns, rows in SIZES:
        lines = screen(document, columns, rows)
        assert len(lines) <= rows and max(cell_len(line.plain) for line in lines) <= columns
    assert document_of(yard)["stalled"] == [], "without a daemon that is no riddle"


def test_a_throttled_profile_is_told_with_its_reason_and_its_end(yard: Yard) -> None:
    yard.ticket("first", touches=["a/**"])
    yard.ticket("second", touches=["b/**"])
    yard.sync()
    store, now = yard.session.store, yard.session.clock.now()
    key = yard.start("first", 1)
    limited = Limited(("default",), now + 3600.0, "exit code 75")
    store.close_attempt(key, None, Requeue("later"), NOTHING_REPORTED, now, retire=False, capacity=limited)
    with yard.daemon():
        document, out = document_of(yard), yard.run("status").out
    until = queries.iso(now + 3600.0)
    assert document["throttles"] == [
        {"profile": "default", "until": until, "why": "rate limited: exit code 75", "limit": 1}
    ]
    assert f"! default: rate limited: exit code 75; until {clock(str(until))}; then 1 at a time" in out
    waits = [entry["waits_on"][0] for entry in document["queue"]]
    assert [(on["kind"], on["until"]) for on in waits] == [("backoff", until)] * 2
    assert yard.run("resume").code == 0
    assert document_of(yard)["throttles"] == []


def test_a_long_queue_is_cut_and_counted(yard: Yard) -> None:
    for number in range(60):
        yard.ticket(f"more-{number:02}", touches=["src/**"])
    yard.sync()
    lines = [line.plain for line in screen(document_of(yard), 80, 24)]
    shown = sum("more-" in line for line in lines)
    assert f"  … and {60 - shown} more waiting" in lines
    assert shown > 10


def test_narrow_terminals_drop_columns(yard: Yard) -> None:
    yard.busy()
    with yard.daemon():
        document = document_of(yard)
    heads = [
        next(line.plain for line in screen(document, width, 60) if "SLOT" in line.plain) for width in (200, 80, 50)
    ]
    assert [("TITLE" in head, "AGENT" in head, "DRIFT" in head) for head in heads] == [
        (True, True, True),
        (False, True, True),
        (False, False, True),
    ]


def test_titles_are_printed_as_they_are(yard: Yard) -> None:
    yard.ticket("evil", title="[red]alarm[/red] :bomb:", touches=["src/**"])
    for command in (["status"], ["list"], ["show", "evil"], ["plan"]):
        out = yard.run(*command).out
        assert command == ["plan"] or "[red]alarm[/red] :bomb:" in out


def test_what_others_wrote_does_not_reach_the_terminal_raw(yard: Yard) -> None:
    yard.busy()
    with yard.daemon():
        document = poisoned(document_of(yard))
    for width in (40, 80, 200, 100_000):
        text = "".join(line.plain for line in screen(document, width, 100))
        assert "\\x1b" in text
        assert not {"\x1b", "\x07", "\n", "\u202e"} & set(text)


def poisoned(value: Any, key: str = "") -> Any:
    """A document in which all that people, agents and git name has control characters in it."""
    if isinstance(value, dict):
        return {name: poisoned(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each, key) for each in value]
    names = (
        "title",
        "path",
        "detail",
        "ticket",
        "trouble",
        "paused_why",
        "what",
        "mend",
        "file",
        "drift_paths",
        "branch",
        "why",
        "making_way_for",
    )
    return f"{value}\x1b[2J\x07\n\u202e" if isinstance(value, str) and key in names else value


def test_a_paused_pool_says_so_first(yard: Yard) -> None:
    yard.ticket("first")
    yard.sync()
    yard.session.store.pause("paused by a person; `ticketd resume` goes on", NOW)
    with yard.daemon():
        lines = yard.run("status").out.splitlines()
    assert "paused (pid" in lines[0]
    assert lines[2] == "! paused: paused by a person; `ticketd resume` goes on"


def test_an_alarm_comes_before_all_else_until_a_person_resumes(yard: Yard) -> None:
    yard.ticket("a")
    yard.session.store.raise_alarm("a/1 changes what its ticket did not: x.py", NOW)
    assert "! ALARM, nothing lands: a/1 changes what its ticket did not: x.py" in yard.run("status").out
    assert yard.run("status", "--json").document()["daemon"]["alarm"]
    yard.run("resume")
    assert "ALARM" not in yard.run("status").out


def test_who_waits_for_one_verification_is_told_what_would_help(yard: Yard) -> None:
    keys = []
    for slot, id_ in enumerate("abcd", 1):
        yard.ticket(id_, touches=[f"/{id_}"])
        yard.sync()
        keys.append(yard.start(id_, slot))
        yard.finish(keys[-1], ToLanding())
    first = yard.session.store.landings()[0]
    yard.session.store.set_phases([replace(first, phase=Phase.VERIFYING)], NOW)
    assert "3 wait; `[landing] train = 4` verifies several together" in yard.run("status").out


def test_json_does_not_load_rich(yard: Yard) -> None:
    yard.busy()
    code = "import sys\nfrom ticketd.cli import main\ntry: main()\nfinally: print('rich' in sys.modules)"
    command = [sys.executable, "-c", code, "--repo", str(yard.root), "status", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[0])["schema"] == 1
    assert done.stdout.splitlines()[1] == "False"


def test_watch_and_json_do_not_go_together(yard: Yard) -> None:
    answer = yard.run("status", "--watch", "--json")
    assert (answer.code, answer.out) == (2, "")


def test_watch_on_a_terminal_is_a_screen_until_interrupted(yard: Yard) -> None:
    yard.ticket("first", touches=["src/**"])
    terminal = Terminal(yard, 80, 24, "status", "--watch")
    terminal.until("first")
    yard.ticket("second", touches=["src/**"])
    terminal.until("second")
    terminal.interrupt()
    assert terminal.end() == 130
    before, _, after = terminal.raw.rpartition("\x1b[?1049l")
    assert "\x1b[?1049h" in before, "on the alternate screen"
    assert "first" in after and "second" in after, "the last screen stays"
    assert "\x1b[2J" not in before.partition("first")[2], "no clearing, so no flicker"


def test_watch_on_a_terminal_that_can_show_no_screen_prints_lines(yard: Yard) -> None:
    yard.ticket("first", touches=["src/**"])
    terminal = Terminal(yard, 80, 24, "status", "--watch", TERM="dumb")
    terminal.until("first")
    terminal.interrupt()
    assert terminal.end() == 130
    assert "\x1b[?1049h" not in terminal.raw


def test_no_other_command_pays_for_the_screen(yard: Yard) -> None:
    code = "import sys\nfrom ticketd.cli import main\ntry: main()\nfinally: print('textual' in sys.modules)"
    command = [sys.executable, "-c", code, "--repo", str(yard.root), "status"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.endswith("False\n")


def test_watch_in_a_pipe_prints_a_block_for_each_change(yard: Yard) -> None:
    yard.ticket("first", touches=["src/**"])
    command = [sys.executable, "-um", "ticketd", "--repo", str(yard.root), "status", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while "first" not in lines[-1]:
            lines.append(process.stdout.readline())
        yard.ticket("second", touches=["src/**"])
        while "second" not in lines[-1]:
            lines.append(process.stdout.readline())
        process.send_signal(2)
        lines += process.communicate()[0].splitlines()
    assert process.returncode == 130
    assert sum("no daemon runs (`ticketd start`)" in line for line in lines) == 2


def test_time_that_passes_is_no_change(yard: Yard) -> None:
    yard.busy()
    document = document_of(yard)
    later = {**document, "at": "2030-01-01T00:00:00Z"}
    assert settled(later) == settled(document)
    assert settled({**document, "cost_usd": 1.0}) != settled(document)


def test_the_display_tells_events_in_words(yard: Yard) -> None:
    yard.ticket("first", touches=["src/**"])
    yard.sync()
    with Display(yard.session, settings_of(yard.session)[0]):
        yard.start("first", 1)
        yard.session.store.pause("for lunch", NOW)
    told = [line[9:] for line in yard.capsys.readouterr().out.splitlines()]
    assert told == ["first             starts in slot 1", " " * 18 + "the pool is paused: for lunch"]


def test_a_display_that_fails_hurts_nobody(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Teller, "line", lambda *_: 1 / 0)
    with Display(yard.session, settings_of(yard.session)[0]):
        yard.session.store.pause("for lunch", NOW)
    assert "the daemon goes on without it" in caplog.text


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_kind_of_event_that_is_told_has_words_for_a_pool_and_a_ticket(kind: EventKind) -> None:
    texts = (
        "path",
        "what",
        "detail",
        "how",
        "worktree",
        "gate",
        "commit",
        "onto",
        "reason",
        "because",
        "priority",
        "why",
        "new",
        "drift",
        "profile",
        "with",
    )
    data = {**dict.fromkeys(texts, "x"), "paths": ["a"], "slot": 1, "slots": 1, "pid": 1, "trouble": "", "until": NOW}
    for ticket in ("some-id", None):
        told = Teller().line(Event(1, NOW, kind, ticket, 2 if ticket else None, data))
        assert told is None or told.isprintable()


def test_ticketds_own_landing_is_not_told_twice() -> None:
    teller = Teller()
    landed = Event(1, NOW, EventKind.LANDED, "first", 1, {"commit": "a" * 40, "detail": ""})
    assert (teller.line(landed) or "").endswith("first             landed as aaaaaaa")
    assert teller.line(Event(2, NOW, EventKind.TARGET_MOVED, data={"new": "a" * 40})) is None
    assert teller.line(Event(3, NOW, EventKind.TARGET_MOVED, data={"new": "b" * 40})) is not None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0s"), (59.4, "59s"), (59.6, "1m00s"), (3599, "59m59s"), (7260, "2h01m"), (90000, "1d01h")],
)
def test_durations_are_short(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_ages_have_one_unit() -> None:
    assert [age(seconds) for seconds in (5, 180, 7200, 200_000)] == ["5s", "3m", "2h", "2d"]


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ({"kind": "reserved", "ticket": "a", "path": "x"}, "behind a (reserved) on x"),
        ({"kind": "dependency", "ticket": "a", "detail": "running"}, "after a (running)"),
        ({"kind": "dependency", "ticket": "a", "detail": "failed (timeout)"}, "after a, which failed (timeout)"),
        ({"kind": "backoff", "detail": "busy", "until": "2026-01-01T00:00:12Z"}, "backoff 12s: busy"),
        ({"kind": "slot"}, "all slots are taken"),
        ({"kind": "scope-cap", "detail": "scope acme runs 3 at a time"}, "scope acme runs 3 at a time"),
        ({"kind": "budget"}, "budget"),
    ],
)
def test_each_wait_has_words(on: dict[str, str], said: str) -> None:
    assert one_wait(on, "2026-01-01T00:00:00Z") == said


@pytest.mark.parametrize(
    ("output_at", "heartbeat_at", "said"),
    [
        ("00:09:55", "00:10:00", "5s ago"),
        ("00:07:00", "00:10:00", "quiet 3m"),
        ("00:09:55", "00:09:00", "no heartbeat 1m"),
    ],
)
def test_an_agents_silence_is_shown(output_at: str, heartbeat_at: str, said: str) -> None:
    slot = {
        "phase": "running",
        "output_at": f"2026-01-01T{output_at}Z",
        "heartbeat_at": f"2026-01-01T{heartbeat_at}Z",
        "started_at": "2026-01-01T00:00:00Z",
        "output_bytes": 5,
    }
    assert output_words(slot, "2026-01-01T00:10:00Z") == said


def test_names_that_are_not_text_are_shown_escaped() -> None:
    assert safe(os.fsdecode(b"caf\xe9\n")) == "caf\\udce9\\n"
    assert safe("größe 火") == "größe 火"
    assert ESCAPES.sub("", safe("\x1b[31mred")) == "\\x1b[31mred"
