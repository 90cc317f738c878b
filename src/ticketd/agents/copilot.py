"""GitHub Copilot CLI. It exits 0 when it is ended, and tells what it has used in a file of its own, kept by session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ticketd.agents.actions import action_line
from ticketd.agents.jsonlines import (
    Record,
    at,
    count_at,
    document_of,
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

FLAGS = (
    *("--allow-all-tools", "--output-format", "json", "--no-auto-update", "--no-color", "--disable-builtin-mcps"),
    *("--no-ask-user", "--disable-client-telemetry"),
)
CONFIGURATION = "copilot"
SESSIONS = "session-state"
PROVIDER = "COPILOT_PROVIDER_BASE_URL"


class CopilotAgent:
    """Satisfies `ports.Agent`."""

    name = "copilot"
    program = "copilot"
    keys: tuple[str, ...] = ("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_API_KEY")
    variables: tuple[str, ...] = (PROVIDER, "COPILOT_PROVIDER_TYPE", "COPILOT_PROVIDER_WIRE_API", "COPILOT_MODEL")
    logins: tuple[str, ...] = (".copilot/config.json",)
    resumes = True
    # It would find its session elsewhere, but goes to work where that began, whatever directory it is started in: in
    # another ticket's worktree by then (1.0.102).
    resumes_elsewhere = False
    reads_lines = True
    tells_usage = False

    def launch(self, task: Task) -> Launch:
        profile = task.profile
        usage = task.home / _usage_file(task.session or task.fresh)
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                *FLAGS,
                *("--usage-output-file", str(usage)),
                *(("--model", profile.model) if profile.model else ()),
                *_session(task),
                *profile.args,
            ),
            env={
                "COPILOT_AUTO_UPDATE": "false",
                **({"COPILOT_OFFLINE": "true"} if PROVIDER in task.environ else {}),
                **({"COPILOT_HOME": str(task.home / CONFIGURATION)} if task.own_home else {}),
            },
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
            _take(story, record)
        _take_usage(story, home)
        return story.result(exited, log)


def _usage_file(session: str) -> str:
    """Of each session its own: one that an earlier run has left says nothing of this one."""
    return f"usage-{session or 'unnamed'}.json"


def _session(task: Task) -> tuple[str, ...]:
    if task.session:
        return (f"--resume={task.session}",)
    return ("--session-id", task.fresh) if task.fresh else ()


def _said(record: Record) -> Iterator[Said]:
    data = members_at(record, "data")
    match record.get("type"):
        case "assistant.message" if text := text_at(data, "content").strip():
            yield Said(SaidKind.TEXT, text)
        case "tool.execution_start":
            yield Said(SaidKind.ACTION, action_line(text_at(data, "toolName"), at(data, "arguments")))
        case "tool.execution_complete":
            failed = data.get("success") is not True or count_at(data, "shellExecution", "exitCode") > 0
            told = text_at(data, "result", "content") or text_at(data, "error", "message")
            yield Said(SaidKind.RESULT, one_line(told), failed=failed)
        case "model.call_failure":
            yield Said(SaidKind.TROUBLE, f"its provider failed: {count_at(data, 'statusCode') or 'no answer'}")
        case "session.error":
            yield Said(SaidKind.TROUBLE, one_line(text_at(data, "message")))


def _take(story: Story, record: Record) -> None:
    data = members_at(record, "data")
    match record.get("type"):
        case "session.start":
            story.session = session_at(data, "sessionId") or story.session
        case "assistant.message" if text := text_at(data, "content").strip():
            story.said = text
        case "tool.execution_complete":
            story.acted |= data.get("success") is True
            story.denied |= at(data, "error", "code") == "denied"
        case "session.error":
            story.trouble = Trouble(text_at(data, "message") or text_at(data, "errorType"), _status(data))
        case "abort":
            story.failure = one_line(f"it was ended before it was done: {text_at(data, 'reason')}")
        case "result":
            story.session = session_at(record, "sessionId") or story.session
            story.finished = record.get("exitCode") == 0 and story.trouble is None


def _status(data: Record) -> int | None:
    known = {"rate_limit": 429, "quota": 429, "authentication": 401, "authorization": 403}
    return count_at(data, "statusCode") or known.get(text_at(data, "errorType"))


def _take_usage(story: Story, home: Path) -> None:
    """One that was ended has not told its session's name; its usage is then in that session's own log alone."""
    story.session = story.session or _latest(home / CONFIGURATION / SESSIONS)
    if story.session is None:
        return
    told = document_of(home / _usage_file(story.session))
    for model, metrics in members_at(told, "modelMetrics").items():
        story.add(_used(plain(model), members_at(metrics, "usage")))
    if not story.usage:
        for line in lines_of(home / CONFIGURATION / SESSIONS / story.session / "events.jsonl"):
            record = record_of(line)
            if record is not None and record.get("type") == "session.usage_record":
                used = members_at(record, "data", "usage")
                story.add(_used(text_at(used, "model"), used))
    story.whole_session = bool(story.usage)


def _latest(sessions: Path) -> str | None:
    try:
        found = max(sessions.iterdir(), key=lambda each: each.stat().st_mtime, default=None)
    except OSError:
        return None
    return session_at({"name": found.name}, "name") if found else None


def _used(model: str, usage: Record) -> Usage:
    """What came from the cache is counted as input by it as well."""
    read, written = count_at(usage, "cacheReadTokens"), count_at(usage, "cacheWriteTokens")
    fresh = max(count_at(usage, "inputTokens") - read - written, 0)
    return Usage(model, fresh, count_at(usage, "outputTokens"), read, written)
