"""Ticket files and `ticketd.toml` as they lie in the user's checkout. Satisfies `ports.TicketFiles`."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from ticketd import failpoints
from ticketd.domain.problems import Problem
from ticketd.domain.settings import Settings
from ticketd.domain.settingsfile import ParsedSettings, parse_settings
from ticketd.domain.ticketfile import MAX_BYTES, Parsed, parse_ticket
from ticketd.ports import FoundFile

TICKETS = "tickets"
CONFIG = "ticketd.toml"
CHUNK = 1 << 16


class CheckoutFiles:
    """Reads below `root`. Symbolic links, pipes and devices are named as faults, never followed or opened.

    `last_good` is where the newest `ticketd.toml` without an error is kept.
    """

    def __init__(self, root: Path, last_good: Path) -> None:
        self.root = root
        self._last_good = last_good

    def stamps(self) -> Mapping[str, str]:
        return {_shown(path): _stamp(status) for path, status in _walk(self.root / TICKETS, TICKETS, 0)}

    def read(self, path: str, stamp: str, settings: Settings) -> FoundFile:
        if "\\udc" in path:
            named = Problem(path, 0, "its name is not UTF-8", "rename it")
            return FoundFile(stamp, Parsed(path, None, None, (named,)))
        try:
            content = _read_regular(f"{self.root}/{path}")
        except OSError as error:
            return FoundFile(stamp, Parsed(path, None, None, (_unreadable(path, error),)))
        return FoundFile(stamp, parse_ticket(path, content, settings))

    def settings(self) -> ParsedSettings:
        try:
            content = _read_regular(self.root / CONFIG)
        except FileNotFoundError:
            return ParsedSettings(Settings(), ())
        except OSError as error:
            return ParsedSettings(None, (_unreadable(CONFIG, error),))
        parsed = parse_settings(CONFIG, content)
        if parsed.settings is not None:
            self._remember(content)
        return parsed

    def last_good_settings(self) -> Settings | None:
        try:
            return parse_settings(CONFIG, _read_regular(self._last_good)).settings
        except OSError:
            return None

    def _remember(self, content: bytes) -> None:
        with contextlib.suppress(OSError):
            if _read_regular(self._last_good) == content:
                return
        if self._last_good.parent.is_dir():
            fresh = self._last_good.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(content)
            fresh.replace(self._last_good)
            failpoints.hit("file/settings")


def _walk(directory: str | Path, name: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    """Files that may be tickets; `name` is what their paths begin with."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        # One level more than tickets may lie at, so that a file too deep is named and not overlooked.
        if entry.is_dir(follow_symlinks=False) and depth < 2:
            yield from _walk(entry.path, f"{name}/{entry.name}", depth + 1)
        elif entry.name.endswith(".md") and entry.name != "README.md":
            with contextlib.suppress(OSError):  # gone since it was listed
                yield f"{name}/{entry.name}", entry.stat(follow_symlinks=False)


def _shown(path: str) -> str:
    """Bytes that are not UTF-8 spelled out: the store and the screen take none."""
    return path if path.isascii() else path.encode("utf-8", "backslashreplace").decode()


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}-{status.st_mode}"


def _read_regular(path: str | Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "not a regular file")
        content = b""
        while len(content) <= MAX_BYTES and (more := os.read(fd, CHUNK)):
            content += more
        return content
    finally:
        os.close(fd)


def _unreadable(path: str, error: OSError) -> Problem:
    return Problem(path, 0, f"cannot be read: {error.strerror or error}", "make it a regular, readable file")
