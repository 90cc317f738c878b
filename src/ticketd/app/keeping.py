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
from ticketd.app.homes import homes_in
from ticketd.app.recovering import Recovering
from ticketd.app.removal import remove_below
from ticketd.app.session import Works
from ticketd.app.trees import Trees
from ticketd.domain.events import EventKind
from ticketd.domain.keeping import Disk, Item, Sort, amount, choose, needed, past_their_time, why_short
from ticketd.errors import TicketdError
from ticketd.ports import Alive

log = logging.getLogger("ticketd")

REST_S = 1.0
REST = 20.0
"""How many times as long as it took to count a place the next one has to wait."""
LOOK_EVERY_S = 30.0
CLEAR_EVERY_S = 600.0

WORDS = {
    Sort.HOME: "homes of agents",
    Sort.RUN: "records of runs",
    Sort.LOG: "logs",
    Sort.TREE: "worktrees",
}


@dataclass(slots=True)
class Keeping:
    """`free`: bytes and files that a path's disk has room for."""

    works: Works
    trees: Trees
    recovering: Recovering
    free: Callable[[Path], tuple[int, int | None]] = free_on
    _sizes: dict[str, int] = field(default_factory=dict)
    _to_count: list[str] = field(default_factory=list)
    _counted: bool = False
    _count_at: float = 0.0
    _look_at: float = 0.0
    _clear_at: float = 0.0
    _room_at: float = 0.0
    _kept: tuple[str, ...] = ()

    def step(self) -> float:
        """Count one place if its turn has come, and do what that asks for; how long to rest (seconds)."""
        clock = self.works.session.clock
        began = clock.monotonic()
        if began >= self._count_at:
            self._count_next()
            self._count_at = began + REST * (clock.monotonic() - began)
        self.see_to_room()
        if began >= self._look_at:
            self._look_at = began + LOOK_EVERY_S
            self.recovering.mend(self.recovering.look(at_rest=False))
        if began >= self._clear_at:
            self._clear_at = began + CLEAR_EVERY_S
            self._clear_old()
            self._forget_environments()
        return REST_S

    def _clear_old(self) -> None:
        now, keep_s = self.works.session.clock.now(), self.works.settings().limits.keep_s
        landed = past_their_time(self.works.session.store.landed_at(), now, keep_s)
        self._clear(tuple(self._records_of(landed)), "landed long ago")
        self._clear(tuple(self._homes()), "their tickets are over")
        self.recovering.mend(self.recovering.look(at_rest=False, outdated=frozenset(landed)))

    def _forget_environments(self) -> None:
        """Keys in the records of runs that a killed daemon had not come to. Those listed that are not live have ended,
        for an attempt is on record before its run is."""
        places = self.works.session.places
        run_dirs = places.run_dirs()
        live = {places.run_dir(attempt.key) for attempt in self.works.session.store.live_attempts()}
        for run_dir in run_dirs:
            if run_dir not in live:
                with suppress(OSError):
                    self.works.engine.forget(run_dir)

    def see_to_room(self) -> None:
        """Before anything is started, too: by then only what is free on the disk is known."""
        now, store = self.works.session.clock.monotonic(), self.works.session.store
        disk = self.disk()
        if (wanted := needed(disk)) and now >= self._room_at:
            if not self._make_room(wanted):
                self._room_at = now + LOOK_EVERY_S
            disk = self.disk()
        before = bool(store.pool().short)
        if bool(why := why_short(disk, before)) != before:
            store.set_short(why, self.works.session.clock.now(), self._kept)

    def _make_room(self, wanted: int) -> bool:
        """Where one thing stays that was to go, another goes in its place. Whether anything went."""
        stays: list[str] = []
        items = set(self._items())
        left = set(items)
        while chosen := choose(left, wanted):
            left -= set(chosen)
            kept = self._clear(chosen, f"{amount(wanted)} had to go")
            wanted -= sum(item.size for item in chosen if item.what not in kept)
            stays += kept.values()
        self._kept = tuple(stays)
        return len(items) - len(left) > len(stays)

    def disk(self) -> Disk:
        """Nothing is in use until all of it has been counted once."""
        state = self.works.session.places.state
        used = sum(self._sizes.values()) if self._counted else 0
        return Disk(used, self.works.settings().limits.disk, *self.free(state))

    def _count_next(self) -> None:
        state = self.works.session.places.state
        if not self._to_count:
            self._to_count = list(places(state))
            self._sizes = {place: size for place, size in self._sizes.items() if place in self._to_count}
        if self._to_count:
            place = self._to_count.pop()
            self._sizes[place] = size_of(state / place)
        self._counted = self._counted or not self._to_count

    # --- what may go ---

    def _items(self) -> tuple[Item, ...]:
        """All that may go where there is no room, if it must."""
        return (
            *self._homes(),
            *self._records_of(self.works.session.store.landed_at()),
            *(Item(Sort.TREE, name, self._size(f"worktrees/{name}")) for name in self.trees.free),
        )

    def _size(self, place: str) -> int:
        return self._sizes.get(place) or size_of(self.works.session.places.state / place)

    def _records_of(self, landed: Mapping[str, float]) -> Iterator[Item]:
        """What runs and logs have left of tickets that have landed: nobody looks at those any more to mend them."""
        state = self.works.session.places.state
        for sort, folder in ((Sort.RUN, "runs"), (Sort.LOG, "logs")):
            for ticket in names_in(state / folder):
                for name in names_in(state / folder / ticket) if ticket in landed else ():
                    path = f"{folder}/{ticket}/{name}"
                    yield Item(sort, path, size_of(state / path), landed[ticket])

    def _homes(self) -> Iterator[Item]:
        """Of tickets that are over: no agent takes up its session again."""
        places = self.works.session.places
        over = self.works.session.store.over()
        for ticket in homes_in(places):
            if ticket in over:
                yield Item(Sort.HOME, f"agents/{ticket}", size_of(places.agents / ticket))

    # --- what goes ---

    def _clear(self, items: Sequence[Item], why: str) -> dict[str, str]:
        """What stays though it was to go, and why; an event says what went."""
        told = {item.what: self._try(item) for item in items}
        gone = [item for item in items if not told[item.what]]
        stays = {what: words for what, words in told.items() if words}
        if gone:
            count = Counter(WORDS[item.sort] for item in gone)
            what = ", ".join(f"{number} {words}" for words, number in count.items())
            size = sum(item.size for item in gone)
            note, now = self.works.session.store.note, self.works.session.clock.now()
            note(EventKind.CLEARED, now, count=len(gone), size=size, what=f"{what} ({amount(size)})", why=why)
        return stays

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
        with suppress(OSError):  # it is not empty, or gone itself
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
