"""The doorbell: a local socket that wakes the daemon, and the lock that makes it the only one."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import select
import socket
import tempfile
from pathlib import Path

from ticketd.errors import DaemonRuns

# A socket's name has room for 107 bytes on Linux and 103 on macOS.
LONGEST_NAME = 100
TRIES = 20


def doorbell_path(state: Path) -> Path:
    """Where the daemon of this state directory listens; a short name where the state directory's is too long."""
    path = state / "doorbell"
    if len(os.fsencode(path)) <= LONGEST_NAME:
        return path
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"ticketd-{os.getuid()}" / digest


def ring(state: Path) -> None:
    """Wake the daemon if one listens; nothing happens if not."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.setblocking(False)
        bell.connect(os.fspath(doorbell_path(state)))
        bell.send(b"!")


class Doorbell:
    """The daemon's end. Satisfies `ports.Bell`."""

    def __init__(self, state: Path) -> None:
        self.path = doorbell_path(state)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.parent.stat().st_uid != os.getuid():
            raise PermissionError(f"{self.path.parent} belongs to somebody else")
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        before = os.umask(0o177)
        try:
            self._socket.bind(os.fspath(self.path))
        finally:
            os.umask(before)
        self._socket.setblocking(False)
        self._inside, self._ringer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._inside.setblocking(False)
        self._ringer.setblocking(False)

    def ring(self) -> None:
        """From any thread of the daemon, also one whose last step outlasts it: then nobody listens any more."""
        with contextlib.suppress(OSError):
            self._ringer.send(b"!")

    def wait(self, timeout_s: float | None) -> bool:
        ready, _, _ = select.select([self._socket, self._inside], [], [], timeout_s)
        for rung in ready:
            with contextlib.suppress(BlockingIOError):
                while rung.recv(64):
                    pass
        return bool(ready)

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
        for end in (self._socket, self._inside, self._ringer):
            end.close()


def _lock(fd: int) -> bool:
    """Tried for a moment: `is_taken` of another process holds the lock for as long as it takes to ask."""
    for _ in range(TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        select.select([], [], [], 0.01)
    return False


class DaemonLock:
    """Held for the daemon's life; the kernel lets it go with the process, however that ends. On the state directory
    itself: a lock file that somebody deletes would be made anew, and so locked, by the next daemon. The file only
    says who it is."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._holder = state / "daemon.lock"
        self._fd: int | None = None

    def take(self) -> None:
        """Raises:
        DaemonRuns: another process holds it.
        """
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if not _lock(fd):
            os.close(fd)
            raise DaemonRuns(
                f"a daemon already runs for this repository (pid {self._held_by()})",
                mend="`ticketd status` shows it; `ticketd stop` ends it.",
            )
        self._fd = fd
        told = os.open(self._holder, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(told, str(os.getpid()).encode())
        finally:
            os.close(told)

    def _held_by(self) -> str:
        with contextlib.suppress(OSError):
            return self._holder.read_bytes()[:32].decode(errors="replace").strip() or "unknown"
        return "unknown"

    def is_taken(self) -> bool:
        """Whether some process holds it."""
        try:
            fd = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def wait_until_free(self, timeout_s: float | None = None) -> bool:
        """Blocks until nobody holds it; False when `timeout_s` ran out first."""
        pause = 0.02
        waited = 0.0
        while self.is_taken():
            if timeout_s is not None and waited >= timeout_s:
                return False
            select.select([], [], [], pause)
            waited += pause
            pause = min(pause * 1.5, 0.5)
        return True

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
