"""Ticket files and `ticketd.toml` as they lie in the user's checkout. Satisfies `ports.TicketFiles`."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ticketd import failpoints
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.secrets import LONGEST_FILE, NO_SECRETS, Secrets
from ticketd.domain.settings import Settings
from ticketd.domain.settingsfile import ParsedSettings, parse_settings
from ticketd.domain.ticketfile import MAX_BYTES, Parsed, parse_ticket
from ticketd.domain.values import FaultAt, decode
from ticketd.errors import BadInput
from ticketd.ports import FoundFile

TICKETS = "tickets"
CONFIG = "ticketd.toml"
CHUNK = 1 << 16
SETTLED_S = 1.0
"""A file that was written longer ago than this is as it is meant."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class CheckoutFiles:
    """Reads below `root`. Symbolic links, pipes and devices are named as faults, never followed or opened.

    `last_good` is where the newest `ticketd.toml` without an error is kept; `secrets`, what no ticket may tell.
    """

    def __init__(self, root: Path, last_good: Path, secrets: Callable[[], Secrets] = lambda: NO_SECRETS) -> None:
        self.root = root
        self._last_good = last_good
        self._secrets = secrets

    def is_there(self) -> bool:
        return self.root.is_dir()

    def stamps(self) -> Mapping[str, str]:
        if (self.root / TICKETS).is_symlink():
            return {TICKETS: _stamp((self.root / TICKETS).lstat())}
        return {_shown(path): _stamp(status) for path, status in _walk(self.root / TICKETS, TICKETS, 0)}

    def read(self, path: str, stamp: str, settings: Settings) -> FoundFile:
        if "\\udc" in path:
            named = Problem(path, 0, "its name is not UTF-8", "rename it")
            return FoundFile(stamp, Parsed(path, None, None, (named,)))
        try:
            content = _read_below(self.root, path)
        except OSError as error:
            return FoundFile(stamp, Parsed(path, None, None, (_unreadable(path, error),)))
        return FoundFile(stamp, self._parsed(path, content, settings))

    def _parsed(self, path: str, content: bytes, settings: Settings) -> Parsed:
        """Without the value of any secret: what a ticket says stands in the store, in briefs and on pages."""
        secrets = self._secrets()
        parsed = parse_ticket(path, secrets.redact(content), settings)
        if not (told := secrets.count(content)):
            return parsed
        what = f"it holds the value of {min(told)}, which everybody sees as `[{min(told)}]`"
        problem = Problem(path, 0, what, "take the value out", Severity.WARNING)
        return replace(parsed, problems=(*parsed.problems, problem))

    def settings(self) -> ParsedSettings:
        try:
            content = _read_regular(self.root / CONFIG, is_private=True)
        except FileNotFoundError:
            gone = self._last_good.exists()
            return ParsedSettings(None, (self._gone(),)) if gone else ParsedSettings(Settings(), ())
        except WritableByAll:
            what = "anybody on this machine may write it, and it says which programs run"
            return ParsedSettings(None, (Problem(CONFIG, 0, what, f"chmod o-w {CONFIG}"),))
        except OSError as error:
            return ParsedSettings(None, (_unreadable(CONFIG, error),))
        parsed = parse_settings(CONFIG, content)
        if parsed.settings is not None:
            self._remember(content)
        return parsed

    def _gone(self) -> Problem:
        """`git clean -fdx` takes it along where it is not tracked; by the defaults nothing would be verified."""
        if not self.is_there():
            return Problem(CONFIG, 0, f"the checkout {self.root} is gone", "bring it back; what was last read holds")
        mend = f"put it back ({self._last_good} is a copy), or write an empty one for the defaults"
        return Problem(CONFIG, 0, "it is gone; what it last said holds", mend)

    def last_good_settings(self) -> Settings | None:
        try:
            return parse_settings(CONFIG, _read_regular(self._last_good)).settings
        except OSError:
            return None

    def template(self, path: str) -> str:
        try:
            return decode(_read_below(self.root, path))
        except OSError as error:
            what = f"{path}, which `template` under [brief] names, cannot be read: {error.strerror}"
            raise BadInput(what, mend="Write it, or take the key out of ticketd.toml.") from None
        except FaultAt as fault:
            raise BadInput(f"{path}: {fault.what}", mend=fault.mend) from None

    def stamps_of(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Of files of the checkout, links followed; empty for what is not there."""
        stamps = []
        for path in paths:
            try:
                stamps.append(_stamp((self.root / path).stat()))
            except OSError:
                stamps.append("")
        return tuple(stamps)

    def text_of(self, path: str) -> str:
        """A file of the checkout that holds secrets; it may be a link to where they are kept. Empty if there is none,
        or one too long to hold them."""
        try:
            content = _read_regular((self.root / path).resolve())
        except (OSError, RuntimeError):
            return ""
        return content.decode("utf-8", "surrogateescape") if len(content) <= LONGEST_FILE else ""

    def _remember(self, content: bytes) -> None:
        """Unless it may be half of what somebody is just writing: an editor that writes in place empties it first, and
        by an empty one nothing would be verified. Without room for it the one before is still good."""
        with contextlib.suppress(OSError):
            young = abs(time.time() - (self.root / CONFIG).stat().st_mtime) < SETTLED_S
            known = _read_regular(self._last_good) if self._last_good.exists() else None
            if known == content or (young and known is not None) or not self._last_good.parent.is_dir():
                return
            fresh = self._last_good.with_name(f"{self._last_good.name}.{os.getpid()}.ticketd")
            fresh.touch(mode=0o600)
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


class WritableByAll(OSError):
    """A file that others than its owner and group may write."""


def _read_below(root: Path, path: str) -> bytes:
    """No folder on the way is a link, not even one put there since it was listed."""
    *folders, name = path.split("/")
    at = os.open(root, FOLDER)
    try:
        for folder in folders:
            inside = os.open(folder, FOLDER | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inside
        return _read_regular(name, at)
    finally:
        os.close(at)


def _read_regular(path: str | Path, at: int | None = None, *, is_private: bool = False) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(0, "not a regular file")
        if is_private and mode & stat.S_IWOTH:
            raise WritableByAll
        content = b""
        while len(content) <= MAX_BYTES and (more := os.read(fd, CHUNK)):
            content += more
        return content
    finally:
        os.close(fd)


def _unreadable(path: str, error: OSError) -> Problem:
    return Problem(path, 0, f"cannot be read: {error.strerror or error}", "make it a regular, readable file")
