"""Whether anybody's git works in what is ticketd's."""

from __future__ import annotations

import os
from pathlib import Path


def git_lives(state: Path) -> bool:
    """Whether a git process works below `state`: by its directory, its arguments or its GIT_DIR. Where there is no
    /proc to ask, the answer is no: the caller has just become the only daemon. A lock that git's children inherit would
    be exact for the daemon's own git, and blind for the agents'; this sees both."""
    mark = os.fsencode(state)
    return any(_works_in(process, mark) for process in Path("/proc").glob("[0-9]*"))


def _works_in(process: Path, mark: bytes) -> bool:
    try:
        if not (process / "comm").read_bytes().startswith(b"git"):
            return False
        where = os.fsencode((process / "cwd").readlink())
        return any(mark in text for text in (where, *(_content(process / name) for name in ("cmdline", "environ"))))
    except OSError:
        return False  # it has ended, or is somebody else's


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
