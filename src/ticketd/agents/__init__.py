"""Agents: one small module per agent CLI, and the list of them."""

from __future__ import annotations

from ticketd.agents.command import CommandAgent
from ticketd.agents.scripted import ScriptedAgent
from ticketd.domain.settings import AgentProfile
from ticketd.ports import Agent

PRESETS: dict[str, Agent] = {agent.name: agent for agent in (CommandAgent(), ScriptedAgent())}


def agent_of(profile: AgentProfile) -> Agent:
    return PRESETS[profile.preset]
