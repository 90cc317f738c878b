"""Copies of the store, made now and then while the daemon runs: what a person goes on from when the store is lost.

`Connection.backup` and not a copy of the file: of a store in WAL mode the file alone lacks what was written last, and
may lack all of its tables (measured).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from ticketd import failpoints

FOLDER = "backups"
KEPT = 3
_NEWEST_EVENT = "SELECT COALESCE(MAX(number), 0) FROM events"


def back_up(connection: sqlite3.Connection, store: Path, at: float) -> Path | None:
    """One more backup beside `store`, whole or not at all; None if nothing has happened since the last one."""
    known = backups(store)
    if known and newest_event(known[0]) == connection.execute(_NEWEST_EVENT).fetchone()[0]:
        return None
    folder = store.parent / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    fresh = folder / "fresh"
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(fresh)) as copy:
        copy.execute("PRAGMA synchronous=FULL")
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, which can be read without writing beside it
    # Numbered: by its name alone, whatever the clock does, the highest is the newest.
    number = _number(known[0]) + 1 if known else 1
    made = folder / f"{number:06}-{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}.db"
    fresh.rename(made)
    failpoints.hit("file/backup")
    for old in backups(store)[KEPT:]:
        old.unlink(missing_ok=True)
    return made


def backups(store: Path) -> list[Path]:
    """Those there are, the newest first."""
    return sorted((store.parent / FOLDER).glob("[0-9]*-*.db"), reverse=True)


def newest_event(backup: Path) -> int | None:
    """The number of the newest event in it; None if it cannot be read."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{backup.as_uri()}?mode=ro", uri=True)) as db:
        return int(db.execute(_NEWEST_EVENT).fetchone()[0])
    return None


def is_outdated(store: Path) -> bool:
    """Whether a backup knows more than the store: somebody has put an older one in its place."""
    known, own = backups(store), newest_event(store)
    return bool(known) and own is not None and (newest_event(known[0]) or 0) > own


def unfinished(store: Path) -> Path:
    """There while a person goes back to a backup: until it is gone, the store may be older than it says."""
    return store.with_suffix(".restoring")


def how_to_go_on(store: Path) -> str:
    """What a person can do whose store is lost."""
    known = backups(store)
    if not known:
        return (
            "There is no backup. `ticketd doctor --restore` begins a new store; the work of all attempts stays in "
            "control.git beside it."
        )
    made = datetime.fromtimestamp(known[0].stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    return f"`ticketd doctor --restore` goes on from the backup of {made} ({known[0]}), and keeps what is there now."


def _number(backup: Path) -> int:
    return int(backup.name.partition("-")[0])
