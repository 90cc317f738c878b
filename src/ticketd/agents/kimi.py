"""Kimi Code. What it has used is in files of its session, not in its output; so is how the last answer ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ticketd.agents.actions import action_line
from ticketd.agents.jsonlines import (
    Record,
    at,
    count_at,
    items_at,
    lines_of,
    one_line,
    record_of,
    session_at,
    text_at,
)
from ticketd.agents.provider import Trouble
from ticketd.agents.story import Story
from ticketd.domain.report import Usage
from ticketd.ports import AgentResult, Exited, Launch, Said, SaidKind, Task

QUIET = {"KIMI_CODE_NO_AUTO_UPDATE": "1", "KIMI_DISABLE_TELEMETRY": "1", "KIMI_LOOP_MAX_ATTEMPTS_PER_STEP": "1"}
FAILED_RUN = "error: failed to run prompt: "


class KimiAgent:
    """Satisfies `ports.Agent`. It takes its prompt as an argument only."""

    name = "kimi"
    program = "kimi"
    keys: tuple[str, ...] = ("KIMI_MODEL_API_KEY",)
    variables: tuple[str, ...] = ("KIMI_API_KEY", "KIMI_MODEL_NAME", "KIMI_MODEL_BASE_URL", "KIMI_MODEL_PROVIDER_TYPE")
    logins: tuple[str, ...] = (".kimi-code/credentials",)
    resumes = True
    resumes_elsewhere = False
    reads_lines = True
    tells_usage = False

    def launch(self, task: Task) -> Launch:
        profile, by_variables = task.profile, "KIMI_MODEL_API_KEY" in task.environ
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                *("--output-format", "stream-json"),
                *(("--model", profile.model) if profile.model and not by_variables else ()),
                *(("--session", task.session) if task.session else ()),
                *("--prompt", f"Read the file {task.brief} and do what it says."),
                *profile.args,
            ),
            env={
                **QUIET,
                **({"KIMI_MODEL_NAME": profile.model} if profile.model and by_variables else {}),
                **({"KIMI_CODE_HOME": str(task.home / "kimi")} if task.own_home else {}),
            },
            files={"kimi/config.toml": "telemetry = false\n"} if task.own_home else {},
            reads_brief=False,
        )

    def read(self, line: str) -> Iterable[Said]:
        record = record_of(line)
        if record is not None:
            return tuple(_said(record))
        return (Said(SaidKind.TROUBLE, one_line(line)),) if line.startswith(FAILED_RUN) else ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        story = Story(whole_session=True)
        for line in lines_of(log):
            record = record_of(line)
            if record is not None:
                _told(story, record)
            elif line.startswith(FAILED_RUN):
                story.trouble = Trouble(line.removeprefix(FAILED_RUN).strip())
            else:
                story.put_aside(line)
        _add_session(story, home / "kimi" / "sessions")
        return story.result(exited, log)


def _said(record: Record) -> Iterator[Said]:
    match record.get("role"):
        case "assistant":
            if text := text_at(record, "content").strip():
                yield Said(SaidKind.TEXT, text)
            for call in items_at(record, "tool_calls"):
                name, given = text_at(call, "function", "name"), record_of(text_at(call, "function", "arguments"))
                yield Said(SaidKind.ACTION, action_line(name, given))
        case "tool":
            text = text_at(record, "content")
            yield Said(SaidKind.RESULT, one_line(text), failed="Command failed with exit code" in text[-200:])
        case "meta" if at(record, "type") == "turn.step.retrying":
            yield Said(SaidKind.TROUBLE, one_line(text_at(record, "content")))


def _told(story: Story, record: Record) -> None:
    match record.get("role"):
        case "assistant":
            story.turns = (story.turns or 0) + 1
            story.said = text_at(record, "content").strip() or story.said
            story.finished = not items_at(record, "tool_calls")
        case "meta":
            story.session = session_at(record, "session_id") or story.session


def _add_session(story: Story, sessions: Path) -> None:
    """One that was ended has not said which it was: the latest then. Subagents have a file each in the same session."""
    wires = sorted(sessions.glob("*/session_*/agents/*/wire.jsonl"), key=_written_at)
    if not wires:
        return
    session = story.session or session_at({"name": wires[-1].parents[2].name}, "name")
    story.session = session
    for wire in wires:
        if wire.parents[2].name == session:
            last = _add_wire(story, wire)
            if wire.parent.name == "main" and last is not None:
                _end(story, last)


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _add_wire(story: Story, wire: Path) -> Record | None:
    """What it has used; and the end of its last step."""
    models: dict[str, str] = {}
    last = None
    for record in map(record_of, lines_of(wire)):
        match record and record.get("type"):
            case "llm.request":
                models[text_at(record, "modelAlias")] = text_at(record, "model")
            case "usage.record":
                alias = text_at(record, "model")
                used = _used(models.get(alias) or alias, at(record, "usage"))
                if used != Usage(used.model):
                    story.add(used)
            case "context.append_loop_event" if at(record, "event", "type") == "step.end":
                last = at(record, "event")
    return last


def _used(model: str, usage: object) -> Usage:
    return Usage(
        model,
        input=count_at(usage, "inputOther"),
        output=count_at(usage, "output"),
        cache_read=count_at(usage, "inputCacheRead"),
        cache_write=count_at(usage, "inputCacheCreation"),
    )


def _end(story: Story, step: Record) -> None:
    """It takes an answer that was too long, or broke off on the way, for a whole one."""
    if step.get("finishReason") == "max_tokens":
        story.failure = "its model came to the end of what it may say before it was done"
    elif story.finished and not text_at(step, "providerFinishReason") and _used("", step.get("usage")) == Usage(""):
        story.trouble = Trouble("the answer of its model broke off (connection error)")
