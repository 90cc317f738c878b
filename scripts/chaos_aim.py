"""Whom a fault of chaos hits: processes and attempts of this scene, never anything by a name alone."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from chaos_scene import Ground

from ticketd.domain.attempt import Attempt
from ticketd.store import open_store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Blow:
    """`pick` chooses among those whom it may hit (0 to 1), `hold` is for how long (seconds)."""

    kind: str
    pick: float
    hold: float


def below(ground: Ground, name: str) -> list[int]:
    """Processes of this state directory by what they are: never by a name alone, always with our directory in their
    arguments, environment or working directory."""
    mark, found = os.fsencode(ground.root), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (process / "cmdline").read_bytes()
            where = os.fsencode((process / "cwd").readlink())
            if (process / "stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z":
                continue
            ours = any(mark in text for text in (told, where, (process / "environ").read_bytes()))
            if ours and _is(name, told):
                found.append(int(process.name))
    return sorted(found)


def _is(name: str, told: bytes) -> bool:
    words = told.split(b"\0")
    match name:
        case "supervisor":
            return any(b"from supervisor" in word for word in words[:5])
        case "agent":
            return any(word.endswith(b"chaos_agent.py") for word in words)
        case "git":
            return words[0].rpartition(b"/")[2].startswith(b"git")
        case _:
            return True


def where_is(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def one_of(those: Sequence[T], pick: float) -> T | None:
    return those[int(pick * len(those))] if those else None


def live_attempts(ground: Ground) -> list[Attempt]:
    path = ground.scene.state / "store.db"
    if not path.exists():
        return []
    store = open_store(path)
    try:
        return sorted(store.live_attempts(), key=lambda attempt: attempt.key)
    finally:
        store.close()
