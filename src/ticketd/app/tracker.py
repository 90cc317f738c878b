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
                if known is not None and known.sha not in (None, tip):
                    self._heed(known.sha, tip)
                store.set_target(self.record(tip), clock.now())
            return tip

    def _heed(self, old: str, tip: str) -> None:
        """The target may have been taken back: told, kept, and left to a person. Before the move is stored: killed in
        between, the next daemon sees it again."""
        history, store = self._works.history, self._works.session.store
        if history.contains(tip, old):
            return
        left = history.left(old, tip)
        gone = {ticket: commit for ticket, commit in store.landed_as().items() if commit in left}
        if not (gone or self._remote):
            return  # one's own branch is for its owner to amend, as long as nothing that has landed is lost by it
        if history.read_ref(old) is not None:
            history.keep(f"refs/rewound/{old}", old)
        moved = f"{self._name} went from {old[:12]} back to {tip[:12]}"
        details = {ticket: f"{moved}, which does not have it ({commit[:12]})" for ticket, commit in gone.items()}
        store.take_off(details, _rewound(moved, old, sorted(gone)), self._works.session.clock.now())

    @property
    def _name(self) -> str:
        return f"{self._remote}/{self._branch}" if self._remote else self._branch


def _rewound(moved: str, old: str, gone: list[str]) -> str:
    without = f" without what {', '.join(gone[:5])}{' and others' if len(gone) > 5 else ''} had landed" if gone else ""
    return (
        f"{moved}{without}: somebody has taken commits off it. ticketd puts nothing back and lands nothing until you "
        "have looked; `ticketd resume` goes on from where it is now, the old commit stays in control.git as "
        f"refs/rewound/{old}"
    )
