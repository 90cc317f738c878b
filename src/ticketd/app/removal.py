"""The one door by which anything in the state directory is deleted that may be large, or that an agent could write.

Everything goes by file descriptors, from a directory that is named in full and is no symbolic link, down to the name
that is to go: whatever is put in the way meanwhile is not followed. Session clean-up of others, which went by a path
that resolved wrongly, has deleted home directories.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from ticketd import failpoints

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_below(root: Path, *parts: str) -> None:
    """Delete the file or tree `parts` below `root`, if it is there; a symbolic link goes itself, not what it leads to.

    Raises:
        ValueError: a part is no plain name.
        OSError: a symbolic link or a file stands where a directory should, or something of it cannot be deleted.
    """
    if not parts or any(part in ("", ".", "..") or "/" in part or "\0" in part for part in parts):
        raise ValueError(f"{parts} is not below {root}")
    with suppress(FileNotFoundError), _opened(root, parts[:-1]) as parent:
        _remove(parent, parts[-1])
        failpoints.passed("gone", through=("remove",))


@contextmanager
def _opened(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    fd = os.open(root, _DIRECTORY)
    try:
        for part in parts:
            below = os.open(part, _DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _remove(parent: int, name: str) -> None:
    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    if not stat.S_ISDIR(mode):
        with _freed(parent, name) if stat.S_ISFIFO(mode) else nullcontext():
            os.unlink(name, dir_fd=parent)
        return
    try:
        shutil.rmtree(name, dir_fd=parent)
    except PermissionError:  # read-only directories, as Go's module cache has them
        _make_writable(parent, name)
        shutil.rmtree(name, dir_fd=parent)


@contextmanager
def _freed(parent: int, pipe: str) -> Iterator[None]:
    """Who has begun to open it waits for its other end, for ever, also once it is gone; so that end comes, and goes."""
    end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        yield
    finally:
        os.close(end)


def _make_writable(parent: int, name: str) -> None:
    """All directories of a tree. A mode is changed by a descriptor, lest a link be followed; and what cannot be read
    cannot be opened but as a mere place."""
    place = os.open(name, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        Path(f"/dev/fd/{place}").chmod(stat.S_IRWXU)
    finally:
        os.close(place)
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        with os.scandir(fd) as entries:
            inner = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for each in inner:
            _make_writable(fd, each)
    finally:
        os.close(fd)
