"""Agent CLIs that are installed here, and the profiles that `ticketd init` writes for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ticketd.agents import PRESETS
from ticketd.domain.settings import AgentProfile
from ticketd.ports import Agent

DEFAULT = "default"


def find_installed(which: Callable[[str], str | None]) -> tuple[Agent, ...]:
    """Those of which `which` finds the program, in order of preference."""
    return tuple(agent for agent in PRESETS.values() if agent.program and which(agent.program))


def profiles_of(agents: tuple[Agent, ...], environ: Mapping[str, str]) -> tuple[AgentProfile, ...]:
    """A profile for each; the first one is the default. Each takes the variables that are set: whose key is not among
    them works with a login, if there is one."""
    return tuple(
        AgentProfile(
            name=agent.name if number else DEFAULT,
            preset=agent.name,
            env=tuple(name for name in (*agent.keys, *agent.variables) if environ.get(name)),
        )
        for number, agent in enumerate(agents)
    )
