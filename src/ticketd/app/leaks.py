"""Secrets are kept from leaving: in what the agents' programs print, and in commits that would be pushed."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ticketd import failpoints
from ticketd.app.session import Works
from ticketd.domain.secrets import Redaction, Secrets
from ticketd.ports import Addition

logger = logging.getLogger("ticketd")

PIECE = 1 << 16
MEND = (
    "take it out of the commit, not only of the files after it, and let the program read it from its environment; "
    "a value that is no secret goes under `except` in [secrets]"
)


def leak(works: Works, base: str, tip: str) -> str:
    """What must not be pushed of the commits `base..tip`, in words; empty if there is nothing. All of each commit
    counts: what a later one takes out again stays readable in the one before."""
    secrets = works.session.secrets()
    if not secrets:
        return ""
    return next(filter(None, (_told(secrets, each) for each in works.history.added(base, tip))), "")


def _told(secrets: Secrets, addition: Addition) -> str:
    commit = addition.commit[:12]
    if addition.content is None:
        where = f"{secrets.redact_text(addition.path)} in commit {commit}"
        return f"{where} is too large to be searched for secrets: leave it out, or take `[secrets]` out"
    named = secrets.count(os.fsencode(addition.path)) if addition.path else None
    if named:
        return f"the name of a file in commit {commit} holds the value of {min(named)}: {MEND}"
    found = secrets.count(addition.content) - secrets.count(addition.before)
    if not found:
        return ""
    where = secrets.redact_text(addition.path) if addition.path else "its message or its author's name"
    return f"commit {commit} holds the value of {min(found)} in {where}: {MEND}"


def redact_log(secrets: Secrets, log: Path) -> None:
    """Take the values out of a log that nobody writes to any more; who still reads the old one reads it to its end.
    Where there is no room for a new one they are written over, which takes none."""
    if not secrets:
        return
    try:
        if any(redaction.has_found for redaction, _ in _redacted(secrets, log)):
            _write_anew_or_over(secrets, log)
    except OSError as error:
        logger.warning("secrets could not be taken out of %s: %s", log, error)


def _write_anew_or_over(secrets: Secrets, log: Path) -> None:
    try:
        _write_anew(secrets, log)
    except OSError:
        _write_over(secrets, log)


def _write_over(secrets: Secrets, log: Path) -> None:
    """What comes out is as long as what went in, and comes out later: no byte is written over before it is read."""
    masked, read = secrets.stream(masks=True), 0
    with os.fdopen(os.open(log, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "r+b") as file:
        while piece := os.pread(file.fileno(), PIECE, read):
            read += len(piece)
            file.write(masked.feed(piece))
        file.write(masked.feed(b"", final=True))


def _write_anew(secrets: Secrets, log: Path) -> None:
    handle, fresh = tempfile.mkstemp(prefix=f"{log.name}.", suffix=".ticketd", dir=log.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.writelines(piece for _, piece in _redacted(secrets, log))
        Path(fresh).replace(log)
        failpoints.hit("file/leaks")
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise


def _redacted(secrets: Secrets, log: Path) -> Iterator[tuple[Redaction, bytes]]:
    redaction = secrets.stream()
    content = open_log(log)
    if content is None:
        return
    with content:
        while piece := content.read(PIECE):
            yield redaction, redaction.feed(piece)
    yield redaction, redaction.feed(b"", final=True)


def open_log(log: Path) -> BinaryIO | None:
    """None if there is none. An agent may have put anything in its place: no link is followed, no pipe waited for."""
    try:
        handle = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    return os.fdopen(handle, "rb")
