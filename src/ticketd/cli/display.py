"""What a running `ticketd start` shows: the live status on a terminal, one line per event elsewhere."""

from __future__ import annotations

import threading

import click

from ticketd.app.queries import iso
from ticketd.app.session import Session
from ticketd.domain.events import Event, EventKind
from ticketd.domain.settings import Settings

QUIET = {EventKind.LANDING_PHASE, EventKind.LANDING_QUEUED, EventKind.STARTED, EventKind.WORK_KEPT, EventKind.DRIFTED}


class Display:
    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="display", daemon=True)

    def __enter__(self) -> Display:
        self._seen = self._last()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5.0)

    def _last(self) -> int:
        last = 0
        while events := self._session.store.events(after=last, limit=10_000):
            last = events[-1].number
        return last

    def _follow(self) -> None:
        while not self._over.wait(0.5):
            self._print_new()
        self._print_new()

    def _print_new(self) -> None:
        for event in self._session.store.events(after=self._seen):
            self._seen = event.number
            if event.kind not in QUIET:
                click.echo(event_line(event))


def event_line(event: Event) -> str:
    about = " ".join(f"{key}={value}" for key, value in event.data.items() if value not in (None, "", []))
    who = f" {event.ticket}" if event.ticket else ""
    number = f"/{event.attempt}" if event.attempt else ""
    return f"{iso(event.at)} {event.kind}{who}{number} {about}".rstrip()
