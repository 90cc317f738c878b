"""A look into an index file without git: a process less for what is nearly always the same answer."""

from __future__ import annotations

import struct
from pathlib import Path

from ticketd.git.exactness import content_of

_HEADER = struct.Struct(">4sII")
_EXTENSION = struct.Struct(">4sI")
_STAT = 40  # times, device, inode, mode, owner, size
_MODE_AT = 24
# Assume-unchanged; extended (skip-worktree, intent-to-add); the stage of a conflict.
_UNUSUAL = 0xF000
_LENGTH = 0x0FFF
_GITLINK = 0o16


def is_plain(index: Path, name_bytes: int) -> bool:
    """Whether the index holds nothing but files and links without a flag: no change hides behind it, and `reset` takes
    away all that it lists. False also for what is not read here (versions from 4, a split or sparse index): then git
    must be asked. `name_bytes` is the length of an object's name."""
    try:
        data = content_of(index) or b""
        magic, version, count = _HEADER.unpack_from(data)
        if magic != b"DIRC" or version not in (2, 3):
            return False
        end = _end_of_plain_entries(data, count, _STAT + name_bytes)
        return end is not None and _has_harmless_extensions(data, end, name_bytes)
    except (OSError, struct.error, IndexError, ValueError):
        return False


def _end_of_plain_entries(data: bytes, count: int, flags_at: int) -> int | None:
    at = _HEADER.size
    for _ in range(count):
        flags = data[at + flags_at] << 8 | data[at + flags_at + 1]
        if flags & _UNUSUAL or data[at + _MODE_AT + 2] >> 4 == _GITLINK:
            return None
        length = flags_at + 2 + (flags & _LENGTH)
        if flags & _LENGTH == _LENGTH:
            length = data.index(b"\0", at + length) - at
        at += (length + 8) & ~7  # entries end in one to eight zeros
    return at


def _has_harmless_extensions(data: bytes, at: int, name_bytes: int) -> bool:
    """git's rule: what begins with a capital may be passed over; the others change what the entries mean."""
    while at < len(data) - name_bytes:
        name, size = _EXTENSION.unpack_from(data, at)
        if not name[:1].isupper():
            return False
        at += _EXTENSION.size + size
    return at == len(data) - name_bytes
