"""Gemini CLI. It exits 0 on signals, and with the last eight bits of an HTTP status on errors: its result tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from ticketd.agents.actions import action_line
from ticketd.agents.jsonlines import (
    Record,
    at,
    count_at,
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


class GeminiAgent:
    """Satisfies `ports.Agent`. Where it has no home of its own, it goes on asking a provider that refuses for minutes:
    that is a setting, and no argument or variable will do (settings of the system it reads from root's places only)."""

    name = "gemini"
    program = "gemini"
    keys: tuple[str, ...] = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    variables: tuple[str, ...] = ("GOOGLE_GEMINI_BASE_URL", "GOOGLE_CLOUD_PROJECT", "GEMINI_MODEL")
    resumes = True
    reads_lines = True

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
            story.said = story.said + text if speaks and text else text or story.said
            speaks = bool(text)
            if record.get("type") == "result":
                _end(story, record)
            elif record.get("type") == "error" and record.get("severity") == "error":
                story.trouble = Trouble(text_at(record, "message"))
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
    for model, used in members_at(record, "stats", "models").items():
        story.add(_used(plain(model), used))
    if story.finished:
        story.trouble = None
    else:
        what = " ".join(text_at(record, "error", key) for key in ("type", "message")).strip()
        story.trouble = Trouble(what or "it ended in an error")


def _used(model: str, used: object) -> Usage:
    """What came from the cache is counted as input by it as well; what it has thought is not counted as output."""
    cached, given = count_at(used, "cached"), count_at(used, "input_tokens")
    output = max(count_at(used, "output_tokens"), count_at(used, "total_tokens") - given)
    return Usage(model, max(given - cached, 0), output, cached)
