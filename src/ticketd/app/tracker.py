"""Where the target stands, asked of its owner, and what that means for the attempts that are under way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ticketd.app.session import Works
from ticketd.domain.pool import TargetRecord
from ticketd.ports import Unreachable


class Tracker:
    """Asks for the target's tip, one at a time, so that an older answer never overwrites a newer one."""

    def __init__(self, works: Works, remote: str, branch: str) -> None:
        self._works = works
        self._remote = remote
        self._branch = branch
        self._lock = threading.RLock()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """What is asked and stored inside is not mixed with another's."""
        with self._lock:
            yield

    def record(self, sha: str | None, trouble: str = "") -> TargetRecord:
        return TargetRecord(self._remote, self._branch, sha, self._works.session.clock.now(), trouble)

    def known(self) -> TargetRecord | None:
        """Where this target was last seen; what was stored of another remote or branch does not count."""
        known = self._works.session.store.target()
        same = known is not None and (known.remote, known.branch) == (self._remote, self._branch)
        return known if same else None

    def ask(self) -> str | Unreachable:
        """The target's tip, stored where it has moved."""
        store, clock = self._works.session.store, self._works.session.clock
        with self._lock:
            known = self.known()
            tip = self._works.target.tip()
            if isinstance(tip, Unreachable):
                store.set_target(self.record(known.sha if known else None, tip.detail), clock.now())
            elif known is None or (known.sha, known.trouble) != (tip, ""):
                store.set_target(self.record(tip), clock.now())
            return tip
