"""mini-swe-agent: what it did and what that cost is in a file of its own, the trajectory; its output is for people."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ticketd.ports import AgentResult, Exited, Launch, Said, Task

TRAJECTORY = "trajectory.json"


class MiniAgent:
    """Satisfies `ports.Agent`. It takes its prompt as an argument only, and knows no sessions."""

    name = "mini"
    program = "mini"
    keys = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY")
    variables = ("OPENAI_BASE_URL",)
    resumes = False
    reads_lines = False

    def launch(self, task: Task) -> Launch:
        profile, endpoint = task.profile, task.environ.get("OPENAI_BASE_URL")
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                *("--yolo", "--exit-immediately", "--cost-limit", str(task.budget_usd or 0)),
                *(("--model", _model(profile.model, endpoint)) if profile.model else ()),
                *("--output", str(task.home / TRAJECTORY)),
                *("--task", f"Read the file {task.brief} and do what it says."),
                *profile.args,
            ),
            env={
                **{"MSWEA_CONFIGURED": "true", "MSWEA_SILENT_STARTUP": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
                **{"MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "2", "MSWEA_COST_TRACKING": "ignore_errors"},
                **({"OPENAI_API_BASE": endpoint} if endpoint else {}),
                **({"MSWEA_GLOBAL_CONFIG_DIR": str(task.home)} if task.own_home else {}),
            },
            files={TRAJECTORY: ""},  # or it would be an earlier attempt's if this one dies before it writes
            reads_brief=False,
        )

    def read(self, line: str) -> Iterable[Said]:
        return ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        return AgentResult("done")


def _model(model: str, endpoint: str | None) -> str:
    return f"openai/{model}" if endpoint and not model.startswith("openai/") else model
