"""A repository with ticketd set up, and the real command line in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.globs import NOTHING
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.ticket import TicketState
from ticketd.git.repository import find, state_dir
from ticketd.store import SqliteStore, open_store

SCRIPTED = '[agents.default]\npreset = "scripted"\n'


def git(where: Path, *args: str, ok: bool = True) -> str:
    done = subprocess.run(["git", *args], cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not ok, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Hands:
    """`work` is the user's checkout, a clone of `origin`."""

    origin: Path
    work: Path

    @property
    def state(self) -> Path:
        return state_dir(find(self.work).common_dir, os.environ)

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "ticketd", "--repo", str(self.work), *args]

    def run(self, *args: str, stdin: bytes = b"", where: Path | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*args), input=stdin, capture_output=True, cwd=where or self.work, check=False
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return subprocess.CompletedProcess(args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *args: str, stdin: bytes = b"") -> str:
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def refused(self, code: int, *args: str, stdin: bytes = b"") -> str:
        done = self.run(*args, stdin=stdin)
        assert (done.returncode, done.stdout) == (code, ""), (done.stdout, done.stderr)
        return done.stderr

    def json(self, *args: str, code: int = 0) -> Any:
        done = self.run(*args, "--json")
        assert done.returncode == code, (done.stdout, done.stderr)
        document = json.loads(done.stdout)
        assert document["schema"] == 1
        return document

    def ticket(self, id_: str, *does: str, touches: str | None = None, **front: object) -> Path:
        lines = [f"{key}: {json.dumps(value)}" for key, value in front.items()]
        body = "\n".join(f"agent: {step}" for step in does)
        path = self.work / "tickets" / f"{id_}.md"
        # A pattern without a slash would match in any folder, and so overlap with every other one of that kind.
        path.write_text(
            "\n".join(["---", f'touches: ["/{touches or id_}.txt"]', *lines, "---", f"# {id_}", "", body, ""])
        )
        return path

    @contextmanager
    def store(self) -> Iterator[SqliteStore]:
        store = open_store(self.state / "store.db")
        try:
            yield store
        finally:
            store.close()

    def state_of(self, id_: str) -> TicketState:
        with self.store() as store:
            record = store.ticket(id_)
            assert record is not None
            return record.state

    def dispatch(self, id_: str, base: str = "0" * 40) -> AttemptKey:
        """The store as a daemon leaves it that dies right after it has given the ticket a slot."""
        with self.store() as store:
            start = Start(id_, len(store.live_attempts()) + 1, "default")
            key = store.dispatch(start, store.board().tickets[id_], base, NOTHING, 1.0)
            assert isinstance(key, AttemptKey), key
            return key

    def fail(self, id_: str) -> None:
        """As after a review that was rejected."""
        with self.store() as store:
            store.ask_to_start(id_, 1.0)
            store.reject(id_, "no", 2.0)


def make_repository(at: Path) -> Hands:
    """One commit, pushed; no set-up of ticketd yet."""
    origin, work = at / "origin.git", at / "work"
    git(at, "init", "-q", "--bare", "-b", "main", str(origin))
    git(at, "clone", "-q", str(origin), str(work))
    (work / "README").write_text("hello\n")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "first")
    git(work, "push", "-q", "-u", "origin", "main")
    return Hands(origin, work)


def make_hands(at: Path) -> Hands:
    hands = make_repository(at)
    (hands.work / "ticketd.toml").write_text(SCRIPTED)
    (hands.work / "tickets").mkdir()
    return hands
