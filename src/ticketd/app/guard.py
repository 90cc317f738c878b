"""Who has meddled with what all worktrees share: looked at before an attempt begins and after its agent has ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from ticketd.app.session import Works
from ticketd.domain.attempt import AttemptKey, AttemptState
from ticketd.domain.events import EventKind
from ticketd.errors import TicketdError

log = logging.getLogger("ticketd")


@dataclass(slots=True)
class Guard:
    """It is one of those that have run since the last look, which was when the last one of them began or ended; with
    eight side by side it cannot be said which. Each hears once of a thing. What is noted here is of this daemon's time:
    the next one takes all that live for possible makers of what it finds."""

    works: Works
    _lock: threading.Lock = field(default_factory=lambda: threading.Lock())
    _ran: Set[AttemptKey] = frozenset()
    _begun: set[AttemptKey] = field(default_factory=set)
    _makers: dict[str, Set[AttemptKey]] = field(default_factory=dict)
    _told: set[tuple[AttemptKey | None, str]] = field(default_factory=set)

    def begins(self, key: AttemptKey) -> None:
        """Nothing of it has run yet, and it finds all as it should be."""
        self._look(key)
        self._begun.add(key)

    def ended(self, key: AttemptKey) -> None:
        """It may be its doing; and what it has left is nobody's now."""
        self._look(key)

    def _look(self, key: AttemptKey) -> None:
        """As well as can be: a repository that cannot be put right must not hold up an attempt, whose own steps say
        what is wrong. A worktree that is just being made is not there yet, which is nobody's doing."""
        with self._lock:
            live = self.works.session.store.live_attempts()
            attempts = {
                each.key for each in live if each.state is not AttemptState.PREPARING or each.key in self._begun
            }
            suspects = sorted(self._ran | attempts)
            try:
                trees = [each.worktree for each in live if each.worktree and each.state is not AttemptState.PREPARING]
                found = self.works.worktrees.watch(trees, next(iter(suspects), None))
                self._tell(found.mended, suspects)
                self._tidy(found.strays, suspects, attempts - {key})
            except (TicketdError, OSError) as error:
                log.warning("what the worktrees share cannot be looked at: %s", error)
            self._ran = attempts - {key}
            self._begun &= attempts
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
