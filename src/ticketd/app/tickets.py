"""Ticket files into the store, and what is wrong with them."""

from __future__ import annotations

import hashlib

from ticketd.app.session import Session
from ticketd.domain.lint import lint
from ticketd.domain.problems import Problem
from ticketd.domain.settings import Settings


def sync(session: Session, settings: Settings) -> bool:
    """Bring the store up to the ticket files as they are now. Whether anything changed."""
    known = session.store.files()
    # What a file means depends on the settings too: a profile that was missing may be there now.
    under = hashlib.sha256(repr(settings).encode()).hexdigest()[:12]
    stamps = {path: f"{stamp} {under}" for path, stamp in session.files.stamps().items()}
    found = [
        session.files.read(path, stamp, settings)
        for path, stamp in stamps.items()
        if path not in known or known[path].stamp != stamp
    ]
    gone = [path for path in known if path not in stamps]
    return session.store.save_files(found, gone, session.clock.now())


def settings_of(session: Session) -> tuple[Settings, tuple[Problem, ...]]:
    """The settings in force and the faults of `ticketd.toml`: while that cannot be used, what it last said holds."""
    parsed = session.files.settings()
    return parsed.settings or session.files.last_good_settings() or Settings(), parsed.problems


def problems(session: Session, settings: Settings, of_settings: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """All that is wrong with the ticket files and the configuration, each file's own faults and those across files."""
    parsed = [file.parsed for file in session.store.files().values()]
    own = [problem for each in parsed for problem in each.problems]
    across = lint(parsed, settings, session.store.landed())
    return (*of_settings, *sorted({*own, *across}))
