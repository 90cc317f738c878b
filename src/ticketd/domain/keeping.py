"""What is kept on disk, and what may go: how much has to, in which order, and why nothing more is started. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

TOO_LITTLE_BYTES, TOO_FEW_FILES = 200 * 10**6, 5000
"""With less free, or with room for fewer files, nothing is started: a checkout that has no room costs an attempt."""
EASED = 1.5
"""How many times as much must be free before something is started again, lest it go on and off."""
LOW = 0.9
"""To what part of the limit room is made, so that not each new file asks for more."""


class Sort(IntEnum):
    """What may go, the least missed first: where agents kept the sessions of tickets that are over; of tickets that
    have landed the records of runs, then the logs; worktrees that nobody has in hand (made anew when one is
    wanted)."""

    HOME = 0
    RUN = 1
    LOG = 2
    TREE = 3


@dataclass(frozen=True, slots=True)
class Item:
    """`what`: a path below the state directory, or a worktree's name. `at`: since when nobody needs it (epoch seconds),
    if that is known."""

    sort: Sort
    what: str
    size: int
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Disk:
    """In bytes: what the state directory takes up, what it may (None: no limit), and what is free on its disk. `files`:
    how many can still be made there; None: as many as there is room for."""

    used: int
    limit: int | None
    free: int
    files: int | None = None


def past_their_time(landed: Mapping[str, float], now: float, keep_s: float) -> dict[str, float]:
    """The tickets that landed so long ago."""
    return {ticket: at for ticket, at in landed.items() if at + keep_s <= now}


def needed(disk: Disk) -> int:
    """How many bytes should go; one, and so one thing at a time, where it is files that there is no room for."""
    over = disk.used - LOW * disk.limit if disk.limit is not None and disk.used > disk.limit else 0
    short = EASED * TOO_LITTLE_BYTES - disk.free if disk.free < TOO_LITTLE_BYTES else 0
    return int(max(over, short, disk.files is not None and disk.files < TOO_FEW_FILES))


def choose(items: Iterable[Item], bytes_needed: int) -> tuple[Item, ...]:
    """What goes to make that much room, no more: sort by sort, the oldest first."""
    chosen, made = [], 0
    for item in sorted(items, key=lambda item: (item.sort, item.at, item.what)):
        if made >= bytes_needed:
            break
        chosen.append(item)
        made += item.size
    return tuple(chosen)


def why_short(disk: Disk, before: bool) -> str:
    """Why nothing may be started; empty while there is room. `before`: whether there was none a moment ago. It stands
    in the store until there is room, so it says how much that is, and not what is free at the moment."""
    if disk.limit is not None and disk.used > disk.limit:
        return f"{LIMIT_REACHED} of {amount(disk.limit)} is reached: {amount(disk.used)} are in use"
    factor = EASED if before else 1
    if disk.free < TOO_LITTLE_BYTES * factor:
        return f"{DISK_FULL}: less than {amount(int(TOO_LITTLE_BYTES * EASED))} are free"
    if disk.files is not None and disk.files < TOO_FEW_FILES * factor:
        return f"{DISK_FULL}: it has room for less than {int(TOO_FEW_FILES * EASED)} more files"
    return ""


LIMIT_REACHED = "the disk limit"
DISK_FULL = "the disk is nearly full"


def amount(size: int) -> str:
    """`20 GB`, `1.5 GB`, `300 MB`: as the limit is written."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size / 1000:.0f} kB"
