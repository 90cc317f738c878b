"""Agents: one small module per agent CLI, and the list of them."""

from __future__ import annotations

from ticketd.agents.aider import AiderAgent
from ticketd.agents.claude import ClaudeAgent
from ticketd.agents.codex import CodexAgent
from ticketd.agents.command import CommandAgent
from ticketd.agents.copilot import CopilotAgent
from ticketd.agents.gemini import GeminiAgent
from ticketd.agents.kimi import KimiAgent
from ticketd.agents.mini import MiniAgent
from ticketd.agents.opencode import OpencodeAgent
from ticketd.agents.pi import PiAgent
from ticketd.agents.qwen import QwenAgent
from ticketd.agents.scripted import ScriptedAgent
from ticketd.domain.settings import AgentProfile
from ticketd.ports import Agent

# In the order in which `ticketd init` prefers them.
_KNOWN: tuple[Agent, ...] = (
    CommandAgent(),
    ScriptedAgent(),
    ClaudeAgent(),
    CodexAgent(),
    GeminiAgent(),
    OpencodeAgent(),
    QwenAgent(),
    CopilotAgent(),
    KimiAgent(),
    PiAgent(),
    AiderAgent(),
    MiniAgent(),
)
PRESETS: dict[str, Agent] = {agent.name: agent for agent in _KNOWN}


def agent_of(profile: AgentProfile) -> Agent:
    return PRESETS[profile.preset]
