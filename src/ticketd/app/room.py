"""Whether there is room left where ticketd keeps its state. Asked of the disk: a full store cannot say it."""

from __future__ import annotations

import shutil
from pathlib import Path

NO_ROOM = 1 << 20  # bytes


def no_room(state: Path) -> str:
    """What is the matter; empty where there is room."""
    try:
        free = shutil.disk_usage(state).free
    except OSError as error:
        return f"{state}: {error.strerror}"
    return f"{state} has {free >> 10} KiB left; make room there, and all goes on by itself" if free < NO_ROOM else ""
