"""How much the state directory takes up. Files are counted one place after the other and seldom: 100,000 of them take
half a second, so a place is counted anew only after a rest that is many times as long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

BLOCK = 512  # of `st_blocks`, whatever the file system's own are


def size_of(path: Path) -> int:
    """Bytes on the disk, not followed through links; what vanishes or cannot be read meanwhile counts for nothing."""
    try:
        found = path.lstat()
        return found.st_blocks * BLOCK + sum(_inside(os.fspath(path)))
    except OSError:
        return 0


def _inside(path: str) -> Iterator[int]:
    todo = [path]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    yield entry.stat(follow_symlinks=False).st_blocks * BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
        except OSError:
            continue


def places(state: Path) -> tuple[str, ...]:
    """What is counted in one go: each worktree, and all else that lies in the state directory."""
    below = [name for name in names_in(state) if name != "worktrees"]
    return (*below, *(f"worktrees/{name}" for name in names_in(state / "worktrees")))


def names_in(path: Path) -> list[str]:
    try:
        return sorted(each.name for each in path.iterdir())
    except OSError:
        return []


def free_on(path: Path) -> tuple[int, int | None]:
    """Bytes, and files that can still be made: None where the file system counts none."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None
