"""Kimi Code: what it used is in a file of its session, not in its output."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ticketd.ports import AgentResult, Exited, Launch, Said, Task

QUIET = {"KIMI_CODE_NO_AUTO_UPDATE": "1", "KIMI_DISABLE_TELEMETRY": "1", "KIMI_LOOP_MAX_ATTEMPTS_PER_STEP": "1"}


class KimiAgent:
    """Satisfies `ports.Agent`. It takes its prompt as an argument only."""

    name = "kimi"
    program = "kimi"
    keys = ("KIMI_MODEL_API_KEY", "KIMI_API_KEY")
    variables = ("KIMI_MODEL_NAME", "KIMI_MODEL_BASE_URL", "KIMI_MODEL_PROVIDER_TYPE")
    resumes = True
    reads_lines = True

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
                **({"KIMI_CODE_HOME": str(task.home)} if task.own_home else {}),
            },
            files={"config.toml": "telemetry = false\n"} if task.own_home else {},
            reads_brief=False,
        )

    def read(self, line: str) -> Iterable[Said]:
        return ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        return AgentResult("done")
