"""Whether the store can be read, for `doctor`."""

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
