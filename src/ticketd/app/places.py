"""Where things are in the state directory."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from ticketd.domain.attempt import AttemptKey


def make_private(directory: Path) -> None:
    """With all that is missing above it; `mkdir` gives its mode to the last one only."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def close_to_others(state: Path) -> None:
    """The state directory and what lies in it at the top, whoever made it and with whatever umask. Below that, git's
    modes stand: nobody else gets there."""
    for each in (state, *state.iterdir()):
        mode = stat.S_IMODE(each.lstat().st_mode)
        if mode & 0o077 and not each.is_symlink():
            each.chmod(mode & 0o700)


@dataclass(frozen=True, slots=True)
class Places:
    """Paths below one repository's state directory."""

    state: Path

    @property
    def store(self) -> Path:
        return self.state / "store.db"

    @property
    def last_good_settings(self) -> Path:
        return self.state / "ticketd.toml"

    @property
    def control(self) -> Path:
        return self.state / "control.git"

    @property
    def gate(self) -> Path:
        return self.state / "gate.git"

    @property
    def daemon_log(self) -> Path:
        return self.state / "daemon.log"

    @property
    def runs(self) -> Path:
        return self.state / "runs"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def run_dir(self, key: AttemptKey) -> Path:
        return self.runs / key.ticket / str(key.number)

    def brief(self, key: AttemptKey) -> Path:
        return self.run_dir(key) / "brief.md"

    def notes(self, key: AttemptKey) -> Path:
        """Where a running agent is told what it should know, a line each."""
        return self.run_dir(key) / "notes.md"

    def side_run_dir(self, key: AttemptKey, what: str) -> Path:
        """Of a process run for an attempt beside its agent: its `setup` or `verify` steps."""
        return self.runs / key.ticket / f"{key.number}-{what}"

    def run_dirs(self) -> list[Path]:
        return sorted(self.runs.glob("[a-z0-9]*/*"))

    def side_run_dirs(self) -> list[Path]:
        """All there are, but those of people's pushes, which no daemon has begun."""
        return sorted((self.state / "runs").glob("[a-z0-9]*/*-*"))

    def log(self, key: AttemptKey, what: str = "agent") -> Path:
        return self.logs / key.ticket / f"{key.number}.{what}.log"

    @property
    def worktrees(self) -> Path:
        return self.state / "worktrees"

    def worktree(self, name: str) -> Path:
        return self.worktrees / name

    @property
    def agents(self) -> Path:
        return self.state / "agents"

    def agent_home(self, ticket: str, profile: str) -> Path:
        """Where the agents of a ticket have their configuration and sessions, if not where the person's are."""
        return self.agents / ticket / profile

    def home(self, name: str) -> Path:
        """What a worktree's processes have for a home directory in the sandbox."""
        return self.state / "homes" / name
