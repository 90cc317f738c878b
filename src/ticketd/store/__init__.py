"""The store: SQLite through sqlite-utils, one module per group of tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ticketd.store.attempts import Attempts
from ticketd.store.byhand import ByHand
from ticketd.store.connection import Connections
from ticketd.store.landings import Landings
from ticketd.store.standing import Standings


class SqliteStore(Standings, Attempts, ByHand, Landings):
    """Satisfies `ports.Store`. Safe to share between threads; each gets its own connection."""

    def close(self) -> None:
        self.connections.close()


def open_store(path: Path, redact: Callable[[str], str] = str) -> SqliteStore:
    """Open the store at `path`, made or migrated as needed. `redact` takes out of texts what must not be kept.

    Raises:
        TicketdError: the file is damaged, or was written by a newer ticketd.
    """
    return SqliteStore(Connections(path, redact))
