"""What is looked at, again and again, on a thread of its own: no lock is held between two looks, and what goes wrong is
said on the screen."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ticketd.app import spending
from ticketd.cli.display import Looker
from ticketd.cli.render.told import Teller
from ticketd.cli.render.words import Document
from ticketd.cli.repository import View
from ticketd.cli.screen.filling import Told
from ticketd.domain.spending import By
from ticketd.errors import TicketdError

EVERY_S = 1.0
COSTS_EVERY = 5
"""Looks. They are summed up from all attempts there have been."""
EVENTS = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """`events`: the oldest first."""

    status: Document
    cost: Document
    events: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    why: str


class Eyes:
    def __init__(self, here: View) -> None:
        self._here = here
        self._looker = Looker(here.session, here.settings, syncs=True)
        self._teller = Teller()
        self._events: deque[Told] = deque(maxlen=EVENTS)
        self._after: int | None = None
        self._cost: Document | None = None
        self._looks = 0

    def look(self) -> Seen:
        status = self._looker.look()
        if self._cost is None or self._looks % COSTS_EVERY == 0:
            self._cost = spending.cost(self._here.session, self._looker.settings, By.TICKET, None)
        self._looks += 1
        self._read_events()
        return Seen(status, self._cost, tuple(self._events))

    def _read_events(self) -> None:
        store = self._here.session.store
        if self._after is None:
            self._after = max(store.board().newest - 2 * EVENTS, 0)
        while new := store.events(self._after):
            self._after = new[-1].number
            told = (Told(event.ticket, tuple(self._teller.lines(event))) for event in new)
            self._events.extend(each for each in told if each.lines)


class Reader(threading.Thread):
    """`show` is called on this thread, with each look that differs from the one before."""

    def __init__(self, here: View, show: Callable[[Seen | Trouble], object]) -> None:
        super().__init__(name="screen", daemon=True)
        self._here = here
        self._show = show
        self._again = threading.Event()
        self._over = False

    def run(self) -> None:
        eyes, shown = Eyes(self._here), None
        while not self._over:
            self._again.clear()
            seen = self._look(eyes)
            if seen != shown and not self._over:
                self._show(seen)
                shown = seen
            self._again.wait(EVERY_S)

    def _look(self, eyes: Eyes) -> Seen | Trouble:
        try:
            return eyes.look()
        except Exception as error:
            return Trouble(in_one_line(self._here, error))

    def look_again(self) -> None:
        """At once: something was asked for."""
        self._again.set()

    def end(self) -> None:
        self._over = True
        self._again.set()


def in_one_line(here: View, error: Exception) -> str:
    """For a thread's boundary: one that ended without a word would leave a screen that stands still."""
    what = str(error) if isinstance(error, TicketdError | OSError) else f"{type(error).__name__}: {error}"
    return here.opened.secrets.redact_text(" ".join(what.split()))
