"""Where things are in the state directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ticketd.domain.attempt import AttemptKey


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

    def log(self, key: AttemptKey, what: str = "agent") -> Path:
        return self.logs / key.ticket / f"{key.number}.{what}.log"

    def worktree(self, name: str) -> Path:
        return self.state / "worktrees" / name
