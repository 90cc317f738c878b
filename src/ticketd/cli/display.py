"""What stays without being steered from: what `ticketd start` shows while it runs, `status --watch` in a pipe."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ticketd.app import queries
from ticketd.app.session import Session
from ticketd.app.sight import Sight
from ticketd.app.tickets import Intake, problems, settings_of
from ticketd.cli.render.told import Teller
from ticketd.domain.events import EventKind
from ticketd.domain.problems import Problem
from ticketd.domain.settings import Settings

EVERY_S = 0.5
FIRST_DRAWING_S = 5.0
REST = 200
SHOWN = queries.Part(most=200)
"""What stands of the longest lists on a screen that is drawn again and again."""
RESTLESS = ("at", "seen_at", "heartbeat_at", "output_at", "output_bytes")

log = logging.getLogger("ticketd")


class Pace:
    """What may take long is done again only after `REST` times as long: it never takes more than that part of a
    processor, and with few tickets there is next to no rest."""

    def __init__(self) -> None:
        self._next_at = 0.0

    def is_due(self) -> bool:
        return time.monotonic() >= self._next_at

    @contextmanager
    def doing(self) -> Iterator[None]:
        begun = time.thread_time()
        yield
        self._next_at = time.monotonic() + REST * (time.thread_time() - begun)


class Looker:
    """Reads the status again and again; ticket files only when one of them has changed.

    `syncs`: whether to bring the store up to the ticket files, as long as no daemon does it.
    """

    def __init__(self, session: Session, settings: Settings, syncs: bool) -> None:
        self._session = session
        self.settings = settings
        self._syncs = syncs
        self._sight = Sight(session.store)
        self._intake = Intake(session)
        self._files = Pace()
        self._read_at: object = None
        self._problems: tuple[Problem, ...] = ()

    def look(self, part: queries.Part = queries.WHOLE) -> queries.Document:
        settings, of_settings = settings_of(self._session)
        if not any(problem.severity == "error" for problem in of_settings):
            self.settings = settings  # as the daemon: a broken ticketd.toml changes nothing
        if self._syncs and self._files.is_due() and not self._session.is_running():
            with self._files.doing():
                self._intake.sync(self.settings)
        read_at = (self._session.store.files_read(), self.settings, of_settings)
        if read_at != self._read_at:
            self._problems = problems(self._session, self.settings, of_settings)
            self._read_at = read_at
        return queries.status(self._session, self.settings, self._problems, part, self._sight)


def settled(value: Any) -> Any:
    """A document without what changes from second to second though nothing has happened."""
    if isinstance(value, dict):
        return {key: settled(each) for key, each in value.items() if key not in RESTLESS}
    return [settled(each) for each in value] if isinstance(value, list) else value


def is_for_keys() -> bool:
    """Whether there is somebody at keys who can be shown a whole screen."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def watch(looker: Looker, over: threading.Event) -> None:
    """Where nobody can steer: print the status again when something has changed."""
    from ticketd.cli.render.live import show_status

    shown = None
    while True:
        document = looker.look()
        if settled(document) != shown:
            if shown is not None:
                click.echo()
            show_status(document)
            shown = settled(document)
        if over.wait(EVERY_S):
            return


def _keep_drawn(looker: Looker, over: threading.Event) -> None:
    from ticketd.cli.render.live import LiveScreen

    document = looker.look(SHOWN)
    with LiveScreen() as live:
        live.draw(document)
        while not over.wait(EVERY_S):
            live.draw(looker.look(SHOWN))
        live.draw(looker.look(SHOWN))


class Display:
    """Beside a daemon in the foreground: the live status on a terminal, one line per event elsewhere.

    It draws on a thread of its own, and whatever goes wrong there stays there.
    """

    def __init__(self, session: Session, settings: Settings, until_idle: bool = False) -> None:
        self._session = session
        # A run that ends where nothing can run any more says so in its farewell.
        self._untold = EventKind.STALLED if until_idle else None
        self._looker = Looker(session, settings, syncs=False)
        self._teller = Teller()
        self._seen = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, name="display", daemon=True)

    def __enter__(self) -> Display:
        self._seen = self._last()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(FIRST_DRAWING_S)

    def _last(self) -> int:
        last = self._seen
        while events := self._session.store.events(after=last, limit=10_000):
            last = events[-1].number
        return last

    def _show(self) -> None:
        try:
            if sys.stdout.isatty():
                _keep_drawn(self._looker, self._over)
                return
            while not self._over.wait(EVERY_S):
                self._tell(self._new_lines())
            self._tell(self._new_lines())
        except Exception:
            log.exception("the display has failed; the daemon goes on without it")

    def _new_lines(self) -> Iterable[str]:
        while events := self._session.store.events(after=self._seen):
            for event in events:
                self._seen = event.number
                if event.kind is not self._untold:
                    yield from self._teller.lines(event)

    def _tell(self, lines: Iterable[str]) -> None:
        for line in lines:
            click.echo(line)
