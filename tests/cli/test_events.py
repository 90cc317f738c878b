"""`ticketd events`: what has happened, in words and as JSON, and while it goes on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from eyes_yard import NOW, Terminal, Yard

from ticketd.cli.render.told import STALL_LINES, Teller
from ticketd.domain.events import Event, EventKind
from ticketd.domain.ticket import Reason
from ticketd.domain.verdict import Fail, Requeue


@pytest.fixture
def ran(yard: Yard) -> Yard:
    """One ticket made way and failed later; another was cancelled."""
    yard.ticket("first", touches=["/first"])
    yard.ticket("second", touches=["/second"])
    yard.sync()
    key = yard.start("first", 1)
    yard.session.store.preempt(key, "second", NOW)
    yard.finish(key, Requeue("it made way", preempted=True))
    yard.finish(yard.start("first", 2), Fail(Reason.TIMEOUT, "too long"))
    yard.session.store.cancel("second", NOW)
    return yard


def said(text: str) -> list[str]:
    """The lines without their times, blanks as one."""
    return [" ".join(line[20:].split()) for line in text.splitlines()]


def test_each_event_is_a_line_with_its_day(ran: Yard) -> None:
    answer = ran.run("events")
    assert answer.code == 0
    lines = said(answer.out)
    assert "first starts in slot 1" in lines
    assert "first makes way for second: its agent is ended, its work is kept" in lines
    assert "first starts in slot 2 (attempt 2), going on from ccccccc" in lines
    assert "first failed: timeout: too long" in lines
    assert "second is cancelled: cancelled by a person" in lines
    assert all(line.startswith("20") and line[4] == "-" for line in answer.out.splitlines())


def test_one_ticket_alone(ran: Yard) -> None:
    lines = said(ran.run("events", "--ticket", "second").out)
    assert lines and all(line.startswith("second ") for line in lines)
    unknown = ran.run("events", "--ticket", "secnd")
    assert unknown.code == 2 and "Did you mean `second`?" in unknown.err


def test_json_has_every_event_also_those_without_words(ran: Yard) -> None:
    document = ran.run("events", "--json").document()
    assert document["schema"] == 1
    numbers = [event["number"] for event in document["events"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert {"started", "work-kept", "preempted"} <= {event["kind"] for event in document["events"]}
    own = ran.run("events", "--json", "--ticket", "first").document()["events"]
    assert {event["ticket"] for event in own} == {"first"}


def test_more_events_than_are_read_at_once_are_all_told(yard: Yard) -> None:
    for number in range(1100):
        yard.session.store.note(EventKind.RECOVERED, NOW, mended=f"number {number}")
    events = yard.run("events", "--json").document()["events"]
    assert [event["mended"] for event in events if event["kind"] == "recovered"][-1] == "number 1099"


def test_following_tells_what_happens_until_interrupted(yard: Yard) -> None:
    yard.ticket("first", touches=["/first"])
    yard.sync()
    terminal = Terminal(yard, 100, 24, "events", "-f")
    terminal.until("is new in the queue")
    yard.start("first", 1)
    terminal.until("starts in slot 1")
    terminal.interrupt()
    assert terminal.end() == 130
    assert "Traceback" not in terminal.raw


def test_following_as_json_is_a_line_each(yard: Yard) -> None:
    yard.ticket("first", touches=["/first"])
    yard.sync()
    command = [sys.executable, "-um", "ticketd", "--repo", str(yard.root), "events", "-f", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        kinds = []
        while "ticket-added" not in kinds:
            kinds.append(json.loads(process.stdout.readline())["kind"])
        yard.start("first", 1)
        while "dispatched" not in kinds:
            kinds.append(json.loads(process.stdout.readline())["kind"])
        process.send_signal(2)
        process.communicate()
    assert process.returncode == 130


def test_a_reader_that_goes_away_early_is_no_error(ran: Yard) -> None:
    for number in range(5000):
        ran.session.store.note(EventKind.RECOVERED, NOW, mended=f"number {number}")
    command = [sys.executable, "-m", "ticketd", "--repo", str(ran.root), "events"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


def test_a_stall_is_told_in_full_up_to_a_screen() -> None:
    tickets = [{"ticket": f"t{n}", "why": "bad failed\x1b", "mend": "retry it"} for n in range(STALL_LINES + 3)]
    lines = list(Teller().lines(Event(1, NOW, EventKind.STALLED, data={"tickets": tickets})))
    assert lines[0].endswith("nothing runs and nothing can; 23 tickets stand still:")
    assert lines[1] == "  t0: bad failed\\x1b; retry it"
    assert lines[-1] == "  and 3 more: `ticketd status`"
    assert len(lines) == STALL_LINES + 2


def test_what_a_shadow_would_have_done_is_told() -> None:
    line = Teller().line(Event(1, NOW, EventKind.SHADOW_DIFFERED, data={"starts": ["a", "b"], "shadow": []}))
    assert (line or "").endswith("the shadow policy would start nothing; started: a, b")


def test_what_keeps_work_from_landing_is_told_once_for_each_try() -> None:
    def told(phase: str) -> str | None:
        data = {"phase": phase, "trouble": "no answer", "candidate": None}
        return Teller().line(Event(1, NOW, EventKind.LANDING_PHASE, "a", 1, data=data))

    assert "waits to land: no answer" in (told("waiting") or "")
    assert told("queued") is None
