"""What the model does in a run: the plan that a test has written for a ticket, and where in it a conversation stands.

A prompt that holds `TICKETD-RUN name` is of the run of that name. How far a run has got is read off the conversation
itself, so any number of them go side by side and a session that is taken up again goes on where it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from shlex import quote

from model_talk import Asked, Json, Refusal, Turn, least

RUN = re.compile(r"TICKETD-RUN ([\w.-]+)")
POINTER = re.compile(r"Read the file (/\S+) and do what it says")
"""The prompt of an agent that takes its own from nowhere but the command line, which is too short for a brief."""
SHELLS = (
    "Bash",
    "bash",
    "exec_command",
    "shell_command",
    "shell",
    "run_shell_command",
    "execute_command",
    "run_commands",
    "run_terminal_command",
    "terminal",
)
MINI_ENDS = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"  # mini-swe-agent ends with a command, not with words
AIDER = "SEARCH/REPLACE"  # aider has no tools: its edits are text


@dataclass(frozen=True, slots=True)
class Write:
    """The whole of a file, as a step."""

    path: str
    text: str

    @property
    def command(self) -> str:
        folder = str(PurePosixPath(self.path).parent)
        return f"mkdir -p {quote(folder)} && printf '%s\\n' {quote(self.text)} > {quote(self.path)}"

    @property
    def block(self) -> str:
        return f"{self.path}\n```\n<<<<<<< SEARCH\n=======\n{self.text}\n>>>>>>> REPLACE\n```"


Step = Write | str
SAYS = {401: "Invalid API key", 429: "Rate limit reached for this organization", 503: "Overloaded", 529: "Overloaded"}
"""As vendors word it: an adapter that knows no better way goes by the words."""


@dataclass(frozen=True, slots=True)
class Part:
    """From one prompt on: commands of the shell tool, one a turn, then the last words. `heard`: the prompts that begin
    it, by words that they hold; the last part that fits counts. `loops`: after its steps it goes on with this command,
    for ever."""

    steps: tuple[Step, ...] = ()
    say: str = "All done."
    heard: str = ""
    loops: str | None = None


class Trouble(StrEnum):
    """`SILENT`: accepted, and never answered; `PINGS`: a stream that only says that it is alive; `CUT`: one that ends
    in the middle."""

    REFUSED = "refused"
    IN_STREAM = "in-stream"
    SILENT = "silent"
    PINGS = "pings"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Fault:
    """`times`: how many requests of the run meet it, None: all; `after`: only those that come after so many steps."""

    trouble: Trouble = Trouble.REFUSED
    status: int = 429
    times: int | None = 1
    after: int = 0
    retry_after: str | None = None

    @property
    def refusal(self) -> Refusal:
        return Refusal(self.status, SAYS.get(self.status, "Internal server error"), self.retry_after)


@dataclass(frozen=True, slots=True)
class Plan:
    """`scale`: its answers use so many times the tokens of others."""

    parts: tuple[Part, ...] = (Part(),)
    faults: tuple[Fault, ...] = ()
    scale: int = 1


def run_of(asked: Asked) -> str | None:
    """The latest that the conversation names."""
    said = [asked.system, *(turn.text for turn in asked.turns if turn.role != "assistant")]
    named = [name for text in said for name in RUN.findall(text)]
    return named[-1] if named else None


def place_of(plan: Plan, turns: Iterable[Turn]) -> tuple[Part, int]:
    """The part that the last prompt has begun, and how many of its steps have been taken."""
    part, step = plan.parts[0], 0
    for turn in turns:
        if turn.role == "assistant":
            step += turn.calls
        elif (begun := _begun(plan, turn.text)) is not None:
            part, step = begun, 0
    return part, step


def _begun(plan: Plan, text: str) -> Part | None:
    """By a prompt, or by the file that one names: what comes of reading it is what a tool says."""
    fits = (part for part in reversed(plan.parts) if (part.heard or "TICKETD-RUN ") in text)
    named = POINTER.search(text)
    return next(fits, Part((f"cat {quote(named[1])}",)) if named else None)


def is_main(asked: Asked) -> bool:
    """Whether the agent itself asks, not something beside it that wants a title or a summary."""
    return shell_of(asked) is not None or AIDER in asked.system


def shell_of(asked: Asked) -> str | None:
    return next((name for name in SHELLS if name in asked.tools), None)


def speech(plan: Plan, asked: Asked) -> tuple[str, tuple[str, Json] | None]:
    """What the agent's model says, and the tool that it calls."""
    part, step = place_of(plan, asked.turns)
    shell = shell_of(asked)
    if shell is None:
        return "\n\n".join([part.say, *(each.block for each in part.steps if isinstance(each, Write))]), None
    command = _command(part, step, asked)
    if command is None:
        return part.say, None
    return f"Step {step + 1}.", (shell, least({"type": "object", **asked.tools[shell]}, command=command))


def _command(part: Part, step: int, asked: Asked) -> str | None:
    if step < len(part.steps):
        taken = part.steps[step]
        return taken if isinstance(taken, str) else taken.command
    if part.loops is not None:
        return part.loops
    ends = step == len(part.steps) and any(MINI_ENDS in turn.text for turn in asked.turns if turn.role == "user")
    return f"echo {MINI_ENDS}" if ends else None
