"""Ticket files into the store, and what is wrong with them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from ticketd.app.brief import template_problems
from ticketd.app.sandbox import notice
from ticketd.app.session import Session
from ticketd.app.spending import unpriced_notice
from ticketd.domain.lint import lint_across, lint_one
from ticketd.domain.problems import Problem
from ticketd.domain.settings import Settings
from ticketd.ports import FoundFile, TicketFiles


@dataclass(slots=True)
class Intake:
    """Brings the store up to the ticket files, again and again. While neither changes, a look costs one `stat` a file
    and one question to the store."""

    session: Session
    _settled: tuple[int, int] | None = None

    def sync(self, settings: Settings) -> bool:
        """Bring the store up to the ticket files as they are now. Whether anything changed."""
        store, files = self.session.store, self.session.files
        if not files.is_there():
            return False
        under = _under(settings)
        stamps = {path: f"{stamp} {under}" for path, stamp in files.stamps().items()}
        state = (store.files_read(), hash(tuple(stamps.items())))
        if state == self._settled:
            return False
        known = store.stamps()
        found = [_read(files, path, stamp, settings) for path, stamp in stamps.items() if known.get(path) != stamp]
        gone = [path for path in known if path not in stamps]
        changed = store.save_files(found, gone, self.session.clock.now())
        # What was saved is looked at once more: a file may have changed, or be wanted again, since it was read.
        self._settled = None if changed else state
        return changed


def sync(session: Session, settings: Settings) -> bool:
    """One look. Whether anything changed."""
    return Intake(session).sync(settings)


def _under(settings: Settings) -> str:
    """What a file means depends on these settings too: a profile that was missing may be there now."""
    meaning = (settings.agents, settings.routes, settings.scopes, settings.brief.limit)
    return hashlib.sha256(repr(meaning).encode()).hexdigest()[:12]


def _read(files: TicketFiles, path: str, stamp: str, settings: Settings) -> FoundFile:
    """With all that is wrong with it which the other files have no part in."""
    found = files.read(path, stamp, settings)
    more = lint_one(found.parsed, settings)
    return replace(found, parsed=replace(found.parsed, problems=(*found.parsed.problems, *more))) if more else found


def settings_of(session: Session) -> tuple[Settings, tuple[Problem, ...]]:
    """The settings in force and the faults of `ticketd.toml`: while that cannot be used, what it last said holds."""
    parsed = session.files.settings()
    return parsed.settings or session.files.last_good_settings() or Settings(), parsed.problems


def problems(session: Session, settings: Settings, of_settings: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """All that is wrong with the ticket files and the configuration, each file's own faults and those across files."""
    across = lint_across(session.store.outlines(), session.store.landed(), lambda *at: line_of(session, *at))
    notices = (notice(settings, session), unpriced_notice(settings, session))
    own = (*of_settings, *(each for each in notices if each), *template_problems(session.files, settings))
    return (*own, *sorted({*session.store.file_problems(), *across}))


def line_of(session: Session, path: str, dependency: str) -> int:
    """Where the file, as last read, names a ticket that it depends on."""
    file = session.store.file(path)
    return file.parsed.lines.of("depends_on", dependency) if file else 0
