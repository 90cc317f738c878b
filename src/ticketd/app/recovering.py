"""What a crash, an agent or a person has left: looked for, and mended where that is safe. At the start of a daemon and
in `doctor` nothing else works; while a daemon runs, what may be its own is passed over."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ticketd.app.homes import homes_in
from ticketd.app.places import Places
from ticketd.app.removal import remove_below
from ticketd.app.session import Works
from ticketd.domain.events import EventKind
from ticketd.domain.recovery import Deed, FoundRun, Left, Mend, Records, reconcile
from ticketd.errors import TicketdError
from ticketd.ports import Alive, Clock, Engine, Store, Worktrees

GRACE_S = 10.0

log = logging.getLogger("ticketd")


@dataclass(frozen=True, slots=True)
class Recovering:
    places: Places
    clock: Clock
    store: Store
    worktrees: Worktrees
    engine: Engine

    def look(self, at_rest: bool, outdated: frozenset[str] = frozenset()) -> tuple[Mend | Left, ...]:
        """The store is read before the world and after: what was dispatched or has ended meanwhile counts as live.
        `outdated`: tickets that landed so long ago that only their work is kept."""
        before = self.store.records()
        tips = [tip for tip in before.ended.values() if tip]
        world = self.worktrees.found(before.names, tips, at_rest and not before.live, self.clock.now())
        world = replace(world, runs=tuple(self._runs()), homes=tuple(homes_in(self.places)), at_rest=at_rest)
        return reconcile(replace(_meanwhile(before, self.store.records()), outdated=outdated), world)

    def mend(self, found: Iterable[Mend | Left]) -> tuple[str, ...]:
        """What was done, in words; each is an event."""
        return tuple(self._tell(each) for each in found if isinstance(each, Mend) and self._try(each))

    def _tell(self, mend: Mend) -> str:
        self.store.note(EventKind.RECOVERED, self.clock.now(), mended=mend.told)
        return mend.told

    def _try(self, mend: Mend) -> bool:
        try:
            return self._do(mend)
        except (TicketdError, OSError) as error:
            log.warning("left as it is: %s: %s", mend.what, error)
            return False

    def _do(self, mend: Mend) -> bool:
        run_dir = self.places.runs / mend.what
        if mend.deed is Deed.END_RUN:
            self.engine.end(run_dir, GRACE_S)
            return True
        if mend.deed is Deed.REMOVE_RUN:
            if isinstance(self.engine.look(run_dir), Alive):
                return False
            remove_below(self.places.runs, *mend.what.split("/"))
            return True
        return self.worktrees.mend(mend)

    def _runs(self) -> Iterator[FoundRun]:
        for ticket in _folders(self.places.runs):
            for name in _folders(self.places.runs / ticket):
                state = self.engine.look(self.places.runs / ticket / name)
                yield FoundRun(f"{ticket}/{name}", isinstance(state, Alive))


def recovering_of(works: Works) -> Recovering:
    session = works.session
    return Recovering(session.places, session.clock, session.store, works.worktrees, works.engine)


def _meanwhile(before: Records, after: Records) -> Records:
    ended = after.ended.keys() - before.ended.keys()
    return replace(after, names=before.names | after.names, live=before.live | after.live | ended, ended=before.ended)


def _folders(path: os.PathLike[str]) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
