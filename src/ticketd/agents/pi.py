"""pi. It exits 0 whatever has happened: how the last answer of its model stopped tells.

What it has used is read off each answer; its own sum at the end is not there when it is ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ticketd.agents.actions import action_line
from ticketd.agents.jsonlines import (
    Record,
    count_at,
    items_at,
    lines_of,
    number_at,
    one_line,
    record_of,
    session_at,
    text_at,
)
from ticketd.agents.provider import Trouble
from ticketd.agents.story import Story
from ticketd.domain.report import Usage
from ticketd.ports import AgentResult, Exited, Launch, Said, SaidKind, Task

ENDPOINT = "endpoint"
SETTINGS = {"retry": {"enabled": False, "provider": {"maxRetries": 0}}, "enableInstallTelemetry": False}


class PiAgent:
    """Satisfies `ports.Agent`. Its sessions always lie below `Task.home`: there it finds them again by their id."""

    name = "pi"
    program = "pi"
    keys: tuple[str, ...] = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY")
    variables: tuple[str, ...] = ("OPENAI_BASE_URL",)
    logins: tuple[str, ...] = (".pi/agent/auth.json",)
    resumes = True
    resumes_elsewhere = False
    reads_lines = True
    tells_usage = True

    def launch(self, task: Task) -> Launch:
        profile, home = task.profile, task.home / "pi"
        endpoint = task.environ.get("OPENAI_BASE_URL") if task.own_home and profile.model else None
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                *("--print", "--mode", "json", "--offline", "--session-dir", str(home / "sessions")),
                *(("--provider", ENDPOINT) if endpoint else ()),
                *(("--model", profile.model) if profile.model else ()),
                *(("--session", task.session) if task.session else ()),
                *profile.args,
            ),
            env={"PI_CODING_AGENT_DIR": str(home)} if task.own_home else {},
            files=_files(endpoint, profile.model) if task.own_home else {},
        )

    def read(self, line: str) -> Iterable[Said]:
        record = record_of(line)
        return tuple(_said(record)) if record is not None else ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        story, last = Story(), None
        for line in lines_of(log):
            record = record_of(line)
            if record is None:
                story.put_aside(line)
                continue
            if record.get("type") == "session":
                story.session = session_at(record, "id")
            if (answer := _answer(record)) is not None:
                last = answer
                _told(story, answer)
        if last is not None:
            _end(story, last)
        return story.result(exited, log)


def _files(endpoint: str | None, model: str | None) -> dict[str, str]:
    files = {"pi/settings.json": json.dumps(SETTINGS)}
    if endpoint is None:
        return files
    provider: dict[str, Any] = {"baseUrl": endpoint, "api": "openai-completions", "apiKey": "OPENAI_API_KEY"}
    return {**files, "pi/models.json": json.dumps({"providers": {ENDPOINT: {**provider, "models": [{"id": model}]}}})}


def _answer(record: Record) -> Record | None:
    """The message of the model that is whole with this line."""
    message = record.get("message")
    whole = record.get("type") == "message_end" and isinstance(message, dict) and message.get("role") == "assistant"
    return message if whole else None


def _said(record: Record) -> Iterator[Said]:
    match record.get("type"):
        case "message_end":
            if (answer := _answer(record)) is not None:
                yield from _spoken(answer)
        case "tool_execution_start":
            yield Said(SaidKind.ACTION, action_line(text_at(record, "toolName"), record.get("args")))
        case "tool_execution_end":
            text = " ".join(text_at(each, "text") for each in items_at(record, "result", "content")[:5])
            yield Said(SaidKind.RESULT, one_line(text), failed=record.get("isError") is True)
        case "auto_retry_start":
            yield Said(SaidKind.TROUBLE, one_line(text_at(record, "errorMessage")))


def _spoken(answer: Record) -> Iterator[Said]:
    if text := _text(answer):
        yield Said(SaidKind.TEXT, text)
    if trouble := text_at(answer, "errorMessage"):
        yield Said(SaidKind.TROUBLE, one_line(trouble))
    if (used := _used(answer)) is not None:
        yield Said(SaidKind.USAGE, usage=used)


def _text(answer: Record) -> str:
    return "\n".join(filter(None, (text_at(block, "text").strip() for block in items_at(answer, "content"))))


def _used(answer: Record) -> Usage | None:
    """It says a cost of 0 where it has no price."""
    model, usage = text_at(answer, "model"), answer.get("usage")
    used = Usage(
        model,
        input=count_at(usage, "input"),
        output=count_at(usage, "output"),
        cache_read=count_at(usage, "cacheRead"),
        cache_write=count_at(usage, "cacheWrite"),
        cost_usd=number_at(usage, "cost", "total") or None,
    )
    return used if used != Usage(model) else None


def _told(story: Story, answer: Record) -> None:
    if text_at(answer, "stopReason") != "error":
        story.turns = (story.turns or 0) + 1
    story.said = _text(answer) or story.said
    if (used := _used(answer)) is not None:
        story.add(used)


def _end(story: Story, last: Record) -> None:
    match text_at(last, "stopReason"):
        case "stop" if story.usage and _used(last) is None:
            story.trouble = Trouble("the answer of its model broke off (connection error)")
        case "stop":
            story.finished = True
        case "length":
            story.failure = "its model came to the end of what it may say before it was done"
        case "error":
            story.trouble = Trouble(text_at(last, "errorMessage") or "its provider failed")
