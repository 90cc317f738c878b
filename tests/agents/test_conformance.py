"""What ticketd relies on with every agent CLI. One that is new needs its recordings, and nothing here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import WANTED, Recording, exited, recordings

from ticketd.agents import PRESETS
from ticketd.domain.report import NOTHING_REPORTED, Report, as_told, report_of
from ticketd.domain.settings import AgentProfile
from ticketd.ports import Agent, AgentResult, Exited, Launch, Said, SaidKind, Task

REAL = [agent for agent in PRESETS.values() if agent.program]
SPEAKING = [agent for agent in REAL if agent.reads_lines]
LONGEST_ARGUMENT = 100_000
BRIEF = "Retry failed uploads.\n" * 20
PERSON = "/home/ada"
ENDED = {"code 1": exited(1), "code 143": exited(143), "killed": exited(signal=9), "unknown": None}

each_agent = pytest.mark.parametrize("agent", REAL, ids=lambda agent: agent.name)
each_speaking = pytest.mark.parametrize("agent", SPEAKING, ids=lambda agent: agent.name)
each_recording = pytest.mark.parametrize("recording", tuple(recordings()), ids=str)


def tasks(agent: Agent, home: Path) -> Iterator[Task]:
    """All that a task may say, each in its turn."""
    home.mkdir(exist_ok=True)
    brief = home.parent / "brief.md"
    brief.write_text(BRIEF)
    person = {"PATH": "/usr/bin:/bin", "HOME": PERSON}
    keyed = {**person, **{name: f"secret-of-{name}" for name in agent.keys}}
    pointed = {**keyed, **dict.fromkeys(agent.variables, "http://127.0.0.1:8411/v1")}
    profile = AgentProfile("some", agent.name, model="provider/model-1", args=("--its-own", "argument"))
    for own_home in (True, False):
        for environ in (person, keyed, pointed):
            task = Task(profile, brief, home, own_home, environ, fresh="2f0c6c4e-3a6c-4b0e-9f0e-6f4f5d8e7a10")
            yield task
            yield replace(task, budget_usd=0.25)
            yield replace(task, profile=replace(profile, command=("/opt/its/wrapper", "--then"), args=(), model=None))
            if agent.resumes:
                yield replace(task, session="0b7c9f64-2a4e-4d0b-8d61-30f5d2f8a911")


def launches(agent: Agent, tmp_path: Path) -> Iterator[tuple[Task, Launch]]:
    for task in tasks(agent, tmp_path / "agent-home"):
        yield task, agent.launch(task)


def read(agent: Agent, recording: Recording) -> AgentResult:
    return agent.read_result(recording.exited, recording.log, recording.home)


def said(agent: Agent, lines: list[str]) -> list[Said]:
    return [each for line in lines for each in agent.read(line)]


@pytest.mark.parametrize("agent", PRESETS.values(), ids=lambda agent: agent.name)
def test_it_tells_what_it_is(agent: Agent) -> None:
    assert PRESETS[agent.name] is agent
    assert isinstance(agent.program, str)
    assert agent.resumes in (True, False)
    assert agent.reads_lines in (True, False)
    assert agent.resumes or not agent.resumes_elsewhere
    assert all(name.isupper() for name in (*agent.keys, *agent.variables))


@each_agent
def test_it_can_be_told_from_its_recordings(agent: Agent) -> None:
    missing = {*WANTED} - {each.case for each in recordings(agent=agent.name)}
    assert not missing, f"record {missing} of {agent.name}: see wiki/_global/adding-an-agent.md"


@each_agent
def test_it_is_started_by_its_program_or_by_what_the_profile_names_instead(agent: Agent, tmp_path: Path) -> None:
    for task, launch in launches(agent, tmp_path):
        program = task.profile.command or (agent.program,)
        assert launch.argv[: len(program)] == program


@each_agent
def test_what_the_profile_adds_is_in_its_command_line(agent: Agent, tmp_path: Path) -> None:
    for task, launch in launches(agent, tmp_path):
        wanted = task.profile.args
        assert any(launch.argv[at : at + len(wanted)] == wanted for at in range(len(launch.argv)))


@each_agent
def test_no_key_is_in_its_command_line(agent: Agent, tmp_path: Path) -> None:
    for _, launch in launches(agent, tmp_path):
        assert not [argument for argument in launch.argv if "secret-of-" in argument]


@each_agent
def test_no_key_is_in_the_files_it_is_given(agent: Agent, tmp_path: Path) -> None:
    for _, launch in launches(agent, tmp_path):
        assert not [path for path, text in launch.files.items() if "secret-of-" in text]


@each_agent
def test_its_brief_is_in_its_command_line_only_where_it_cannot_read_it(agent: Agent, tmp_path: Path) -> None:
    for _, launch in launches(agent, tmp_path):
        if launch.reads_brief:
            assert BRIEF.strip() not in " ".join(launch.argv)


@each_agent
def test_no_argument_is_longer_than_a_system_takes(agent: Agent, tmp_path: Path) -> None:
    for task in tasks(agent, tmp_path / "agent-home"):
        task.brief.write_text(BRIEF * 1000)
        assert max(len(argument.encode()) for argument in agent.launch(task).argv) < LONGEST_ARGUMENT


@each_agent
def test_the_files_it_wants_are_below_its_home(agent: Agent, tmp_path: Path) -> None:
    for task, launch in launches(agent, tmp_path):
        for path in launch.files:
            assert (task.home / path).resolve().is_relative_to(task.home.resolve()), path


@each_agent
def test_a_home_of_its_own_is_told_to_it(agent: Agent, tmp_path: Path) -> None:
    for task, launch in launches(agent, tmp_path):
        if task.own_home:
            assert str(task.home) in " ".join((*launch.argv, *launch.env.values()))


@each_agent
def test_nothing_it_is_told_points_into_the_home_of_the_person(agent: Agent, tmp_path: Path) -> None:
    for _, launch in launches(agent, tmp_path):
        assert PERSON not in " ".join((*launch.argv, *launch.env, *launch.env.values(), *launch.files.values()))


@each_agent
def test_a_session_is_gone_on_with_by_its_name(agent: Agent, tmp_path: Path) -> None:
    for task, launch in launches(agent, tmp_path):
        assert (task.session is None) or task.session in " ".join(launch.argv)


@each_recording
def test_a_recording_comes_to_what_it_should(recording: Recording) -> None:
    result = read(PRESETS[recording.agent], recording)
    told = recording.told
    assert (result.outcome, result.until, result.whole_session) == (
        told["outcome"],
        told.get("until"),
        told["whole_session"],
    )
    assert told["detail"] in result.detail
    assert result.report == report_of(told["report"])


@each_recording
def test_a_recording_tells_of_no_place_of_the_machine_that_made_it(recording: Recording) -> None:
    text = recording.log.read_text(encoding="utf-8")
    assert not [place for place in ("/tmp/", "/root/", "/home/", "/work/") if place in text.replace("", "")]


@each_agent
def test_a_limit_of_its_provider_is_later_and_a_key_that_is_none_is_not(agent: Agent) -> None:
    for case, outcome in (
        ("rate-limited", "later"),
        ("overloaded", "later"),
        ("plan-limit", "later"),
        ("auth", "failed"),
    ):
        for recording in recordings(case, agent.name):
            result = read(agent, recording)
            assert (result.outcome, result.unusable) == (outcome, case == "auth"), recording


@each_agent
def test_nothing_but_a_good_end_is_done(agent: Agent, tmp_path: Path) -> None:
    """As if it had been cut off before its last words, and yet had ended with exit code 0."""
    (done,) = recordings("done", agent.name)
    lines = done.lines()
    ends = [number for number, line in enumerate(lines) if any(each.kind is SaidKind.TEXT for each in agent.read(line))]
    log = tmp_path / "log"
    for end in range(max(ends, default=0) + 1):
        log.write_text("".join(f"{line}\n" for line in lines[:end]), encoding="utf-8")
        assert agent.read_result(exited(0), log, tmp_path / "none").outcome != "done", f"after {end} lines"


@each_agent
def test_one_that_wrote_nothing_is_not_done(agent: Agent, tmp_path: Path) -> None:
    assert agent.read_result(exited(0), tmp_path / "none", tmp_path / "none").outcome == "failed"


@each_agent
@pytest.mark.parametrize("ended", ENDED.values(), ids=ENDED)
def test_a_good_end_is_not_done_if_the_exit_was_not(agent: Agent, ended: Exited | None) -> None:
    (done,) = recordings("done", agent.name)
    result = agent.read_result(ended, done.log, done.home)
    assert result.outcome == "failed"
    assert result.report == read(agent, done).report
    assert result.detail


@each_speaking
def test_one_that_is_ended_keeps_its_session_and_what_it_has_used(agent: Agent) -> None:
    (hang,) = recordings("hang", agent.name)
    for ended in (hang.exited, exited(signal=9), None):
        report = agent.read_result(ended, hang.log, hang.home).report
        assert report.usage
        assert (report.session is not None) or not agent.resumes


@each_speaking
def test_it_says_what_it_does_in_single_lines(agent: Agent) -> None:
    (done,) = recordings("done", agent.name)
    told = said(agent, done.lines())
    assert SaidKind.TEXT in {each.kind for each in told}
    for each in told:
        if each.kind in (SaidKind.ACTION, SaidKind.RESULT, SaidKind.TROUBLE):
            assert "\n" not in each.text
            assert len(each.text) <= 300


@each_agent
def test_it_tells_people_what_its_provider_complains_of(agent: Agent) -> None:
    for recording in recordings("rate-limited", agent.name):
        assert not agent.reads_lines or SaidKind.TROUBLE in {each.kind for each in said(agent, recording.lines())}
        assert read(agent, recording).detail


RUBBISH = {
    "a line of 10 MB": b'{"type": "result", "result": "' + b"x" * 10**7 + b'"}\n',
    "a line without an end": b"y" * 17 * 2**20,
    "no text": bytes(range(256)) * 100,
    "deep": b'{"a":' * 100_000 + b"\n" + b"[" * 100_000,
    "half characters": rb'{"type": "result", "result": "\ud800", "session_id": "\udfff", "is_error": false}' + b"\n",
    "numbers": b'{"type": "result", "total_cost_usd": NaN, "num_turns": 1e999, "usage": {"input_tokens": '
    + b"9" * 5000
    + b"}}\n",
    "an option for a session": b'{"type": "result", "session_id": "--dangerous", "sessionId": "-x", "id": "../../x"}\n',
}


@each_agent
@pytest.mark.parametrize("rubbish", RUBBISH)
def test_rubbish_is_no_error(agent: Agent, rubbish: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(RUBBISH[rubbish])
    result = agent.read_result(exited(0), log, tmp_path)
    assert can_be_kept(result.report)
    assert result.report.session is None
    said(agent, RUBBISH[rubbish].decode("utf-8", "replace").split("\n"))


def can_be_kept(report: Report) -> bool:
    """In the store and in an event; and it says what a number of tokens may be."""
    json.dumps(as_told(report), allow_nan=False, ensure_ascii=False).encode()
    return all(
        isinstance(count, int) and 0 <= count < 2**62
        for each in report.usage
        for count in (each.input, each.output, each.cache_read, each.cache_write)
    )


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["success", "stop", "error"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@cache
def recorded(name: str) -> list[str]:
    return [line for recording in recordings(agent=name) for line in recording.lines()]


@st.composite
def bent(draw: st.DrawFn, name: str) -> bytes:
    """Lines that the agent has printed, in any order, with any value in the place of another; and noise."""
    lines = draw(st.lists(st.sampled_from(recorded(name)), min_size=1, max_size=6))
    return b"\n".join(
        draw(st.binary(max_size=20)) if draw(st.integers(0, 5)) == 0 else _bend(draw, line) for line in lines
    )


def _bend(draw: st.DrawFn, line: str) -> bytes:
    try:
        value = json.loads(line)
    except ValueError:
        return line.encode()
    where, inner = [], value
    while isinstance(inner, dict | list) and inner and len(where) < draw(st.integers(1, 5)):
        where.append(draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner)))))
        inner = inner[where[-1]]
    if where:
        holder = value
        for step in where[:-1]:
            holder = holder[step]
        holder[where[-1]] = draw(ANYTHING)
    return json.dumps(value).encode()


@each_agent
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_no_line_is_an_error_whatever_is_in_it(agent: Agent, data: st.DataObject, tmp_path: Path) -> None:
    text = data.draw(bent(agent.name))
    log = tmp_path / "log"
    log.write_bytes(text)
    for line in text.decode("utf-8", "replace").split("\n"):
        for each in agent.read(line):
            each.text.encode()
    result = agent.read_result(exited(data.draw(st.sampled_from([0, 1]))), log, tmp_path)
    assert result.outcome in ("done", "later", "failed")
    result.detail.encode()
    assert can_be_kept(result.report)


def test_nothing_reported_can_be_kept() -> None:
    assert can_be_kept(NOTHING_REPORTED)


@each_agent
def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(agent: Agent, tmp_path: Path) -> None:
    """An agent writes below its home what it likes."""
    (hang,) = recordings("hang", agent.name)
    for file in [each for each in hang.home.rglob("*") if each.is_file()]:
        pipe = tmp_path / file.relative_to(hang.home)
        pipe.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(pipe)
    assert agent.read_result(hang.exited, hang.log, tmp_path).outcome == "failed"
