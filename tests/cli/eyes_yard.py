"""A repository whose store is staged by hand: tickets in every state, with or without a daemon that "runs"."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ticketd.app.tickets import settings_of, sync
from ticketd.boot.session import Opened, open_session
from ticketd.cli import main
from ticketd.domain.attempt import AttemptKey, Drift
from ticketd.domain.globs import NOTHING
from ticketd.domain.pool import DaemonRecord, TargetRecord
from ticketd.domain.report import NOTHING_REPORTED
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.ticket import Reason
from ticketd.domain.verdict import Fail, ToLanding, Verdict
from ticketd.ports import Kept

BASE, TIP = "b" * 40, "c" * 40
NOW = 1_790_000_000.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    def document(self) -> Any:
        assert self.out.count("\n") == 1, "one document, nothing else"
        return json.loads(self.out)


@dataclass
class Yard:
    root: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    opened: Opened = field(init=False)

    def __post_init__(self) -> None:
        subprocess.run(["git", "init", "-q", str(self.root)], check=True)
        (self.root / "ticketd.toml").write_text('slots = 4\n[agents.default]\npreset = "scripted"\n')
        (self.root / "tickets").mkdir()
        self.opened = open_session(self.root)

    @property
    def session(self) -> Any:
        return self.opened.session

    def ticket(self, id_: str, body: str = "", **front: object) -> None:
        keys = "".join(f"{key}: {json.dumps(value)}\n" for key, value in front.items())
        (self.root / "tickets" / f"{id_}.md").write_text(f"---\n{keys}---\n{body or f'# About {id_}'}\n")

    def sync(self) -> None:
        sync(self.session, settings_of(self.session)[0])

    def start(self, id_: str, slot: int, agent: str = "default") -> AttemptKey:
        """Dispatch it; its agent is said to run."""
        store = self.session.store
        key = store.dispatch(Start(id_, slot, agent), store.ticket(id_), BASE, NOTHING, NOW)
        assert isinstance(key, AttemptKey), key
        store.attempt_started(key, str(slot), 4242, NOW)
        return key

    def finish(self, key: AttemptKey, verdict: Verdict) -> None:
        store = self.session.store
        store.attempt_over(key, 0, "exited", "exit code 0", NOW + 60)
        store.close_attempt(key, Kept(TIP, ("x",)), verdict, NOTHING_REPORTED, NOW + 61, retire=False)

    def log(self, key: AttemptKey, content: bytes, what: str = "agent") -> Path:
        path: Path = self.session.places.log(key, what)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """As long as this lasts, one seems to run."""
        self.opened.lock.take()
        self.session.store.daemon_started(DaemonRecord(os.getpid(), NOW, "local"))
        self.session.store.set_target(TargetRecord("origin", "main", BASE, NOW), NOW)
        try:
            yield
        finally:
            self.opened.lock.release()

    def run(self, *arguments: str) -> Answer:
        """The command line, in this process, to no terminal."""
        self.monkeypatch.setattr(sys, "argv", ["ticketd", "--repo", str(self.root), *arguments])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = self.capsys.readouterr()
        return Answer(int(ended.value.code or 0), said.out, said.err)

    def busy(self) -> None:
        """One ticket of every kind."""
        self.ticket("db-schema", touches=["src/db/**"])
        self.ticket("retry-uploader", touches=["src/upload/**"], priority="high")
        self.ticket("client-cache", touches=["src/upload/client.py"])
        self.ticket("client-docs", touches=["src/upload/client.py"], depends_on=["client-cache"])
        self.ticket("user-table", touches=["users/**"], depends_on=["db-schema"])
        self.ticket("on-hold", touches=["held/**"])
        self.ticket("first-asked", touches=["asked/**"], gate="start")
        self.ticket("last-asked", touches=["late/**"], gate="land")
        self.ticket("broken", touches=["broken/**"])
        self.ticket("on-its-way", touches=["way/**"])
        (self.root / "tickets" / "wrong.md").write_text("---\ntouchs: [x]\n---\n# Wrong\n")
        self.sync()
        store = self.session.store
        key = self.start("db-schema", 1)
        store.set_drift(key, 3, Drift.CONFLICT, ["src/db/schema.sql"], NOW)
        self.start("retry-uploader", 2)
        self.finish(self.start("last-asked", 3), ToLanding(review=True))
        self.finish(self.start("broken", 3), Fail(Reason.AGENT_FAILED, "the agent ended with exit code 3"))
        self.finish(self.start("on-its-way", 3), ToLanding())
        store.ask_to_start("first-asked", NOW)
        store.hold("on-hold", True, NOW)


PATIENCE_S = 60.0


class Terminal:
    """`ticketd` on a terminal of that size."""

    def __init__(self, yard: Yard, columns: int, rows: int, *arguments: str, **environment: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", **environment}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            if name not in environment:
                env.pop(name, None)
        command = [sys.executable, "-m", "ticketd", "--repo", str(yard.root), *arguments]
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True, preexec_fn=_own_terminal
        )
        os.close(slave)
        self.raw = ""

    def until(self, text: str) -> str:
        """All it has written so far, as soon as that includes `text`."""
        while text not in self.raw:
            assert self._read(), f"it ended without {text!r}:\n{self.raw}"
        return self.raw

    def interrupt(self) -> None:
        os.write(self._master, b"\x03")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        while self._read():
            pass
        os.close(self._master)
        return self._process.wait()

    def lines(self) -> list[str]:
        return ESCAPES.sub("", self.raw).replace("\r\n", "\n").split("\n")

    def _read(self) -> bool:
        if not select.select([self._master], [], [], PATIENCE_S)[0]:
            self._process.kill()
            raise AssertionError(f"nothing more comes:\n{self.raw}")
        try:
            piece = os.read(self._master, 1 << 16)
        except OSError:  # EIO: the other end is closed
            return False
        self.raw += piece.decode("utf-8", "replace")
        return bool(piece)


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
