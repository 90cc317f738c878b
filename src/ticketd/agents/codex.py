"""Codex. A run is good if its turn completed; errors and attempts to reconnect are told of in good ones, too.

What it has used it tells at the end only, and never of which model: both are in the log of its session, which lies
below `Task.home` where it has a home of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ticketd.agents.jsonlines import (
    Record,
    at,
    count_at,
    items_at,
    lines_of,
    members_at,
    one_line,
    record_of,
    session_at,
    text_at,
)
from ticketd.agents.provider import Trouble
from ticketd.agents.story import Story
from ticketd.domain.report import Usage
from ticketd.ports import AgentResult, Exited, Launch, Said, SaidKind, Task

CONFIGURATION = "codex"
QUIET = ("check_for_update_on_startup = false", "analytics.enabled = false", "feedback.enabled = false")
ITS_OWN = "https://api.openai.com/v1"
EDIT = "file_change"
NOTHING_TO_SAY = ("reasoning", "todo_list", "error", "agent_message")


class CodexAgent:
    """Satisfies `ports.Agent`. Its sandbox stays off: in it no commit can be made in a linked worktree, and no test can
    reach a server on this machine."""

    name = "codex"
    program = "codex"
    keys: tuple[str, ...] = ("OPENAI_API_KEY", "CODEX_API_KEY")
    variables: tuple[str, ...] = ("OPENAI_BASE_URL",)
    logins: tuple[str, ...] = (".codex/auth.json",)
    resumes = True
    resumes_elsewhere = True
    reads_lines = True
    tells_usage = False

    def launch(self, task: Task) -> Launch:
        profile, settings = task.profile, (*QUIET, *_provider(task))
        configuration = "".join(f"{line}\n" for line in settings)
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                "exec",
                *(("resume",) if task.session else ()),
                *("--json", "--dangerously-bypass-approvals-and-sandbox", "--disable", "plugins"),
                *(("--model", profile.model) if profile.model else ()),
                *(() if task.own_home else (each for line in settings for each in ("--config", line))),
                *profile.args,
                *((task.session,) if task.session else ()),
                "-",
            ),
            env={"CODEX_HOME": str(task.home / CONFIGURATION)} if task.own_home else {},
            files={f"{CONFIGURATION}/config.toml": configuration} if task.own_home else {},
        )

    def read(self, line: str) -> Iterable[Said]:
        record = record_of(line)
        return tuple(_said(record)) if record is not None else ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        story = Story()
        for line in lines_of(log):
            record = record_of(line)
            if record is None:
                story.put_aside(line)
                continue
            story.session = session_at(record, "thread_id") or story.session
            _take(story, record)
        _take_session(story, home)
        return story.result(exited, log)


def _provider(task: Task) -> Iterator[str]:
    """Of its built-in provider neither the endpoint nor the retries can be changed, and it does not look for a key."""
    if not {"OPENAI_API_KEY", "OPENAI_BASE_URL"} & task.environ.keys():
        return
    mine = "model_providers.ticketd"
    yield 'model_provider = "ticketd"'
    yield f'{mine}.name = "OpenAI"'
    yield f"{mine}.base_url = {json.dumps(task.environ.get('OPENAI_BASE_URL', ITS_OWN))}"
    if "OPENAI_API_KEY" in task.environ:
        yield f'{mine}.env_key = "OPENAI_API_KEY"'
    yield f'{mine}.wire_api = "responses"'
    yield f"{mine}.request_max_retries = 0"
    yield f"{mine}.stream_max_retries = 0"


def _said(record: Record) -> Iterator[Said]:
    kind, item = record.get("type"), members_at(record, "item")
    match kind, item.get("type"):
        case "item.completed", "agent_message" if text := text_at(item, "text").strip():
            yield Said(SaidKind.TEXT, text)
        case "item.started", what if what not in (*NOTHING_TO_SAY, EDIT):
            yield Said(SaidKind.ACTION, _action(item))
        case "item.completed", what if what not in NOTHING_TO_SAY:
            if what == EDIT:  # not each version tells when it begins
                yield Said(SaidKind.ACTION, _action(item))
            yield Said(SaidKind.RESULT, _output(item), failed=item.get("status") in ("failed", "declined"))
        case "error", _:
            yield Said(SaidKind.TROUBLE, one_line(text_at(record, "message")))
        case "turn.failed", _:
            yield Said(SaidKind.TROUBLE, one_line(text_at(record, "error", "message")))


def _action(item: Record) -> str:
    changed = " ".join(text_at(change, "path") for change in items_at(item, "changes")[:20])
    what = " ".join(text_at(item, key) for key in ("type", "server", "tool", "query"))
    return one_line(text_at(item, "command") or (f"edit {changed}" if changed else what))


def _output(item: Record) -> str:
    return one_line(text_at(item, "aggregated_output")[-1000:] or text_at(item, "status"))


def _take(story: Story, record: Record) -> None:
    match record.get("type"):
        case "turn.started":
            story.finished, story.trouble = False, None
        case "turn.completed":
            story.finished, story.trouble = True, None
            story.usage = {"": _used(members_at(record, "usage"))}
            story.whole_session = True
        case "turn.failed":
            story.finished = False
            story.trouble = Trouble(text_at(record, "error", "message") or "its turn failed")
        case "item.completed" if at(record, "item", "type") == "agent_message":
            story.said = text_at(record, "item", "text")


def _used(usage: Record) -> Usage:
    """What came from the cache, or went into it, is counted as input by it as well."""
    cached, written = count_at(usage, "cached_input_tokens"), count_at(usage, "cache_write_input_tokens")
    fresh = max(count_at(usage, "input_tokens") - cached - written, 0)
    return Usage("", fresh, count_at(usage, "output_tokens"), cached, written)


def _take_session(story: Story, home: Path) -> None:
    """The model's name; and the sums so far, where the run was ended before it told them."""
    if story.session is None:
        return
    model, used = "", None
    for log in sorted((home / CONFIGURATION / "sessions").glob(f"*/*/*/rollout-*{story.session}.jsonl")):
        for line in lines_of(log):
            payload = members_at(record_of(line), "payload")
            model = text_at(payload, "model") or model
            if payload.get("type") == "token_count":
                used = members_at(payload, "info", "total_token_usage") or used
    if used and not story.usage:
        story.usage, story.whole_session = {"": _used(used)}, True
    if unnamed := story.usage.pop("", None):
        story.add(replace(unnamed, model=model))
