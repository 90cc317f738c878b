"""What the daemon keeps in its state directory: what nobody needs any more goes after a while, and sooner where the
disk is short. Where nothing more can go, nothing more is started; what runs goes on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ticketd.app.disk import free_on, names_in, places, size_of
from ticketd.app.recovering import Recovering
from ticketd.app.removal import remove_below
from ticketd.app.session import Works
from ticketd.app.trees import Trees
from ticketd.domain.events import EventKind
from ticketd.domain.keeping import Disk, Item, Sort, amount, choose, needed, past_their_time, why_short
from ticketd.errors import TicketdError
from ticketd.ports import Alive

log = logging.getLogger("ticketd")

LEAST_REST_S = 1.0
REST = 20.0
"""How many times as long as a step took it rests."""
LOOK_EVERY_S = 30.0
CLEAR_EVERY_S = 600.0

WORDS = {Sort.RUN: "records of runs", Sort.LOG: "logs", Sort.TREE: "worktrees"}


@dataclass(slots=True)
class Keeping:
    """`free`: the bytes that are free on the disk of a path."""

    works: Works
    trees: Trees
    recovering: Recovering
    free: Callable[[Path], int] = free_on
    _sizes: dict[str, int] = field(default_factory=dict)
    _to_count: list[str] = field(default_factory=list)
    _look_at: float = 0.0
    _clear_at: float = 0.0
    _room_at: float = 0.0
    _kept: tuple[str, ...] = ()

    def step(self) -> float:
        """Count one place, and do what that asks for; how long to rest (seconds)."""
        clock = self.works.session.clock
        began = clock.monotonic()
        self._count_next()
        if began >= self._look_at:
            self._look_at = began + LOOK_EVERY_S
            self.recovering.mend(self.recovering.look(at_rest=False))
        if began >= self._clear_at:
            self._clear_at = began + CLEAR_EVERY_S
            self._clear_old()
        self._see_to_room(began)
        return max(LEAST_REST_S, REST * (clock.monotonic() - began))

    def _clear_old(self) -> None:
        now, keep_s = self.works.session.clock.now(), self.works.settings().limits.keep_s
        landed = past_their_time(self.works.session.store.landed_at(), now, keep_s)
        self._clear(tuple(self._records_of(landed)), "landed long ago")
        self.recovering.mend(self.recovering.look(at_rest=False, outdated=frozenset(landed)))

    def _see_to_room(self, now: float) -> None:
        store = self.works.session.store
        disk = self.disk()
        if (wanted := needed(disk)) and now >= self._room_at:
            self._room_at = now + LOOK_EVERY_S
            self._kept = self._clear(choose(self._items(), wanted), f"{amount(wanted)} too much")
            disk = self.disk()
        short = store.pool().short
        store.set_short(why_short(disk, bool(short)), self.works.session.clock.now(), self._kept)

    def disk(self) -> Disk:
        """As far as it has been counted."""
        state = self.works.session.places.state
        return Disk(sum(self._sizes.values()), self.works.settings().limits.disk, self.free(state))

    def _count_next(self) -> None:
        state = self.works.session.places.state
        if not self._to_count:
            self._to_count = list(places(state))
            self._sizes = {place: size for place, size in self._sizes.items() if place in self._to_count}
        place = self._to_count.pop()
        self._sizes[place] = size_of(state / place)

    # --- what may go ---

    def _items(self) -> tuple[Item, ...]:
        """All that may go where there is no room, if it must."""
        return (
            *self._records_of(self.works.session.store.landed_at()),
            *(Item(Sort.TREE, name, self._sizes.get(f"worktrees/{name}", 0)) for name in self.trees.free),
        )

    def _records_of(self, landed: Mapping[str, float]) -> Iterator[Item]:
        """What runs and logs have left of tickets that have landed: nobody looks at those any more to mend them."""
        state = self.works.session.places.state
        for sort, folder in ((Sort.RUN, "runs"), (Sort.LOG, "logs")):
            for ticket in names_in(state / folder):
                for name in names_in(state / folder / ticket) if ticket in landed else ():
                    path = f"{folder}/{ticket}/{name}"
                    yield Item(sort, path, size_of(state / path), landed[ticket])

    # --- what goes ---

    def _clear(self, items: Sequence[Item], why: str) -> tuple[str, ...]:
        """What stays though it was to go, and why; an event says what went."""
        gone, stays = [], []
        for item in items:
            if told := self._try(item):
                stays.append(told)
            else:
                gone.append(item)
        if gone:
            count = Counter(WORDS[item.sort] for item in gone)
            what = ", ".join(f"{number} {words}" for words, number in count.items())
            size = sum(item.size for item in gone)
            told, now = f"{what} ({amount(size)})", self.works.session.clock.now()
            note = self.works.session.store.note
            note(EventKind.CLEARED, now, count=len(gone), size=size, what=told, why=why, kept=stays)
        return tuple(stays)

    def _try(self, item: Item) -> str:
        try:
            return self._go(item)
        except (TicketdError, OSError) as error:
            log.warning("%s stays: %s", item.what, error)
            return f"{item.what}: {error}"

    def _go(self, item: Item) -> str:
        """Why it stays; empty when it is gone."""
        session = self.works.session
        if item.sort is Sort.TREE:
            return self._discard(item.what)
        if item.sort is Sort.RUN and isinstance(self.works.engine.look(session.places.state / item.what), Alive):
            return f"{item.what}: its supervisor lives"
        folder, *below = item.what.split("/")
        remove_below(session.places.state / folder, *below)
        with suppress(OSError):  # it is not empty
            (session.places.state / folder / below[0]).rmdir()
        self._sizes[folder] = max(0, self._sizes.get(folder, 0) - item.size)
        return ""

    def _discard(self, name: str) -> str:
        """It stays in the pool by its name, and is made anew when it is wanted."""
        if not self.trees.take_free(name):
            return f"worktree {name}: it is in use"
        try:
            set_up = bool(self.works.session.store.worktree_setups().get(name))
            why = self.works.worktrees.discard(name, set_up, self.works.settings().worktrees.copy)
            if not why:
                self._sizes.pop(f"worktrees/{name}", None)
                self.works.session.store.set_worktree_setup(name, "")
            return f"worktree {name}: {why}" if why else ""
        finally:
            self.trees.give_back(name)
