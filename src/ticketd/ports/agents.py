"""Agent CLIs: how each is started, what a line of its output means, and what its run came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ticketd.domain.report import NOTHING_REPORTED, Report, Usage
from ticketd.domain.settings import AgentProfile
from ticketd.ports.processes import Exited


@dataclass(frozen=True, slots=True)
class Task:
    """What an agent is started for. `brief`: a file; it is the standard input too, unless the adapter has another.
    `home`: a directory of this ticket and profile alone, kept from attempt to attempt; `own_home`: whether the agent's
    configuration and sessions go there, instead of where the person's are. `session`: one of an earlier attempt to go
    on with; the brief is the follow-up then. `fresh`: a UUID, for those that let the caller name a new session.
    `environ`: what the agent's environment will be. `budget_usd`: what it may cost at most, as far as is known."""

    profile: AgentProfile
    brief: Path
    home: Path
    own_home: bool
    environ: Mapping[str, str]
    session: str | None = None
    fresh: str = ""
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """`env` comes on top of the environment; `files`: what is written below `Task.home` before, by relative path.
    `reads_brief`: whether the brief is its standard input; else that is empty."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    reads_brief: bool = True


class SaidKind(StrEnum):
    """`ACTION`: what it does (a command, an edit); `RESULT`: what came of the action; `TROUBLE`: what its provider or
    itself complains of; `USAGE`: tokens of one answer of the model."""

    TEXT = "text"
    ACTION = "action"
    RESULT = "result"
    TROUBLE = "trouble"
    USAGE = "usage"


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that a line of an agent's log says. `failed`: of a result. `usage`: what that answer used (its name is
    the text, where it is told several times; the last counts), for what it costs while it runs; the end's own sum
    is in the report."""

    kind: SaidKind
    text: str = ""
    failed: bool = False
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class AgentResult:
    """What an agent's run came to: `done`, `later` (rate limit, overload) or `failed`. `until`: with `later`, when its
    account may be asked again (epoch seconds), if the provider said so. `whole_session`: the report counts all runs
    of its session, not this one alone. `unusable`: with `failed`, that its profile can do nothing until a person
    mends it: no valid key, no credit."""

    outcome: str
    detail: str = ""
    until: float | None = None
    report: Report = NOTHING_REPORTED
    whole_session: bool = False
    unusable: bool = False


class Agent(Protocol):
    """One agent CLI. Nothing here starts a process or waits; no line of a log, whatever is in it, is an error.

    `name`: the preset's; `program`: what is looked for on PATH, empty if that is the profile's command; `resumes`:
    whether it can go on with a session of an earlier run; `resumes_elsewhere`: started in another directory, too, and
    then works in that one; `reads_lines`: whether `read` says anything at all; `tells_usage`: whether it says what was
    used, while the agent runs: else only `read_result` knows; `keys`: the variables that it may take a key from, any of
    them; `variables`: others that it reads, of which endpoint and so on; `logins`: what a login leaves below the home
    directory of the person.
    """

    name: str
    program: str
    keys: tuple[str, ...]
    variables: tuple[str, ...]
    logins: tuple[str, ...]
    resumes: bool
    resumes_elsewhere: bool
    reads_lines: bool
    tells_usage: bool

    def launch(self, task: Task) -> Launch: ...

    def read(self, line: str) -> Iterable[Said]:
        """What one line of the log says, for people who follow it, for loops and for the budget."""

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        """From the exit and the log together: an exit code of 0 alone proves nothing. None: nobody knows how it ended;
        only the report is of use then, as for one that was ended."""
