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
from ticketd.errors import StoreTrouble, TicketdError
from ticketd.store.migrations import LATEST, migrations

BUSY_TIMEOUT_S = 10.0


@lru_cache(maxsize=4096)
def _patterns(encoded: str) -> PatternSet:
    return PatternSet(tuple(json.loads(encoded)))


@lru_cache(maxsize=1 << 16)
def claims_overlap(one: str, other: str, shared: str) -> str | None:
    """The overlap test as SQL function: the witness path, or NULL."""
    return overlap(_patterns(one), _patterns(other), _patterns(shared))


@contextmanager
def translated() -> Iterator[None]:
    """Raises:
    StoreTrouble: for what SQLite says when the file is locked or the disk is full.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreTrouble(f"the store cannot be used just now: {error}", mend="Try again.") from error


class Connections:
    """Hands each thread its own connection to the file at `path`."""

    def __init__(self, path: Path, redact: Callable[[str], str] = str) -> None:
        self._path = path
        self.redact = redact
        self._local = threading.local()
        self._create()

    @property
    def db(self) -> Database:
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = self._open()
        return db

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        """All or nothing. IMMEDIATE: a deferred one that turns from reading to writing fails at once under load."""
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
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        db = Database(connection)
        db.register_function(claims_overlap, deterministic=True)
        return db

    def _create(self) -> None:
        make_private(self._path.parent)
        try:
            with self._one_at_a_time():
                db = self.db
                db.enable_wal()
                failpoints.hit("store/made")
                self._refuse_newer(db)
                if migrations.pending(db):
                    migrations.apply(db)
                    failpoints.hit("store/migrated")
        except sqlite3.DatabaseError as error:
            raise TicketdError(
                f"the store {self._path} cannot be opened: {error}",
                mend="If the file is damaged, move it aside; commits of attempts stay in control.git beside it.",
            ) from error
        self._path.chmod(0o600)

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Turning WAL on and migrating are not for two processes at once: SQLite answers the second with BUSY."""
        with self._path.with_suffix(".lock").open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def _refuse_newer(self, db: Database) -> None:
        applied = {migration.name for migration in migrations.applied(db)}
        if unknown := applied - set(LATEST):
            raise TicketdError(
                f"the store {self._path} was written by a newer ticketd ({', '.join(sorted(unknown))})",
                mend="Install that version, or start with another XDG_STATE_HOME.",
            )
