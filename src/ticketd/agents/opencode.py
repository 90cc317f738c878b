"""OpenCode. It says nothing at the end: its last step must have stopped of itself, and nothing may have gone wrong.

Its prompt comes on standard input: an argument with spaces reaches the model in quotes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ticketd.agents.actions import action_line
from ticketd.agents.jsonlines import (
    Record,
    at,
    count_at,
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
QUIET = {
    f"OPENCODE_DISABLE_{what}": "1"
    for what in ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS", "SHARE")
}
PLACES = {f"XDG_{place}_HOME": f"opencode/{place.lower()}" for place in ("DATA", "STATE", "CONFIG")}
# Into a new configuration directory it installs 60 MB from npm before it begins, unless that looks as if it had.
INSTALLED = {
    "opencode/config/opencode/node_modules/.here": "",
    "opencode/config/opencode/package-lock.json": '{"packages": {"": {"dependencies": {"@opencode-ai/plugin": "*"}}}}',
}

OWN_WAIT_S = 5.0
MODEL = "opencode/model"
PLUGIN = "opencode/giveup.js"
# There is no switch against its waiting, for as long as the provider says and without a word; and where an answer
# breaks off it asks again at once, for ever.
GIVE_UP = """\
export const GiveUp = async () => {
  const end = async (sessionID, name, data) => {
    const line = JSON.stringify({ type: "error", sessionID, error: { name, data } })
    await new Promise((done) => process.stdout.write(line + "\\n", done))
    process.exit(1)
  }
  return {
    event: async ({ event }) => {
      const { sessionID, status, part } = event.properties ?? {}
      if (event.type === "session.status" && status.type === "retry") {
        const waits = (status.next - Date.now()) / 1000
        await end(sessionID, "Retry", { message: String(status.message), next: status.next / 1000, waits })
      }
      if (part?.type === "step-finish" && part.reason === "unknown" && !part.tokens?.output)
        await end(part.sessionID, "BrokenOff", { message: "the answer of its model broke off (connection error)" })
    },
  }
}
"""


class OpencodeAgent:
    """Satisfies `ports.Agent`."""

    name = "opencode"
    program = "opencode"
    keys: tuple[str, ...] = (
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "GEMINI_API_KEY",
        "OPENROUTER_API_KEY",
        "OPENCODE_API_KEY",
    )
    variables: tuple[str, ...] = ("OPENAI_BASE_URL",)
    logins: tuple[str, ...] = (".local/share/opencode/auth.json",)
    resumes = True
    resumes_elsewhere = False
    reads_lines = True
    tells_usage = True

    def launch(self, task: Task) -> Launch:
        profile, endpoint = task.profile, task.environ.get("OPENAI_BASE_URL")
        model = f"{ENDPOINT}/{profile.model}" if endpoint and profile.model else profile.model
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                *("run", "--format", "json", "--auto"),
                *(("--model", model) if model else ()),
                # Without a title it asks its model for one, and tells nobody what that has cost.
                *(("--session", task.session) if task.session else ("--title", "ticketd")),
                *profile.args,
            ),
            env={
                **QUIET,
                "OPENCODE_CONFIG_CONTENT": json.dumps(_configuration(task, endpoint)),
                **({name: str(task.home / place) for name, place in PLACES.items()} if task.own_home else {}),
            },
            files={
                PLUGIN: GIVE_UP,
                MODEL: profile.model or "",  # its log does not name it
                **(INSTALLED if task.own_home else {}),
            },
        )

    def read(self, line: str) -> Iterable[Said]:
        record = record_of(line)
        return tuple(_said(record)) if record is not None else ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        story, model = Story(), "".join(lines_of(home / MODEL)).strip()
        for line in lines_of(log):
            record = record_of(line)
            if record is None:
                story.put_aside(line)
                continue
            story.session = session_at(record, "sessionID") or story.session
            _told(story, record, model)
        return story.result(exited, log)


def _configuration(task: Task, endpoint: str | None) -> dict[str, Any]:
    model, plugin = task.profile.model, (task.home / PLUGIN).as_uri()
    plain = {"autoupdate": False, "share": "disabled", "permission": "allow", "plugin": [plugin]}
    if not endpoint or not model:
        return plain
    options = {"baseURL": endpoint, "apiKey": "{env:OPENAI_API_KEY}"}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {model: {}}}
    return {**plain, "provider": {ENDPOINT: provider}}


def _said(record: Record) -> Iterator[Said]:
    part = record.get("part")
    match record.get("type"):
        case "text" if text := text_at(part, "text").strip():
            yield Said(SaidKind.TEXT, text)
        case "tool_use":
            yield Said(SaidKind.ACTION, action_line(text_at(part, "tool"), at(part, "state", "input")))
            yield Said(SaidKind.RESULT, _outcome(part), failed=_has_failed(part))
        case "step_finish" if (used := _used(part)) is not None:
            yield Said(SaidKind.USAGE, usage=used)
        case "error":
            yield Said(SaidKind.TROUBLE, one_line(_reason(record)))


def _outcome(part: object) -> str:
    return one_line(text_at(part, "state", "error") or text_at(part, "state", "output"))


def _has_failed(part: object) -> bool:
    """A command that failed is a tool that did its work."""
    return at(part, "state", "status") == "error" or at(part, "state", "metadata", "exit") not in (0, None)


def _used(part: object) -> Usage | None:
    """It does not say of which model; and a cost of 0 where it has no price."""
    used = Usage(
        "",
        input=count_at(part, "tokens", "input"),
        output=count_at(part, "tokens", "output") + count_at(part, "tokens", "reasoning"),
        cache_read=count_at(part, "tokens", "cache", "read"),
        cache_write=count_at(part, "tokens", "cache", "write"),
        cost_usd=number_at(part, "cost") or None,
    )
    return used if used != Usage("") else None


def _told(story: Story, record: Record, model: str) -> None:
    part = record.get("part")
    match record.get("type"):
        case "text":
            story.said = text_at(part, "text").strip() or story.said
        case "step_start":
            story.finished = False
        case "step_finish":
            story.turns = (story.turns or 0) + 1
            if (used := _used(part)) is not None:
                story.add(replace(used, model=model))
                story.cost_usd = story.usage[model].cost_usd
            _step(story, text_at(part, "reason"))
        case "error":
            data = at(record, "error", "data")
            story.trouble = Trouble(_reason(record), count_at(data, "statusCode") or None, _until(data))


def _until(data: object) -> float | None:
    """Where the provider has told it; of itself it would wait for two seconds first."""
    told = (number_at(data, "waits") or 0.0) > OWN_WAIT_S
    return number_at(data, "next") if told else None


def _step(story: Story, reason: str) -> None:
    story.finished = reason == "stop"
    story.failure = "its model came to the end of what it may say before it was done" if reason == "length" else ""


def _reason(record: Record) -> str:
    return text_at(record, "error", "data", "message") or text_at(record, "error", "name") or "it ended in an error"
