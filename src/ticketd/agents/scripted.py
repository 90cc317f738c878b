"""The built-in scripted agent: does what the `agent:` lines of its brief say. For the demo, tests and dry runs."""

from __future__ import annotations

import sys
from pathlib import Path

from ticketd.agents.command import CommandAgent
from ticketd.domain.settings import AgentProfile

PROGRAM = Path(__file__).with_name("scripted_program.py")


class ScriptedAgent(CommandAgent):
    """A command like any other, whose program comes with ticketd."""

    def argv(self, profile: AgentProfile) -> tuple[str, ...]:
        return (sys.executable, "-I", "-S", str(PROGRAM))
