"""Qwen Code: lines like those of Claude Code, with sums over the whole session, and without a price."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from ticketd.agents.jsonlines import (
    Record,
    count_at,
    items_at,
    lines_of,
    members_at,
    one_line,
    record_of,
    session_at,
    text_at,
)
from ticketd.agents.messages import answer_in, results_in
from ticketd.agents.provider import Trouble
from ticketd.agents.story import Story
from ticketd.domain.report import Usage
from ticketd.ports import AgentResult, Exited, Launch, Said, SaidKind, Task

QUIET = {"QWEN_CODE_SUPPRESS_YOLO_WARNING": "1", "QWEN_CODE_NO_RELAUNCH": "true"}
HOME = "qwen"
SETTINGS = {
    "general": {"enableAutoUpdate": False},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "model": {"generationConfig": {"maxRetries": 0}},
}
# A failed call of its model ends as an answer that says so, in a run that has succeeded.
ERROR = "[API Error:"
LIMITS = {53: "it came to its limit of turns before it was done", 55: "it came to its limit of time before it was done"}


class QwenAgent:
    """Satisfies `ports.Agent`."""

    name = "qwen"
    program = "qwen"
    keys: tuple[str, ...] = ("OPENAI_API_KEY", "DASHSCOPE_API_KEY", "BAILIAN_CODING_PLAN_API_KEY")
    variables: tuple[str, ...] = ("OPENAI_BASE_URL", "OPENAI_MODEL")
    logins: tuple[str, ...] = (".qwen/oauth_creds.json",)
    resumes = True
    resumes_elsewhere = False
    reads_lines = True
    tells_usage = True

    def launch(self, task: Task) -> Launch:
        profile = task.profile
        return Launch(
            argv=(
                *(profile.command or _program(task)),
                *("--approval-mode", "yolo", "--output-format", "stream-json"),
                *(("--auth-type", "openai") if "OPENAI_API_KEY" in task.environ else ()),
                *(("--model", profile.model) if profile.model else ()),
                *_session(task),
                *profile.args,
            ),
            env={
                **{name: value for name, value in QUIET.items() if name not in task.environ},
                **({"QWEN_HOME": str(task.home / HOME)} if task.own_home else {}),
            },
            files={f"{HOME}/settings.json": json.dumps(SETTINGS, indent=2) + "\n"} if task.own_home else {},
        )

    def read(self, line: str) -> Iterable[Said]:
        record = record_of(line)
        return tuple(_said(record)) if record is not None else ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        story, model = Story(), ""
        running = Story()
        for line in lines_of(log):
            record = record_of(line)
            if record is None:
                story.put_aside(line)
                continue
            story.session = session_at(record, "session_id") or story.session
            model = text_at(record, "message", "model") or text_at(record, "model") or model
            for said in _said(record):
                story.said = said.text if said.kind is SaidKind.TEXT else story.said
                story.acted |= said.kind is SaidKind.RESULT and not said.failed
                if said.usage:
                    running.add(said.usage)
            if record.get("type") == "result":
                _end(story, record, model)
        story.usage = story.usage or running.usage
        if exited is not None and exited.code in LIMITS:
            story.trouble, story.failure = None, LIMITS[exited.code]
        return story.result(exited, log)


def _program(task: Task) -> tuple[str, ...]:
    """What is on PATH may be a launcher that dies alone when it is ended: what it launches, if that lies beside it."""
    found = shutil.which(QwenAgent.program, path=task.environ.get("PATH"))
    launcher = Path(found).resolve() if found else None
    if launcher is None or launcher.name != "cli-entry.js" or not (worker := launcher.with_name("cli.js")).is_file():
        return (QwenAgent.program,)
    return ("node", "--expose-gc", str(worker))


def _session(task: Task) -> tuple[str, ...]:
    if task.session:
        return ("--resume", task.session)
    return ("--session-id", task.fresh) if task.fresh else ()


def _said(record: Record) -> Iterator[Said]:
    match record.get("type"):
        case "assistant":
            used = _used(text_at(record, "message", "model"), members_at(record, "message", "usage"))
            texts = [text_at(block, "text") for block in items_at(record, "message", "content")]
            yield from answer_in(record, used, any(text.startswith(ERROR) for text in texts))
        case "user":
            yield from results_in(record)
        case "system" if record.get("subtype") == "retry":
            yield Said(SaidKind.TROUBLE, f"its provider failed; attempt {count_at(record, 'data', 'attempt')}")
        case "result" if record.get("is_error") is not False:
            yield Said(SaidKind.TROUBLE, one_line(_reason(record)))


def _used(model: str, usage: Record) -> Usage:
    """What came from the cache is counted as input by it as well."""
    cached = count_at(usage, "cache_read_input_tokens")
    return Usage(model, max(count_at(usage, "input_tokens") - cached, 0), count_at(usage, "output_tokens"), cached)


def _end(story: Story, record: Record, model: str) -> None:
    story.turns = count_at(record, "num_turns") or None
    story.denied = bool(items_at(record, "permission_denials"))
    used = _used(model, members_at(record, "usage"))
    story.usage = {model: used} if used != Usage(model) else {}
    story.whole_session = bool(story.usage)
    said = text_at(record, "result")
    story.finished = record.get("is_error") is False and not said.startswith(ERROR)
    story.said = said if story.finished and said else story.said
    story.trouble = None if story.finished else Trouble(_reason(record))


def _reason(record: Record) -> str:
    return text_at(record, "error", "message") or text_at(record, "result") or "it ended in an error"
