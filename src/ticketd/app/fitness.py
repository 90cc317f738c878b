"""Whether the agents of `ticketd.toml` can work, for `ticketd doctor`. Pure: what was found comes in, words go out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ticketd.app.doctor import Check
from ticketd.domain.attempt import Attempt
from ticketd.domain.settings import AgentProfile
from ticketd.domain.ticket import Reason
from ticketd.ports import Agent


class Program(StrEnum):
    """Whether an agent's program can be run in a worktree."""

    FOUND = "found"
    MISSING = "missing"
    NOT_EXECUTABLE = "not executable"
    UNTRACKED = "untracked"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Known:
    """What the program of a preset tells without asking a model. `version`: None if it does not answer; `access`: the
    keys that are set, or else the login that is there, in words."""

    version: str | None
    access: str


Find = Callable[[str], Program]
Look = Callable[[AgentProfile], Known]


def program_of(command: Sequence[str]) -> str:
    """What a command runs; past `env NAME=VALUE …` and `sh -c "exec …"`."""
    rest = list(command)
    if rest and rest[0].rpartition("/")[2] == "env":
        rest = list(itertools.dropwhile(lambda word: "=" in word or word.startswith("-"), rest[1:])) or rest
    match rest:
        case ["sh" | "bash", "-c", script, *_] if script.startswith("exec "):
            return script.split()[1]
    return rest[0] if rest else ""


def check_agents(
    profiles: Mapping[str, AgentProfile], presets: Mapping[str, Agent], find: Find, look: Look
) -> tuple[Check, ...]:
    if not profiles:
        mend = 'Name one in ticketd.toml, as in: [agents.default] preset = "claude"'
        return (Check("agents", False, "no agent is configured, so `ticketd start` has nobody to run", mend),)
    return tuple(_check_agent(profile, presets[profile.preset], find, look) for profile in profiles.values())


def _check_agent(profile: AgentProfile, agent: Agent, find: Find, look: Look) -> Check:
    name, program = f"agent {profile.name}", program_of(profile.command or (agent.program,))
    if not program:
        return Check(name, True, f"preset {profile.preset}, which comes with ticketd")
    found = find(program)
    if found is Program.FOUND:
        return _check_known(profile, agent, look(profile)) if agent.program else Check(name, True, program)
    return _check_lacking(name, program, found)


def _check_known(profile: AgentProfile, agent: Agent, known: Known) -> Check:
    name, program = f"agent {profile.name}", program_of(profile.command or (agent.program,))
    if known.version is None:
        return Check(name, False, f"`{program} --version` does not answer", "Install it anew, or mend its `command`.")
    said = f"{profile.preset} {known.version}".rstrip()
    if known.access:
        return Check(name, True, f"{said}, with {known.access}")
    mend = f"Log in with `{program}` once, or set {agent.keys[0]} and name it in `env` under [agents.{profile.name}]."
    return Check(name, "warn", f"{said}, and neither a key nor a login of it is to be seen here", mend)


def _check_lacking(name: str, program: str, found: Program) -> Check:
    match found:
        case Program.MISSING:
            mend = "Install it, or mend the command in ticketd.toml."
            return Check(name, False, f"there is no program `{program}`", mend)
        case Program.NOT_EXECUTABLE:
            return Check(name, False, f"{program} is not executable", f"chmod +x {program}")
        case Program.UNTRACKED:
            mend = "Commit it, or name it in `copy` under [worktrees]."
            return Check(name, "warn", f"{program} is not in git, so worktrees are without it", mend)
        case Program.HIDDEN:
            mend = "Name its directory, and those of what it needs, in `read` under [sandbox]."
            return Check(name, False, f"{program} lies where the sandbox does not show it", mend)
        case Program.FOUND:
            raise AssertionError(found)


def check_answer(profile: str, attempt: Attempt | None, why: str, log: str) -> Check:
    """Of a dry call. `attempt`: the one that was made of it, with its end; `why`: what has become of its ticket; `log`:
    where its output is, kept if it has failed."""
    name = f"dry call {profile}"
    if attempt is None or attempt.ended_at is None:
        return Check(name, False, why or "it has not answered in time", f"Look at what was said: {log}")
    if attempt.reason is Reason.NO_CHANGES or (attempt.reason is None and attempt.tip not in (None, attempt.base)):
        return Check(name, True, _answered(attempt))
    return Check(name, False, (why or attempt.detail).removesuffix(f"; its output is in {log}"), f"Its output: {log}")


def _answered(attempt: Attempt) -> str:
    report, took = attempt.report, (attempt.ended_at or 0.0) - (attempt.started_at or 0.0)
    tokens = sum(each.input + each.output + each.cache_read + each.cache_write for each in report.usage)
    said = f"“{' '.join(report.said.split())[:40]}” " if report.said else ""
    parts = [f"in {took:.0f} s", *([f"{tokens} tokens"] if tokens else [])]
    parts += [f"${report.cost_usd:.4f}"] if report.cost_usd is not None else []
    return f"answered {said}({', '.join(parts)})"
