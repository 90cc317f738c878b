"""Opening the store: one SQLite connection per thread, WAL, and every write in an immediate transaction."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from sqlite_utils import Database

from ticketd import failpoints
from ticketd.app.places import make_private
from ticketd.domain.globs import PatternSet, overlap
from ticketd.errors import StoreLost, StoreTrouble, TicketdError
from ticketd.store.backup import back_up, how_to_go_on
from ticketd.store.migrations import LATEST, SHAPE, migrations

BUSY_TIMEOUT_S = 10.0


@lru_cache(maxsize=4096)
def _patterns(encoded: str) -> PatternSet:
    return PatternSet(tuple(json.loads(encoded)))


@lru_cache(maxsize=1 << 16)
def claims_overlap(one: str, other: str, shared: str) -> str | None:
    """The overlap test as SQL function: the witness path, or NULL."""
    return overlap(_patterns(one), _patterns(other), _patterns(shared))


# What passes, by itself or by a person's hand, after which the same connection goes on.
_MENDS = {
    sqlite3.SQLITE_BUSY: "Another process holds it; all goes on by itself once that one lets go.",
    sqlite3.SQLITE_FULL: "Make room on its disk; all goes on by itself then.",
    sqlite3.SQLITE_IOERR: "See that its disk is well and has room; all goes on by itself then.",
    sqlite3.SQLITE_READONLY: "Make it and its directory yours and writable; all goes on by itself then.",
    sqlite3.SQLITE_CANTOPEN: "See that its directory can be written, and that this process may open more files.",
}


@contextmanager
def translated() -> Iterator[None]:
    """Raises:
    StoreTrouble: for what SQLite says when the file is locked or the disk is full.
    StoreLost: when what it reads is not a database any more.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        mend = _MENDS.get(_code(error), "Try again.")
        raise StoreTrouble(f"the store cannot be used just now: {error}", mend=mend) from error
    except sqlite3.DatabaseError as error:
        if _code(error) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise  # a constraint, which whoever asked knows how to read
        raise StoreLost(
            f"the store is damaged: {error}", mend="Stop ticketd; `ticketd doctor` looks closer."
        ) from error


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


class Connections:
    """Hands each thread its own connection to the file at `path`."""

    def __init__(self, path: Path, redact: Callable[[str], str] = str) -> None:
        self.path = path
        self.redact = redact
        self._local = threading.local()
        self._file: tuple[int, int] | None = None
        self._create()
        self._file = _file_at(path)

    @property
    def db(self) -> Database:
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            with translated():
                db = self._local.db = self._open()
        return db

    def back_up(self, at: float) -> Path | None:
        """What this thread's connection has, wherever the file's name has gone meanwhile."""
        with translated():
            # A reader that kept its snapshot for long has made the log grow, and SQLite never makes it smaller.
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return back_up(self.db.conn, self.path, at)

    def require_same_file(self) -> None:
        """SQLite would go on writing to a file that has been deleted or replaced, and all of that would be gone.

        Raises:
            StoreLost: the path is another file now, or none.
        """
        if (there := _file_at(self.path)) != self._file:
            what = "gone" if there is None else "another file now"
            raise StoreLost(f"the store {self.path} is {what}", mend=how_to_go_on(self.path))

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        """All or nothing. IMMEDIATE: a deferred one that turns from reading to writing fails at once under load."""
        self.require_same_file()
        db = self.db
        with translated():
            db.conn.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.conn.execute("COMMIT")
            except BaseException:
                db.conn.rollback()
                raise
        failpoints.passed("store")

    @contextmanager
    def reading(self) -> Iterator[Database]:
        """Everything read inside is of one moment."""
        self.require_same_file()
        db = self.db
        with translated():
            db.conn.execute("BEGIN")
            try:
                yield db
            finally:
                db.conn.rollback()

    def close(self) -> None:
        """Close this thread's connection."""
        db: Database | None = getattr(self._local, "db", None)
        if db is not None:
            db.close()
            self._local.db = None

    def _open(self) -> Database:
        if self._file is not None:
            self.require_same_file()
        # Only at first may it be made: a thread that begins after the file has gone would put an empty one there.
        mode = "rwc" if self._file is None else "rw"
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(address, timeout=BUSY_TIMEOUT_S, isolation_level=None, uri=True)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        db = Database(connection)
        db.register_function(claims_overlap, deterministic=True)
        return db

    def _create(self) -> None:
        make_private(self.path.parent)
        try:
            with self._one_at_a_time(), translated():
                db = self.db
                db.enable_wal()
                failpoints.hit("store/made")
                self._refuse_newer(db)
                if migrations.pending(db):
                    migrations.apply(db)
                    failpoints.hit("store/migrated")
                self._refuse_other(db)
        except StoreLost as error:
            raise StoreLost(
                f"the store {self.path} cannot be opened: {error.what}", mend=how_to_go_on(self.path)
            ) from error
        except StoreTrouble as error:
            raise StoreTrouble(f"the store {self.path} cannot be opened: {error.what}", mend=error.mend) from error
        self.path.chmod(0o600)

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Turning WAL on and migrating are not for two processes at once: SQLite answers the second with BUSY."""
        with self.path.with_suffix(".lock").open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def _refuse_other(self, db: Database) -> None:
        """As long as nothing is released the tables change, and their migration's name does not."""
        (shape,) = db.execute("PRAGMA user_version").fetchone()
        if shape != SHAPE:
            raise TicketdError(
                f"the store {self.path} was written by another ticketd, whose tables are not these",
                mend="Go on with that one, or start with another XDG_STATE_HOME.",
            )

    def _refuse_newer(self, db: Database) -> None:
        applied = {migration.name for migration in migrations.applied(db)}
        if unknown := applied - set(LATEST):
            raise TicketdError(
                f"the store {self.path} was written by a newer ticketd ({', '.join(sorted(unknown))})",
                mend="Install that version, or start with another XDG_STATE_HOME.",
            )
