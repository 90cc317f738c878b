"""The daemon, killed outright at its Nth write to the store: just before it is made, or just after.

    kill_driver.py REPO {before|after} N [KIND]

With KIND it begins to count at the write that has made the first event of that kind.

Exits 0 if the run came to its end before that write; the parent sees SIGKILL otherwise.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from ticketd.boot.daemon import open_daemon
from ticketd.boot.session import open_session
from ticketd.store.connection import Connections


class DeadlyConnections(Connections):
    """Counts transactions over all threads and ends the process at one of them."""

    when = "after"
    left = 0
    kind = ""
    _counting = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        with super().transaction() as db:
            yield db
            with self._counting:
                DeadlyConnections.left -= self._counts(db)
                mine = DeadlyConnections.left == 0
            if mine and self.when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)

    def _counts(self, db: Database) -> bool:
        return not self.kind or bool(db.execute("SELECT 1 FROM events WHERE kind = ?", [self.kind]).fetchall())


def main() -> None:
    repo, when, number, *kind = sys.argv[1:]
    DeadlyConnections.kind = "".join(kind)
    opened = open_session(Path(repo))
    DeadlyConnections.when, DeadlyConnections.left = when, int(number)
    opened.session.store.connections.__class__ = DeadlyConnections  # type: ignore[attr-defined]
    with open_daemon(opened) as daemon:
        daemon.run(os.getpid(), None, until_idle=True)


if __name__ == "__main__":
    main()
