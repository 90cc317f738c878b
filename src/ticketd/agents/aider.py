"""aider. Its model answers with edits as text; it exits 0 whatever has happened, and what it prints is all there is.

Its prices and tokens are rounded there: the whole numbers are in the file of events that it keeps beside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ticketd.agents.jsonlines import count_at, lines_of, number_at, one_line, plain, record_of, session_at, text_at
from ticketd.agents.provider import Trouble
from ticketd.agents.story import Story
from ticketd.domain.report import Usage
from ticketd.ports import AgentResult, Exited, Launch, Said, SaidKind, Task

HISTORIES = "aider/history"
EVENTS = "aider/events.jsonl"
MODELS = "aider/models.yml"
NO_RETRY = "- name: aider/extra_params\n  extra_params: {max_retries: 0}\n"
MOST_LINES = 200

_TOKENS = re.compile(
    r"Tokens: ([\d.,]+)([kM]?) sent, (?:.*, )?([\d.,]+)([kM]?) received\.(?: Cost: \$([\d.]+) message)?"
)
_EDITED = re.compile(r"Applied edit to (.+)")
_TROUBLE = re.compile(r"litellm\.\w+|Retrying in [\d.]+ seconds")
_MODEL = re.compile(r"(?:Main model|Model): (\S+) with ")
_BEGINS = re.compile(r"Repo-map: |Applied edit to |Retrying in |Restored previous conversation")


class AiderAgent:
    """Satisfies `ports.Agent`. A session is the file that it keeps a conversation in."""

    name = "aider"
    program = "aider"
    keys: tuple[str, ...] = (
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "GEMINI_API_KEY",
        "OPENROUTER_API_KEY",
        "DEEPSEEK_API_KEY",
    )
    variables: tuple[str, ...] = ("OPENAI_BASE_URL",)
    logins: tuple[str, ...] = (".aider.conf.yml",)
    resumes = True
    resumes_elsewhere = True
    reads_lines = True
    tells_usage = True

    def launch(self, task: Task) -> Launch:
        profile, endpoint = task.profile, task.environ.get("OPENAI_BASE_URL")
        history = task.home / HISTORIES / f"{task.session or task.fresh or 'chat'}.md"
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                *("--yes-always", "--no-pretty", "--no-stream", "--no-fancy-input", "--no-suggest-shell-commands"),
                *("--no-gitignore", "--no-detect-urls", "--map-tokens", "0"),  # a map is a file in the worktree
                # ticketd commits; for each message of its own it would ask its model.
                *("--no-auto-commits", "--no-dirty-commits"),
                *(("--model", _model(profile.model, endpoint)) if profile.model else ()),
                *("--model-settings-file", str(task.home / MODELS), "--analytics-log", str(task.home / EVENTS)),
                *("--chat-history-file", str(history), "--input-history-file", str(history.with_suffix(".input"))),
                *(("--restore-chat-history",) if task.session else ()),
                *("--message-file", str(task.brief)),
                *profile.args,
            ),
            env={
                "AIDER_ANALYTICS_DISABLE": "true",
                "AIDER_CHECK_UPDATE": "false",
                "AIDER_SHOW_RELEASE_NOTES": "false",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "COLUMNS": "1000",
                **({"AIDER_OPENAI_API_BASE": endpoint} if endpoint else {}),
            },
            files={MODELS: NO_RETRY, EVENTS: "", f"{HISTORIES}/.here": ""},
            reads_brief=False,
        )

    def read(self, line: str) -> Iterable[Said]:
        text = plain(line).strip()
        if edited := _EDITED.match(text):
            return (Said(SaidKind.ACTION, one_line(f"edit {edited[1]}")),)
        if (used := _spent(text)) is not None:
            return (Said(SaidKind.USAGE, usage=used),)
        if _TROUBLE.match(text):
            return (Said(SaidKind.TROUBLE, one_line(text)),)
        return (Said(SaidKind.TEXT, text),) if text else ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        story, model, answer = Story(), "", list[str]()
        for line in lines_of(log):
            text = plain(line).strip()
            if _BEGINS.match(text):
                answer.clear()
            elif _spent(text) is not None:
                story.said, story.finished, story.trouble, story.failure = "\n".join(answer), True, None, ""
                story.turns = (story.turns or 0) + 1
                answer.clear()
            elif not _went_wrong(story, text):
                answer = [*answer[-MOST_LINES:], text]
            if named := _MODEL.match(text):
                model = named[1]
        _add_events(story, home / EVENTS, model)
        story.session = _latest(home / HISTORIES)
        return story.result(exited, log)


def _model(model: str, endpoint: str | None) -> str:
    return f"openai/{model}" if endpoint and not model.startswith("openai/") else model


def _went_wrong(story: Story, text: str) -> bool:
    story.put_aside(text)
    if text.startswith("litellm."):
        story.finished, story.trouble = False, Trouble(text)
    elif "has hit a token limit" in text:
        story.failure = "its model came to the end of what it may read or say before it was done"
    elif text.startswith("Only ") and "reflections allowed" in text:
        story.failure = "its model's edits could not be applied, each time that it tried"
    else:
        return False
    return True


def _spent(text: str) -> Usage | None:
    """Rounded; for what it costs while it runs."""
    if not (found := _TOKENS.match(text)):
        return None
    sent, received = _rounded(found[1], found[2]), _rounded(found[3], found[4])
    return Usage("", input=sent, output=received, cost_usd=float(found[5]) if found[5] else None)


def _rounded(number: str, unit: str) -> int:
    return round(float(number.replace(",", "")) * {"k": 1000, "M": 10**6}.get(unit, 1))


def _add_events(story: Story, events: Path, model: str) -> None:
    """It makes no difference between tokens that came from the provider's cache and others. Its last event is the only
    sign that it has come to its end."""
    ended = False
    for record in filter(None, map(record_of, lines_of(events))):
        told = record.get("properties")
        ended = record.get("event") == "exit" and text_at(told, "reason").startswith("Completed")
        if record.get("event") == "message_send":
            used = count_at(told, "prompt_tokens"), count_at(told, "completion_tokens")
            cost = number_at(told, "cost") or None
            story.add(Usage(model or text_at(told, "main_model"), input=used[0], output=used[1], cost_usd=cost))
    story.cost_usd = next((each.cost_usd for each in story.usage.values()), None)
    story.finished = story.finished and ended


def _latest(histories: Path) -> str | None:
    def written_at(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    names = [path.stem for path in sorted(histories.glob("*.md"), key=written_at)]
    return session_at({"name": names[-1]}, "name") if names else None
