"""Whether the store can be read and its events tell the same as its tables, for `doctor`."""

from __future__ import annotations

import sqlite3

from ticketd.store import SqliteStore

SQLITE_VERSION = sqlite3.sqlite_version_info
Unreadable = sqlite3.Error


def faults(store: SqliteStore) -> list[str]:
    """What SQLite's quick check finds; empty if all is well."""
    try:
        rows = store.connections.db.execute("PRAGMA quick_check").fetchall()
    except sqlite3.Error as error:
        return [str(error)]
    return [str(row[0]) for row in rows if row[0] != "ok"]


def disagreements(store: SqliteStore) -> list[str]:
    """Where the tables are not what the events tell; empty if all is well."""
    try:
        return store.disagreements()
    except (KeyError, TypeError, ValueError) as error:
        return [f"its events make no sense: {error.args[0] if error.args else error}"]
