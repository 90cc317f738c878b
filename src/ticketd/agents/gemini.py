"""Gemini CLI. It exits 0 on signals, and with the last eight bits of an HTTP status on errors: its result tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from ticketd.agents.actions import action_line
from ticketd.agents.jsonlines import (
    MOST_SAID,
    Record,
    at,
    count_at,
    items_at,
    lines_of,
    members_at,
    one_line,
    plain,
    record_of,
    session_at,
    text_at,
)
from ticketd.agents.provider import Trouble
from ticketd.agents.story import Story
from ticketd.domain.report import Usage
from ticketd.ports import AgentResult, Exited, Launch, Said, SaidKind, Task

# Without trust it exits 55; with its relaunch on, a signal reaches the launcher only.
QUIET = {"GEMINI_CLI_TRUST_WORKSPACE": "true", "GEMINI_CLI_NO_RELAUNCH": "true", "NO_BROWSER": "1"}
HOME = "gemini"


LOOPS = "Loop detected"
"""A warning, after which it says that all went well."""


class GeminiAgent:
    """Satisfies `ports.Agent`. Where it has no home of its own, it goes on asking a provider that refuses for minutes:
    that is a setting, and no argument or variable will do (settings of the system it reads from root's places only)."""

    name = "gemini"
    program = "gemini"
    keys: tuple[str, ...] = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    variables: tuple[str, ...] = ("GOOGLE_GEMINI_BASE_URL", "GOOGLE_CLOUD_PROJECT", "GEMINI_MODEL")
    logins: tuple[str, ...] = (".gemini/oauth_creds.json",)
    resumes = True
    resumes_elsewhere = False
    reads_lines = True
    tells_usage = False

    def launch(self, task: Task) -> Launch:
        profile = task.profile
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                *("--approval-mode", "yolo", "--output-format", "stream-json"),
                *(("--model", profile.model) if profile.model else ()),
                *(("--resume", task.session) if task.session else ()),
                *profile.args,
            ),
            env={
                **{name: value for name, value in QUIET.items() if name not in task.environ},
                **({"GEMINI_CLI_HOME": str(task.home / HOME)} if task.own_home else {}),
            },
            files={f"{HOME}/.gemini/settings.json": _settings(task)} if task.own_home else {},
        )

    def read(self, line: str) -> Iterable[Said]:
        record = record_of(line)
        return tuple(_said(record)) if record is not None else ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        story = Story()
        speaks = False
        for line in lines_of(log):
            record = record_of(line)
            if record is None:
                story.put_aside(line)
                continue
            story.session = session_at(record, "session_id") or story.session
            # What it says comes in pieces; anything else in between ends it.
            text = text_at(record, "content") if _speaks(record) else ""
            story.said = (story.said + text)[-2 * MOST_SAID :] if speaks and text else text or story.said
            speaks = bool(text)
            if record.get("type") == "result":
                _end(story, record)
            elif record.get("type") == "error" and record.get("severity") == "error":
                story.trouble = Trouble(text_at(record, "message"))
            elif record.get("type") == "error" and text_at(record, "message").startswith(LOOPS):
                story.failure = "its model did the same again and again, and was stopped"
        if not story.usage:
            _take_session(story, home)
        return story.result(exited, log)


def _settings(task: Task) -> str:
    settings = {
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False, "maxAttempts": 1},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        **({"security": {"auth": {"selectedType": "gemini-api-key"}}} if "GEMINI_API_KEY" in task.environ else {}),
    }
    return json.dumps(settings, indent=2) + "\n"


def _speaks(record: Record) -> bool:
    return record.get("type") == "message" and record.get("role") == "assistant"


def _said(record: Record) -> Iterator[Said]:
    match record.get("type"):
        case "message" if _speaks(record) and (text := text_at(record, "content")):
            yield Said(SaidKind.TEXT, text)
        case "tool_use":
            yield Said(SaidKind.ACTION, action_line(text_at(record, "tool_name"), at(record, "parameters")))
        case "tool_result":
            told = text_at(record, "error", "message") or text_at(record, "output")
            yield Said(SaidKind.RESULT, one_line(told), failed=record.get("status") != "success")
        case "error":
            yield Said(SaidKind.TROUBLE, one_line(text_at(record, "message")))
        case "result" if record.get("status") != "success":
            yield Said(SaidKind.TROUBLE, one_line(text_at(record, "error", "message")))


def _end(story: Story, record: Record) -> None:
    story.finished = record.get("status") == "success"
    spent = [_used(plain(model), used) for model, used in members_at(record, "stats", "models").items()]
    story.usage = {each.model: each for each in spent if each != Usage(each.model)}
    if story.finished:
        story.trouble = None
    elif message := text_at(record, "error", "message") or (None if story.trouble else "it ended in an error"):
        story.trouble = Trouble(message)


def _used(model: str, used: object) -> Usage:
    """What came from the cache is counted as input by it as well; what it has thought is not counted as output."""
    cached, given = count_at(used, "cached"), count_at(used, "input_tokens")
    output = max(count_at(used, "output_tokens"), count_at(used, "total_tokens") - given)
    return Usage(model, max(given - cached, 0), output, cached)


def _take_session(story: Story, home: Path) -> None:
    """What a run that was ended has used is in the log of its session only, with that of the runs before."""
    answers = dict[str, Usage]()
    for log in sorted((home / HOME / ".gemini" / "tmp").glob("*/chats/session-*.jsonl")):
        records = [record for line in lines_of(log) if (record := record_of(line)) is not None]
        if story.session and any(session_at(record, "sessionId") == story.session for record in records[:1]):
            answers.update(_answers(records))
    for usage in answers.values():
        story.add(usage)
    story.whole_session = bool(answers)


def _answers(records: Iterable[Record]) -> Iterator[tuple[str, Usage]]:
    """An answer is written again each time something is added to it."""
    for record in records:
        for message in (record, *items_at(record, "$set", "messages")):
            if tokens := members_at(message, "tokens"):
                cached = count_at(tokens, "cached")
                fresh = max(count_at(tokens, "input") - cached, 0)
                output = count_at(tokens, "output") + count_at(tokens, "thoughts")
                yield text_at(message, "id"), Usage(text_at(message, "model"), fresh, output, cached)
