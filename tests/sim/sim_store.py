"""The real store in memory: every call is a port, and a write can be refused as by a disk without room."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from ticketd.errors import StoreTrouble
from ticketd.store import SqliteStore
from ticketd.store.connection import Connections, claims_overlap

READS = frozenset(
    {
        "board", "target", "live_attempts", "ticket", "attempts", "attempt", "events", "moves", "samples", "estimates",
        "landings", "collisions", "claims", "has_queued", "pool", "stamps", "files_read", "file", "outlines",
        "file_problems", "landed", "verification", "has_passed", "worktree_setups", "worktree_names",
        "landed_as", "attempts_to_go_on_with",
    }
)  # fmt: skip


@cache
def _empty() -> bytes:
    """A store that was just made, as SQLite writes it."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "store.db"
        connections = Connections(path)
        connections.db.execute("PRAGMA journal_mode=DELETE")
        connections.close()
        return path.read_bytes()


class InMemory(Connections):
    """One connection for all threads: only one runs at a time, and none loses its turn inside the store."""

    def __init__(self) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.deserialize(_empty())
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=OFF")
        self.redact = str
        self._only = Database(connection)
        self._only.register_function(claims_overlap, deterministic=True)

    @property
    def db(self) -> Database:
        return self._only

    def require_same_file(self) -> None:
        pass

    def back_up(self, at: float) -> None:
        del at

    def close(self) -> None:
        self._only.close()


def new_store() -> SqliteStore:
    return SqliteStore(InMemory())


class SimStore:
    """A daemon's way to the store."""

    def __init__(self, store: SqliteStore, port: Callable[[str], None], has_room: Callable[[], bool]) -> None:
        self._store, self._port, self._has_room = store, port, has_room

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        made = self._reading(name, call) if name in READS else self._writing(name, call)
        setattr(self, name, made)
        return made

    def _reading(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def read(*args: Any, **options: Any) -> Any:
            self._port("")
            return call(*args, **options)

        return read

    def _writing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **options: Any) -> Any:
            self._port(name)
            if not self._has_room():
                raise StoreTrouble("the store cannot be used just now: database or disk is full")
            answer = call(*args, **options)
            self._port(f"{name} done")
            return answer

        return write
