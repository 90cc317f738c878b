"""Whether the store can be read and its events tell the same as its tables, for `doctor`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ticketd.errors import StoreLost
from ticketd.store import SqliteStore
from ticketd.store.backup import how_to_go_on, is_outdated, unfinished
from ticketd.store.connection import translated

SQLITE_VERSION = sqlite3.sqlite_version_info
Unreadable = sqlite3.Error
PATIENCE_S = 1.0


def require_sound(path: Path) -> None:
    """For who is about to go by it, and to write to it.

    Raises:
        StoreLost: it is damaged, a backup of it knows more, or it was put back and not yet made safe.
        StoreTrouble: it cannot be read just now, which says nothing of either.
    """
    store, mend = f"the store {path}", how_to_go_on(path)
    if found := faults(path):
        raise StoreLost(f"{store} is damaged: {found[0]}", mend=mend)
    if unfinished(path).exists():
        raise StoreLost(f"{store} was put back, and that was broken off", mend="`ticketd doctor --restore` once more.")
    if is_outdated(path):
        raise StoreLost(f"{store} is older than its backup", mend=mend)


def faults(path: Path) -> list[str]:
    """What SQLite's quick check finds; empty if all is well."""
    try:
        with translated(), closing(sqlite3.connect(path, timeout=PATIENCE_S)) as db:
            rows = db.execute("PRAGMA quick_check").fetchall()
    except StoreLost as error:
        return [error.what]
    return [str(row[0]) for row in rows if row[0] != "ok"]


def disagreements(store: SqliteStore) -> list[str]:
    """Where the tables are not what the events tell; empty if all is well."""
    try:
        return store.disagreements()
    except (KeyError, TypeError, ValueError) as error:
        return [f"its events make no sense: {error.args[0] if error.args else error}"]
