"""What is looked at, again and again, on a thread of its own: no lock is held between two looks, and what goes wrong is
said on the screen."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from ticketd.app import spending
from ticketd.cli.display import SHOWN, Looker, Pace
from ticketd.cli.render.told import Teller
from ticketd.cli.render.words import Document
from ticketd.cli.repository import View
from ticketd.cli.screen.filling import Told
from ticketd.domain.settings import Settings
from ticketd.domain.spending import By
from ticketd.errors import TicketdError

EVERY_S = 1.0
EVENTS = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """`events`: the oldest first; `words`: those that were looked for in the lists of tickets."""

    settings: Settings
    status: Document
    cost: Document
    events: tuple[Told, ...]
    words: str


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
        self._cost_of: object = None
        self._summing = Pace()

    def look(self, words: str) -> Seen:
        status = self._looker.look(replace(SHOWN, words=words))
        self._read_events()
        return Seen(
            self._looker.settings, status, self._costs((self._after, status["cost_usd"])), tuple(self._events), words
        )

    def _costs(self, of: object) -> Document:
        """Summed up from all attempts there have been. `of`: what is another whenever they are."""
        if self._cost is None or (of != self._cost_of and self._summing.is_due()):
            with self._summing.doing():
                whole = spending.cost(self._here.session, self._looker.settings, By.TICKET, None)
                self._cost = {**whole, "rows": whole["rows"][: SHOWN.most], "count": len(whole["rows"])}
            self._cost_of = of
        return self._cost

    def _read_events(self) -> None:
        store = self._here.session.store
        if self._after is None:
            self._after = max(store.newest() - 2 * EVENTS, 0)
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
        self._words = ""

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
            return eyes.look(self._words)
        except Exception as error:
            return Trouble(in_one_line(self._here, error))

    def look_for(self, words: str) -> None:
        self._words = words
        self.look_again()

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
