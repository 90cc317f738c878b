"""Any command: exit 0 is done, 75 (EX_TEMPFAIL) is later, anything else has failed."""

from __future__ import annotations

from pathlib import Path

from ticketd.domain.settings import AgentProfile
from ticketd.ports import AgentResult, Exited

LATER = 75


class CommandAgent:
    """Satisfies `ports.Agent`."""

    def argv(self, profile: AgentProfile) -> tuple[str, ...]:
        return profile.command

    def read_result(self, exited: Exited, log: Path) -> AgentResult:
        if exited.code == 0:
            return AgentResult("done")
        if exited.code == LATER:
            return AgentResult("later", "the agent asked to be run later (exit code 75)")
        return AgentResult("failed", f"{_how(exited)}; its output is in {log}")


def _how(exited: Exited) -> str:
    return f"the agent ended with exit code {exited.code}" if exited.signal is None else f"signal {exited.signal}"
