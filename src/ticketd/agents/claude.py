"""Claude Code. Its last line says `success` of errors of the provider too: only `is_error` tells.

Each block of an answer is a line of its own, and each repeats what the whole answer has used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ticketd.agents.jsonlines import (
    Record,
    count_at,
    items_at,
    lines_of,
    members_at,
    number_at,
    one_line,
    plain,
    record_of,
    session_at,
    text_at,
)
from ticketd.agents.messages import answer_in, results_in
from ticketd.agents.provider import Trouble
from ticketd.agents.story import Story
from ticketd.domain.report import Usage
from ticketd.ports import AgentResult, Exited, Launch, Said, SaidKind, Task

# Its memory is kept by repository, not by worktree: eight agents would write into the same one. What it leaves in the
# background is ended after its run, so it had better wait for it.
QUIET = {
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
}
LEAST_USD = 0.01
SYNTHETIC = "<synthetic>"
"""The model of an answer that Claude Code has made up itself, to tell of an error."""


class ClaudeAgent:
    """Satisfies `ports.Agent`."""

    name = "claude"
    program = "claude"
    keys: tuple[str, ...] = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
    variables: tuple[str, ...] = ("ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL")
    logins: tuple[str, ...] = (".claude/.credentials.json",)
    resumes = True
    resumes_elsewhere = True
    reads_lines = True
    tells_usage = True

    def launch(self, task: Task) -> Launch:
        profile = task.profile
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                *("--print", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"),
                *(("--model", profile.model) if profile.model else ()),
                *(() if task.budget_usd is None else ("--max-budget-usd", f"{max(task.budget_usd, LEAST_USD):.4f}")),
                *_session(task),
                *profile.args,
            ),
            env=_environment(task),
        )

    def read(self, line: str) -> Iterable[Said]:
        record = record_of(line)
        return tuple(_said(record)) if record is not None else ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        story, answers = Story(), dict[str, Usage]()
        for line in lines_of(log):
            record = record_of(line)
            if record is None:
                story.put_aside(line)
                continue
            story.session = session_at(record, "session_id") or story.session
            match record.get("type"):
                case "rate_limit_event":
                    story.until = _limited_until(record)
                case "result":
                    _end(story, record)
                    story.denied = bool(items_at(record, "permission_denials"))
            for said in _said(record):
                if said.kind is SaidKind.TEXT:
                    story.said = said.text
                elif said.kind is SaidKind.USAGE and said.usage:
                    answers[said.text] = said.usage
                story.acted |= said.kind is SaidKind.RESULT and not said.failed
        if not story.usage:
            for usage in answers.values():
                story.add(usage)
        return story.result(exited, log)


def _session(task: Task) -> tuple[str, ...]:
    if task.session:
        return ("--resume", task.session)
    return ("--session-id", task.fresh) if task.fresh else ()


def _environment(task: Task) -> dict[str, str]:
    # As root it refuses to work without asking, unless it is told that this is a place for it.
    root = {"IS_SANDBOX": "1"} if os.geteuid() == 0 else {}
    chosen = {name: value for name, value in {**QUIET, **root}.items() if name not in task.environ}
    return {**chosen, "CLAUDE_CONFIG_DIR": str(task.home / "claude")} if task.own_home else chosen


def _said(record: Record) -> Iterator[Said]:
    match record.get("type"):
        case "assistant":
            model = text_at(record, "message", "model")
            yield from answer_in(record, _used(model, members_at(record, "message", "usage")), model == SYNTHETIC)
        case "user":
            yield from results_in(record)
        case "system":
            yield from _system(record)
        case "result" if record.get("is_error") is not False:
            yield Said(SaidKind.TROUBLE, one_line(_reason(record)))


def _system(record: Record) -> Iterator[Said]:
    match record.get("subtype"):
        case "api_retry":
            status = record.get("error_status") or ""
            yield Said(SaidKind.TROUBLE, one_line(f"its provider failed: {status} {text_at(record, 'error')}"))
        case "permission_denied":
            yield Said(SaidKind.TROUBLE, one_line(f"denied: {text_at(record, 'tool_name')}"))


def _used(model: str, usage: Record) -> Usage:
    return Usage(
        model,
        input=count_at(usage, "input_tokens"),
        output=count_at(usage, "output_tokens"),
        cache_read=count_at(usage, "cache_read_input_tokens"),
        cache_write=count_at(usage, "cache_creation_input_tokens"),
    )


def _end(story: Story, record: Record) -> None:
    """Its sums are of the whole session, those of earlier runs with it."""
    story.cost_usd = number_at(record, "total_cost_usd")
    story.turns = count_at(record, "num_turns") or None
    summed = [_summed(plain(model), used) for model, used in members_at(record, "modelUsage").items()]
    story.usage = {each.model: each for each in summed}
    story.whole_session = True
    story.finished = record.get("is_error") is False and record.get("subtype") == "success"
    story.said = text_at(record, "result") if story.finished else story.said
    story.trouble, story.failure = None, ""
    if not story.finished:
        _unfinished(story, record)


def _summed(model: str, used: object) -> Usage:
    return Usage(
        model,
        input=count_at(used, "inputTokens"),
        output=count_at(used, "outputTokens"),
        cache_read=count_at(used, "cacheReadInputTokens"),
        cache_write=count_at(used, "cacheCreationInputTokens"),
        cost_usd=number_at(used, "costUSD"),
    )


def _unfinished(story: Story, record: Record) -> None:
    match record.get("subtype"):
        case "error_max_turns":
            story.failure = "it came to its limit of turns before it was done"
        case "error_max_budget_usd":
            story.failure = "it used up its budget before it was done"
        case _:
            status = count_at(record, "api_error_status") or None
            story.trouble = Trouble(_reason(record), status, story.until if status == 429 else None)


def _limited_until(record: Record) -> float | None:
    limit = members_at(record, "rate_limit_info")
    return number_at(limit, "resetsAt") if limit.get("status") == "rejected" else None


def _reason(record: Record) -> str:
    errors = "; ".join(each for each in items_at(record, "errors") if isinstance(each, str))
    return text_at(record, "result") or errors or text_at(record, "subtype") or "it ended in an error"
