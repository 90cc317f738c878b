"""Who has meddled with what all worktrees share: looked at before an attempt begins and after its agent has ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from ticketd.app.session import Works
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.events import EventKind
from ticketd.errors import TicketdError

log = logging.getLogger("ticketd")


@dataclass(slots=True)
class Guard:
    """It is one of those that have run since the last look, which was when the last one of them began or ended; with
    eight side by side it cannot be said which. Each hears once of a thing. What is noted here is of this daemon's time:
    the next one takes all that live for possible makers of what it finds."""

    works: Works
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ran: Set[AttemptKey] = frozenset()
    _makers: dict[str, Set[AttemptKey]] = field(default_factory=dict)
    _told: set[tuple[AttemptKey | None, str]] = field(default_factory=set)

    def begins(self, key: AttemptKey) -> None:
        """Its agent has not run yet, and finds all as it should be."""
        self._look(key, {key})

    def ended(self, key: AttemptKey) -> None:
        """It may be its doing; and what it has left is nobody's now."""
        self._look(key, set())

    def _look(self, key: AttemptKey, innocent: Set[AttemptKey]) -> None:
        """As well as can be: a repository that cannot be put right must not hold up an attempt, whose own steps say
        what is wrong."""
        with self._lock:
            attempts = {each.key: each.worktree for each in self.works.session.store.live_attempts()}
            suspects = sorted((self._ran | attempts.keys()) - innocent)
            try:
                trees = [tree for tree in attempts.values() if tree is not None]
                found = self.works.worktrees.watch(trees, next(iter(suspects), None))
                self._tell(found.mended, suspects)
                self._tidy(found.strays, suspects, attempts.keys() - {key})
            except (TicketdError, OSError) as error:
                log.warning("what the worktrees share cannot be looked at: %s", error)
            self._ran = attempts.keys() - {key}
            self._told = {each for each in self._told if each[0] in attempts}

    def _tell(self, mended: Sequence[str], suspects: Sequence[AttemptKey]) -> None:
        now, names = self.works.session.clock.now(), [str(each) for each in suspects]
        for key in (*suspects,) or (None,):
            news = [what for what in mended if (key, what) not in self._told]
            if news:
                self.works.session.store.note(EventKind.TAMPERED, now, key, what=news, suspects=names)
                self._told |= {(key, what) for what in news}

    def _tidy(self, strays: Sequence[str], suspects: Sequence[AttemptKey], live: Set[AttemptKey]) -> None:
        """A branch, a tag, a stash: its maker may need it as long as it runs."""
        self._makers = {ref: self._makers.get(ref, set(suspects)) & live for ref in strays}
        left = [ref for ref, makers in self._makers.items() if not makers]
        by = next(iter(suspects), None)
        for mended in self.works.worktrees.tidy(left, by) if left else ():
            self.works.session.store.note(EventKind.RECOVERED, self.works.session.clock.now(), by, mended=mended)
