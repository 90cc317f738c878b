"""`ticketd logs`, and what of an agent's output reaches a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from eyes_yard import NOW, Terminal, Yard

from ticketd.agents import PRESETS
from ticketd.cli.render.raw import TerminalText
from ticketd.cli.speech import MOST_OF_A_LINE, Speech
from ticketd.cli.speech import spoken as told_of
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.ticket import Reason
from ticketd.domain.verdict import Fail, Requeue, ToLanding
from ticketd.ports import Said
from ticketd.ports.agents import SaidKind

WILD = b"\x1b[31mred\x1b[0m \x1b]0;title\x07 \xff tab\there\r\nnext\x1b[2J"
TAMED = "\x1b[31mred\x1b[0m \\x1b]0;title\\x07 \ufffd tab\there\nnext\\x1b[2J"


@pytest.fixture
def ran(yard: Yard) -> Yard:
    """One ticket with two attempts, the second over."""
    yard.ticket("first", touches=["src/**"])
    yard.sync()
    yard.finish(key := yard.start("first", 1), Requeue("once more"))
    yard.log(key, b"one\n")
    yard.finish(key := yard.start("first", 1), Fail(Reason.VERIFY_FAILED, "no"))
    yard.log(key, WILD)
    yard.log(key, b"2 tests failed\n", "verify")
    return yard


def piped(yard: Yard, *arguments: str) -> bytes:
    command = [sys.executable, "-m", "ticketd", "--repo", str(yard.root), "logs", *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_a_pipe_gets_the_bytes_as_they_are(ran: Yard) -> None:
    assert piped(ran, "first") == WILD
    assert piped(ran, "first", "--attempt", "1") == b"one\n"
    assert piped(ran, "first", "--verify") == b"2 tests failed\n"


def test_a_terminal_gets_nothing_it_would_obey_but_colours(ran: Yard) -> None:
    terminal = Terminal(ran, 80, 24, "logs", "first")
    assert terminal.end() == 0
    assert terminal.raw.replace("\r\n", "\n") == TAMED + "\x1b[0m"


def test_colours_are_left_out_on_request(ran: Yard) -> None:
    terminal = Terminal(ran, 80, 24, "logs", "first", NO_COLOR="1")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.raw and "red" in terminal.raw


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_it_does_not_matter_how_output_is_cut_into_pieces(size: int) -> None:
    text = TerminalText(colours=True)
    shown = "".join(text.feed(WILD[at : at + size]) for at in range(0, len(WILD), size))
    assert shown + text.feed(b"", final=True) == TAMED + "\x1b[0m"


def test_an_escape_that_never_ends_is_shown() -> None:
    text = TerminalText(colours=True)
    assert text.feed(b"\x1b[31") + text.feed(b"", final=True) == "\\x1b[31"


def test_a_ticket_that_has_not_run_says_so(yard: Yard) -> None:
    yard.ticket("first")
    answer = yard.run("logs", "first")
    assert (answer.code, answer.out) == (0, "")
    assert "has not run yet" in answer.err


def test_an_agent_that_is_silent_yet_says_so(yard: Yard) -> None:
    yard.ticket("first")
    yard.sync()
    yard.start("first", 1)
    answer = yard.run("logs", "first")
    assert (answer.code, answer.out) == (0, "")
    assert "has said nothing yet" in answer.err


def test_what_is_not_there_is_refused(ran: Yard) -> None:
    unknown = ran.run("logs", "frist")
    assert unknown.code == 2 and "Did you mean `first`?" in unknown.err
    assert ran.run("show", "frist").code == 2
    attempt = ran.run("logs", "first", "--attempt", "3")
    assert attempt.code == 2 and "has no attempt 3" in attempt.err


def test_following_ends_with_the_attempt(yard: Yard) -> None:
    yard.ticket("first")
    yard.sync()
    key = yard.start("first", 1)
    log = yard.log(key, b"begun\n")
    terminal = Terminal(yard, 80, 24, "logs", "-f", "first")
    terminal.until("begun")
    append(log, b"going on\n")
    terminal.until("going on")
    append(log, b"done\n")
    yard.finish(key, ToLanding())
    assert terminal.end() == 0
    assert terminal.raw == "begun\r\ngoing on\r\ndone\r\n"


def test_following_a_verification_ends_with_the_landing(yard: Yard) -> None:
    yard.ticket("first")
    yard.sync()
    key = yard.start("first", 1)
    yard.finish(key, ToLanding())
    yard.log(key, b"testing\n", "verify")
    terminal = Terminal(yard, 80, 24, "logs", "-f", "--verify", "first")
    terminal.until("testing")
    yard.session.store.landing_failed(key, Fail(Reason.VERIFY_FAILED, "no"), NOW)
    assert terminal.end() == 0


def test_one_document_has_the_text(ran: Yard) -> None:
    document = ran.run("logs", "first", "--json").document()
    assert (document["attempt"], document["over"]) == (2, True)
    assert document["text"].endswith("next\x1b[2J")
    assert ran.run("logs", "first", "--json", "-f").code == 2


# --- what an agent said and did ---


@pytest.fixture
def speaking(yard: Yard) -> tuple[Yard, AttemptKey, Path]:
    """An agent whose log is JSON lines runs, and has begun to speak."""
    (yard.root / "ticketd.toml").write_text('[agents.default]\npreset = "claude"\n')
    yard.ticket("first", touches=["src/**"])
    yard.sync()
    key = yard.start("first", 1)
    return yard, key, yard.log(key, spoken("text", text="I look around"))


def spoken(type_: str, **more: object) -> bytes:
    message = {"id": "m1", "model": "m", "role": "assistant", "content": [{"type": type_, **more}]}
    return json.dumps({"type": "assistant", "message": message, "session_id": "s"}).encode() + b"\n"


def test_logs_tell_what_an_agent_said_and_did(speaking: tuple[Yard, AttemptKey, Path]) -> None:
    yard, _, log = speaking
    append(log, spoken("tool_use", id="t1", name="Bash", input={"command": "npm test"}))
    lines = yard.run("logs", "first").out.splitlines()
    assert lines[0] == "I look around"
    assert lines[1].startswith("> ") and "npm test" in lines[1]
    assert piped(yard, "first", "--raw") == log.read_bytes()
    assert yard.run("logs", "first", "--json").document()["text"] == log.read_text()


def test_a_log_without_a_word_points_to_the_raw_one(speaking: tuple[Yard, AttemptKey, Path]) -> None:
    yard, _, log = speaking
    log.write_bytes(b"{}\n")
    answer = yard.run("logs", "first")
    assert answer.out == "" and "`ticketd logs first --raw`" in answer.err


def test_attach_follows_an_agent_until_it_ends(speaking: tuple[Yard, AttemptKey, Path]) -> None:
    yard, key, log = speaking
    terminal = Terminal(yard, 80, 24, "attach", "first")
    terminal.until("I look around")
    append(log, spoken("text", text="All done"))
    terminal.until("All done")
    yard.finish(key, ToLanding())
    assert terminal.end() == 0
    assert "its agent has ended: exit code 0" in terminal.raw
    refused = yard.run("attach", "first")
    assert refused.code == 2 and "no agent works on it" in refused.err


def test_an_interrupted_attach_leaves_the_agent_alone(speaking: tuple[Yard, AttemptKey, Path]) -> None:
    yard, key, log = speaking
    append(log, spoken("text", text="\n".join(f"line {number}" for number in range(30))))
    terminal = Terminal(yard, 80, 24, "attach", "first")
    terminal.until("line 29")
    terminal.interrupt()
    assert terminal.end() == 130
    assert "line 9" not in terminal.raw and "line 10\r\n" in terminal.raw, "only the last of what was said before"
    assert yard.session.store.attempt(key).state == "running"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_is_said_is_read_line_by_line_however_it_comes(size: int) -> None:
    log = spoken("text", text="größe\x1b[2J") + b"x" * (MOST_OF_A_LINE + 9) + b"\n" + spoken("text", text="two")
    speech = Speech(PRESETS["claude"])
    pieces = [log[at : at + size * 1000] for at in range(0, len(log), size * 1000)]
    lines = [each.text for piece in (*pieces, b"") for each in speech.feed(piece, final=not piece)]
    assert lines[0].startswith("größe") and lines[-1] == "two"
    assert not any("\x1b" in each for each in lines)


def test_of_a_result_only_the_beginning_is_told() -> None:
    result = Said(SaidKind.RESULT, "\n".join("abcdef"), failed=True)
    assert [each.text for each in told_of(result)] == ["  | failed: a", "  | b", "  | c", "  | and 3 more lines"]


def append(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, content)
    os.close(fd)
