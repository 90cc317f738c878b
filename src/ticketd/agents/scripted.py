"""The built-in scripted agent: does what the `agent:` lines of its brief say. For the demo, tests and dry runs."""

from __future__ import annotations

import sys
from pathlib import Path

from ticketd.agents.command import CommandAgent
from ticketd.ports import Launch, Task

PROGRAM = Path(__file__).with_name("scripted_program.py")


class ScriptedAgent(CommandAgent):
    """A command like any other, whose program comes with ticketd."""

    name = "scripted"

    def launch(self, task: Task) -> Launch:
        return Launch((sys.executable, "-I", "-S", str(PROGRAM)))
