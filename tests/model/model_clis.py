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
    variable with the key; `more`: what it needs beside these; `resumes`: whether it can be given a follow-up."""

    name: str
    model: str
    base: str
    key: str
    under: str = "/v1"
    more: dict[str, str] = field(default_factory=dict)
    resumes: bool = True

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


ALL = {
    cli.name: cli
    for cli in (
        Cli("claude", "claude-sonnet-4-5", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", under=""),
        Cli("codex", "gpt-5", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
        Cli("gemini", "gemini-2.5-pro", "GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY", under=""),
        Cli("opencode", "gpt-5", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
        Cli("qwen", "qwen3-coder-plus", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
        Cli("copilot", "gpt-5", "COPILOT_PROVIDER_BASE_URL", "COPILOT_PROVIDER_API_KEY"),
        Cli("pi", "gpt-5", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
        Cli("kimi", "gpt-5", "KIMI_MODEL_BASE_URL", "KIMI_MODEL_API_KEY", more={"KIMI_MODEL_PROVIDER_TYPE": "openai"}),
        Cli("aider", "gpt-4o", "OPENAI_BASE_URL", "OPENAI_API_KEY", resumes=False),
        Cli("mini", "gpt-4o", "OPENAI_BASE_URL", "OPENAI_API_KEY", resumes=False),
    )
}


def present() -> Iterator[Cli]:
    return (cli for cli in ALL.values() if cli.is_installed())
