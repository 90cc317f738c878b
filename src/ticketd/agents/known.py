"""Agent CLIs that `ticketd init` looks for on PATH, with the command lines by which they run without a person.

Each reads its prompt on standard input; one that cannot is given the brief's file by way of `sh`. Flags were tried with
the versions of November 2026. All of them let the agent work without asking: nobody is there to answer, and a tool that
is denied ends most of these with exit code 0 and nothing done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ticketd.domain.settings import AgentProfile, Argv

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """`env`: the variables it takes its key from, if they are set; a login kept in HOME works without."""

    program: str
    command: Argv
    env: tuple[str, ...]


def _with_brief(script: str) -> Argv:
    return ("sh", "-c", script)


ANY_KEY = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY")

KNOWN = (
    KnownAgent(
        "claude",
        ("claude", "-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"),
        ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN"),
    ),
    # The sandbox stays on: it keeps codex from committing in a linked worktree, which ticketd does for it.
    KnownAgent(
        "codex",
        ("codex", "exec", "--json", "--sandbox", "workspace-write", "-"),
        ("OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_HOME"),
    ),
    # Without trust it exits 55; with its relaunch on, a signal reaches the launcher only.
    KnownAgent(
        "gemini",
        (
            *("env", "GEMINI_CLI_TRUST_WORKSPACE=true", "GEMINI_CLI_NO_RELAUNCH=true"),
            *("gemini", "--approval-mode", "yolo", "-o", "stream-json"),
        ),
        ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_CLOUD_PROJECT"),
    ),
    KnownAgent("opencode", ("opencode", "run", "--format", "json", "--auto"), ANY_KEY),
    KnownAgent(
        "qwen",
        ("qwen", "--approval-mode", "yolo", "-o", "stream-json"),
        ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"),
    ),
    KnownAgent(
        "copilot",
        ("copilot", "--allow-all-tools", "--no-auto-update", "--no-color", "--no-ask-user"),
        ("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"),
    ),
    KnownAgent(
        "aider",
        _with_brief(
            "exec aider --yes-always --no-pretty --no-stream --no-fancy-input --no-gitignore --no-detect-urls"
            " --no-check-update --chat-history-file /dev/null --input-history-file /dev/null"
            ' --map-tokens 0 --message-file "$TICKETD_BRIEF"'
        ),
        ANY_KEY,
    ),
    KnownAgent(
        "mini",
        _with_brief('exec mini -y --exit-immediately -t "$(cat "$TICKETD_BRIEF")"'),
        ANY_KEY,
    ),
    # Its JSON mode exits 0 on every error; the text mode does not.
    KnownAgent("pi", ("pi", "-p"), ANY_KEY),
    KnownAgent(
        "kimi",
        _with_brief('exec kimi --output-format stream-json -p "$(cat "$TICKETD_BRIEF")"'),
        ("KIMI_MODEL_NAME", "KIMI_MODEL_API_KEY", "KIMI_MODEL_BASE_URL"),
    ),
)


def find_installed(which: Callable[[str], str | None]) -> tuple[KnownAgent, ...]:
    """Those of which `which` finds the program, in order of preference."""
    return tuple(agent for agent in KNOWN if which(agent.program))


def profiles_of(agents: tuple[KnownAgent, ...]) -> tuple[AgentProfile, ...]:
    """A profile for each; the first one is the default."""
    return tuple(
        AgentProfile(name=agent.program if number else DEFAULT, command=agent.command, env=agent.env)
        for number, agent in enumerate(agents)
    )
