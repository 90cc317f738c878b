"""Pipes that an agent puts where git reads a file: whichever git comes by one waits there for ever."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ticketd.app.removal import remove_below

PATIENCE_S = 2.0
# What git reads of its own accord in the directories that it goes through.
_READ = (".gitignore", ".gitattributes", ".gitmodules")


def remove_pipes(repository: Path) -> None:
    """All of them: none is git's. Who waits at one already goes on."""
    _remove(repository, everything=True)


@contextmanager
def unblocked(tree: Path | None) -> Iterator[None]:
    """Beside a git that reads a worktree: once that takes long, such pipes go. All others are the agent's affair."""
    if tree is None:
        yield
        return
    over = threading.Event()

    def free() -> None:
        while not over.wait(PATIENCE_S):
            _remove(tree, everything=False)

    helper = threading.Thread(target=free, name="unblock", daemon=True)
    helper.start()
    try:
        yield
    finally:
        over.set()
        helper.join()


def _remove(root: Path, *, everything: bool) -> None:
    folders = [(root, everything)]
    while folders:
        folder, all_of_it = folders.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append((folder / entry.name, all_of_it or entry.name == ".git"))
                elif (all_of_it or entry.name in _READ) and _is_pipe(entry):
                    remove_below(folder, entry.name)


def _is_pipe(entry: os.DirEntry[str]) -> bool:
    plain = entry.is_file(follow_symlinks=False) or entry.is_symlink()
    return not plain and Path(entry.path).is_fifo()
