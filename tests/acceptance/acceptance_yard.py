"""A yard: an origin, a user's clone of it with tickets, and the real daemon as a process of its own."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ticketd.store import open_store

SCRIPTED = '[agents.default]\npreset = "scripted"\n'
PATIENCE_S = 60.0


def git(where: Path, *args: str, ok: bool = True) -> str:
    done = subprocess.run(["git", *args], cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not ok, done.stderr
    return done.stdout.strip()


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Until a condition holds; a generous limit only so that a broken test ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"never came true: {what}"
        select.select([], [], [], 0.02)


@dataclass
class Yard:
    """`work` is the user's checkout; everything ticketd keeps is under `state`."""

    root: Path
    origin: Path
    work: Path
    state: Path
    daemons: list[subprocess.Popen[str]] = field(default_factory=list)

    def config(self, text: str = "", agent: str = SCRIPTED) -> None:
        (self.work / "ticketd.toml").write_text(text + "\n" + agent)

    def ticket(self, id_: str, *, touches: str, does: tuple[str, ...] = (), **front: object) -> Path:
        lines = [f"{key}: {json.dumps(value)}" for key, value in front.items()]
        body = "\n".join(f"agent: {step}" for step in does)
        path = self.work / "tickets" / f"{id_}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(["---", f'touches: ["{touches}"]', *lines, "---", f"# {id_}", "", body, ""]))
        return path

    def command(self, *args: str, where: Path | None = None) -> list[str]:
        return [sys.executable, "-m", "ticketd", "--repo", str(where or self.work), *args]

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*args), capture_output=True, text=True, timeout=120, check=False)

    def until_idle(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self.run("start", "--until-idle", *args)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """A daemon in a process of its own; ended with the test if it has not ended before."""
        log = (self.root / f"daemon-{len(self.daemons)}.out").open("w+")
        daemon = subprocess.Popen(self.command("start", *args), stdout=log, stderr=log, text=True)
        log.close()
        self.daemons.append(daemon)
        return daemon

    def json(self, *args: str) -> Any:
        done = self.run(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def status(self) -> Any:
        return self.json("status")

    def ticket_line(self, id_: str) -> Any:
        return next(line for line in self.json("list")["tickets"] if line["id"] == id_)

    def state_of(self, id_: str) -> str:
        return str(self.ticket_line(id_)["state"])

    def wait_for_state(self, id_: str, state: str) -> None:
        wait_until(lambda: self.state_of(id_) == state, f"{id_} is {state}")

    def subjects(self) -> list[str]:
        """What is on main, oldest first."""
        return git(self.origin, "log", "--reverse", "--format=%s", "main").splitlines()

    def file(self, path: str) -> str:
        return git(self.origin, "show", f"main:{path}")

    def push_by_hand(self, path: str, text: str) -> str:
        """Somebody else moves main, and tries again where ticketd was faster."""
        other = self.root / "other"
        if not other.exists():
            git(self.root, "clone", "-q", str(self.origin), str(other))
        git(other, "pull", "-q", "--rebase")
        (other / path).write_text(text)
        git(other, "add", "-A")
        git(other, "commit", "-q", "-m", f"by hand: {path}")
        push = ["git", "push", "-q", "origin", "HEAD:main"]
        while subprocess.run(push, cwd=other, capture_output=True, check=False).returncode:
            git(other, "pull", "-q", "--rebase")
        return git(other, "rev-parse", "HEAD")

    def assert_events_tell_all(self) -> None:
        """Whatever a test was about: its events replay to what the store holds."""
        for path in self.state.glob("ticketd/*/store.db"):
            store = open_store(path)
            assert store.disagreements() == []
            store.close()

    @property
    def control(self) -> Path:
        return next(self.state.glob("ticketd/*/control.git"))


def make_yard(root: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    state = root / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    origin, work = root / "origin.git", root / "work"
    git(root, "init", "-q", "--bare", str(origin))
    git(origin, "config", "core.logAllRefUpdates", "always")
    git(root, "init", "-q", str(work))
    (work / "README.md").write_text("a project\n")
    (work / ".gitignore").write_text("/tickets/\n/ticketd.toml\n")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "first")
    git(work, "remote", "add", "origin", str(origin))
    git(work, "push", "-q", "-u", "origin", "main")
    yard = Yard(root, origin, work, state)
    yard.config()
    return yard


@contextmanager
def lent_yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    """For one test: no daemon outlives it."""
    made = make_yard(tmp_path, monkeypatch)
    yield made
    for daemon in made.daemons:
        if daemon.poll() is None:
            daemon.terminate()
            daemon.wait(timeout=60)
    made.assert_events_tell_all()
