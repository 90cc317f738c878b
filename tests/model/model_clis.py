"""The agent CLIs that scripts/agent-clis installs: where each is, and how it is pointed at the scripted model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

KEY = "a-key-of-the-tests"


def installed_in() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("AGENT_CLIS") or cache / "ticketd-agent-clis")


# Where they are is asked once, before a test gives itself another home.
CLIS = installed_in()


@dataclass(frozen=True, slots=True)
class Cli:
    """`base`: the variable with the address of its model, and `under` what of the address it wants; `key`: the
    variable with the key; `more`: what it needs beside these.

    What it cannot do: `resumes`: whether it can be given a follow-up; `has_shell`: whether it can run a command;
    `tells_cached`: whether it makes a difference between tokens that were cached and others; `own_price`: where it
    tells dollars itself, by a list of its own, what it reckons with (USD per million: input, output, cached).

    `stall_s`: how long it may be still before it is taken to hang; one test waits for that. One that begins in a second
    or two needs little, others begin eight at once for a minute on a loaded machine."""

    name: str
    model: str
    base: str
    key: str
    under: str = "/v1"
    more: dict[str, str] = field(default_factory=dict)
    resumes: bool = True
    has_shell: bool = True
    tells_cached: bool = True
    own_price: tuple[float, float, float] | None = None
    stall_s: int = 15

    def environ(self, url: str) -> dict[str, str]:
        return {self.base: f"{url}{self.under}", self.key: KEY, **self.more}

    def path(self) -> str:
        """What is put before PATH; a newer node comes first, where one had to be installed."""
        places = (CLIS / "node22/node_modules/.bin", *self._places())
        return os.pathsep.join(str(place) for place in places)

    def is_installed(self) -> bool:
        return any((place / self.name).exists() for place in self._places())

    def _places(self) -> tuple[Path, ...]:
        return CLIS / self.name / "node_modules/.bin", CLIS / self.name / "v/bin"

    def profile(self, name: str, **more: object) -> str:
        """Its section of ticketd.toml."""
        keys = {"preset": self.name, "model": self.model, "env": [self.base, self.key, *self.more], **more}
        lines = (f"{key} = {json.dumps(value)}" for key, value in keys.items())
        return "\n".join([f"[agents.{name}]", *lines, ""])


GPT_4O = (2.5, 10.0, 1.25)
"""By LiteLLM's list, which aider and mini-swe-agent bring along: an agent's own word of dollars goes before a price."""

ALL = {
    cli.name: cli
    for cli in (
        Cli("claude", "claude-sonnet-4-5", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", under="", stall_s=8),
        Cli("codex", "gpt-5", "OPENAI_BASE_URL", "OPENAI_API_KEY", stall_s=8),
        Cli("gemini", "gemini-2.5-pro", "GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY", under=""),
        Cli("opencode", "gpt-5", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
        Cli("qwen", "qwen3-coder-plus", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
        Cli("copilot", "gpt-5", "COPILOT_PROVIDER_BASE_URL", "COPILOT_PROVIDER_API_KEY"),
        Cli("pi", "gpt-5", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
        Cli(
            *("kimi", "gpt-5", "KIMI_MODEL_BASE_URL", "KIMI_MODEL_API_KEY"),
            more={"KIMI_MODEL_PROVIDER_TYPE": "openai"},
        ),
        # aider has no tools. Its edits are text that repeats what it replaces, so no answer that is written beforehand
        # can mend what it will find; and it cannot wait for a test, which a conflict must.
        Cli(
            *("aider", "gpt-4o", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
            resumes=False,
            has_shell=False,
            tells_cached=False,
            own_price=GPT_4O,
        ),
        # mini-swe-agent keeps no conversations: it begins each attempt with the whole brief.
        Cli("mini", "gpt-4o", "OPENAI_BASE_URL", "OPENAI_API_KEY", own_price=GPT_4O, resumes=False),
    )
}


def present() -> Iterator[Cli]:
    return (cli for cli in ALL.values() if cli.is_installed())
