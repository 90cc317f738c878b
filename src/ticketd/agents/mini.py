"""mini-swe-agent. What it did and what that cost is in a file of its own, the trajectory; its output is for people."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ticketd.agents.jsonlines import (
    LONGEST_LINE,
    Record,
    at,
    count_at,
    document_of,
    items_at,
    lines_of,
    number_at,
    text_at,
)
from ticketd.agents.provider import Trouble
from ticketd.agents.story import Story
from ticketd.domain.report import Usage
from ticketd.ports import AgentResult, Exited, Launch, Said, Task

TRAJECTORY = "mini/trajectory.json"
LARGEST = 4 * LONGEST_LINE


class MiniAgent:
    """Satisfies `ports.Agent`. It takes its prompt as an argument only, and knows no sessions."""

    name = "mini"
    program = "mini"
    keys: tuple[str, ...] = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY")
    variables: tuple[str, ...] = ("OPENAI_BASE_URL",)
    logins: tuple[str, ...] = (".config/mini-swe-agent/.env",)
    resumes = False
    resumes_elsewhere = False
    reads_lines = False
    tells_usage = False

    def launch(self, task: Task) -> Launch:
        profile, endpoint = task.profile, task.environ.get("OPENAI_BASE_URL")
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                *("--yolo", "--exit-immediately", "--cost-limit", f"{task.budget_usd or 0:.4f}"),
                *("--config", "mini.yaml", "--config", "model.model_kwargs.max_retries=0"),
                *(("--model", _model(profile.model, endpoint)) if profile.model else ()),
                *("--output", str(task.home / TRAJECTORY)),
                *("--task", f"Read the file {task.brief} and do what it says."),
                *profile.args,
            ),
            env={
                "MSWEA_CONFIGURED": "true",
                "MSWEA_SILENT_STARTUP": "1",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "1",
                "MSWEA_COST_TRACKING": "ignore_errors",
                **({"OPENAI_API_BASE": endpoint} if endpoint else {}),
                **({"MSWEA_GLOBAL_CONFIG_DIR": str(task.home / "mini")} if task.own_home else {}),
            },
            files={TRAJECTORY: ""},  # or it would be an earlier attempt's if this one dies before it writes
            reads_brief=False,
        )

    def read(self, line: str) -> Iterable[Said]:
        return ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        story, record = Story(), document_of(home / TRAJECTORY, LARGEST)
        for line in lines_of(log):
            story.put_aside(line)
        if record is not None:
            for message in items_at(record, "messages"):
                _told(story, message)
            _end(story, record)
        return story.result(exited, log)


def _model(model: str, endpoint: str | None) -> str:
    return f"openai/{model}" if endpoint and not model.startswith("openai/") else model


def _told(story: Story, message: object) -> None:
    response = at(message, "extra", "response")
    if not isinstance(response, dict):
        return
    story.turns = (story.turns or 0) + 1
    story.said = text_at(message, "content").strip() or story.said
    cached = count_at(response, "usage", "prompt_tokens_details", "cached_tokens")
    used = Usage(
        text_at(response, "model"),
        input=max(0, count_at(response, "usage", "prompt_tokens") - cached),
        output=count_at(response, "usage", "completion_tokens"),
        cache_read=cached,
        cost_usd=number_at(message, "extra", "cost") or None,
    )
    story.add(used)


def _end(story: Story, record: Record) -> None:
    """A model without a price costs 0 there."""
    story.cost_usd = number_at(record, "info", "model_stats", "instance_cost") or None
    status = text_at(record, "info", "exit_status")
    story.finished = status == "Submitted"
    match status:
        case "Submitted" | "":
            pass
        case "LimitsExceeded":
            story.failure = "it came to its limit of cost or of steps before it was done"
        case "RepeatedFormatError":
            story.failure = "its model did not call its tool, each time that it was asked"
        case _:
            said = [text_at(message, "extra", "exception_str") for message in items_at(record, "messages")[-1:]]
            story.trouble = Trouble(said[0] if said and said[0] else status)
