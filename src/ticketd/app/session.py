"""The ports that use cases are given, and the settings in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ticketd.app.places import Places
from ticketd.domain.pool import Stop
from ticketd.domain.secrets import NO_SECRETS, Secrets
from ticketd.domain.settings import AgentProfile, Settings
from ticketd.ports import (
    Agent,
    Bell,
    Clock,
    Engine,
    Forge,
    History,
    Identity,
    Refused,
    Store,
    Target,
    TicketFiles,
    Worktrees,
)


@dataclass(frozen=True, slots=True)
class Session:
    """One repository as commands see it. `ring` wakes a daemon if one runs; `is_running` asks whether one does;
    `no_sandbox` says why there is no sandbox to be had here, and nothing if there is;
    `secrets`: the values that nobody may read, as far as this process can know them."""

    root: Path
    places: Places
    clock: Clock
    store: Store
    files: TicketFiles
    ring: Callable[[], None]
    is_running: Callable[[], bool]
    no_sandbox: Callable[[], str] = lambda: "nobody has looked for it"
    secrets: Callable[[], Secrets] = lambda: NO_SECRETS


@dataclass(frozen=True, slots=True)
class Works:
    """What the daemon has beside the session: hands to work with. `forge`: where pull requests are opened, by the
    settings in force; or why there is none."""

    session: Session
    bell: Bell
    engine: Engine
    history: History
    worktrees: Worktrees
    target: Target
    forge: Callable[[], Forge | Refused]
    identity: Identity
    environ: Mapping[str, str]
    agent_of: Callable[[AgentProfile], Agent]
    settings: Callable[[], Settings]
    doorbell: Path

    def is_stopping(self) -> bool:
        """Whether all is to end at once."""
        return self.session.store.pool().stop is Stop.NOW
