"""Any command: exit 0 is done, 75 (EX_TEMPFAIL) is later, anything else has failed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ticketd.agents.story import how
from ticketd.ports import AgentResult, Exited, Launch, Said, Task

LATER = 75


class CommandAgent:
    """Satisfies `ports.Agent`. What it says is for people only."""

    name = "command"
    program = ""
    keys: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    resumes = False
    resumes_elsewhere = False
    reads_lines = False
    tells_usage = True

    def launch(self, task: Task) -> Launch:
        return Launch(task.profile.command)

    def read(self, line: str) -> Iterable[Said]:
        return ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        if exited is None:
            return AgentResult("failed", f"nobody knows how the agent ended; its output is in {log}")
        if exited.code == 0:
            return AgentResult("done")
        if exited.code == LATER:
            return AgentResult("later", "the agent asked to be run later (exit code 75)")
        return AgentResult("failed", f"{how(exited)}; its output is in {log}")
