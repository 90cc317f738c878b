"""Where the target stands, asked of its owner, and what that means for the attempts that are under way."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ticketd.app.session import Works
from ticketd.domain.attempt import Attempt, AttemptState
from ticketd.domain.pool import TargetRecord
from ticketd.domain.widening import note_line
from ticketd.errors import GitFailed
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

    def check_attempts(self) -> None:
        """For each running attempt: what it has written so far, how far behind it is, and what a rebase would meet. No
        agent's tree is touched."""
        store = self._works.session.store
        target = store.target()
        if target is None or target.sha is None:
            return
        running = [attempt for attempt in store.live_attempts() if attempt.state is AttemptState.RUNNING]
        for attempt in running:
            if attempt.worktree is not None:
                self._check(attempt, attempt.worktree, target.sha)
        self._tell(running)

    def _check(self, attempt: Attempt, tree: str, tip: str) -> None:
        store, clock = self._works.session.store, self._works.session.clock
        try:
            behind = self._works.history.count(attempt.base, tip) if attempt.base != tip else 0
            found = self._works.worktrees.trial(tree, attempt.base, tip)
        except GitFailed:
            return  # the tree is changing under us; the next look will tell
        if (attempt.behind, attempt.drift, attempt.drift_paths) != (behind, found.drift, found.conflicts):
            store.set_drift(attempt.key, behind, found.drift, found.conflicts, clock.now())
        store.extend_claim(attempt.key, found.written, clock.now())

    def _tell(self, running: Sequence[Attempt]) -> None:
        """Both agents of a collision find it in their notes; compared with what stands there, so that none is lost
        with a daemon that dies in between."""
        collisions = self._works.session.store.collisions()
        for attempt in running:
            id_ = attempt.key.ticket
            lines = [note_line(each, id_) for each in collisions if id_ in (each.ticket, each.other)]
            if lines:
                append_missing(self._works.session.places.notes(attempt.key), lines)


def append_missing(notes: Path, lines: Sequence[str]) -> None:
    """Add the lines that are not there yet. The agent may have put anything in the file's place: no link is followed,
    no pipe waited for, and what cannot be written is left."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError), os.fdopen(os.open(notes, flags, 0o600), "r+b") as file:
        said = file.read()
        file.write(b"".join(line for line in map(os.fsencode, lines) if line not in said))
