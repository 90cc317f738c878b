"""Trailers at the end of a commit message, by git's own rules, with every forged one of the same key taken out.

Not `git interpret-trailers --if-exists replace`: it removes only one of several, takes `Ticket` and `Ticket-Attempt`
for the same key (git 2.39 compares prefixes), and costs a process for each commit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_TRAILER = re.compile(rb"^([A-Za-z0-9-]+)[ \t]*:")
_BY_GIT = (b"Signed-off-by: ", b"(cherry picked from commit ")


def with_trailers(message: bytes, trailers: Sequence[tuple[str, str]]) -> bytes:
    """`message` ending in `trailers`, which replace those of the same keys (in any case)."""
    if not trailers:
        return message
    # git reads a message up to its first NUL, and would see no trailer behind one.
    message = message.replace(b"\0", b"")
    # Without a title the trailers would be the title.
    text = message.rstrip(b"\n") if message.strip() else b"(no message)"
    body, block = _split(text.split(b"\n"))
    block = _without(block, {key.lower().encode() for key, _ in trailers})
    block += [f"{key}: {value}".encode() for key, value in trailers]
    while body and not body[-1].strip():
        body.pop()
    return b"\n".join([*body, b"", *block]) + b"\n"


def _split(lines: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The message before its trailer block, and the block (empty if there is none)."""
    start = len(lines)
    while start > 0 and lines[start - 1].strip():
        start -= 1
    titled = any(line.strip() for line in lines[:start])  # the first paragraph is the title, never trailers
    if titled and _is_block(lines[start:]):
        return lines[:start], lines[start:]
    return lines, []


def _is_block(lines: list[bytes]) -> bool:
    """git's rule: nothing but trailers, or one that git itself writes and at least a quarter trailers."""
    if not lines or lines[0][:1].isspace():
        return False
    by_git = any(line.startswith(_BY_GIT) for line in lines)
    own = sum(1 for line in lines if line.startswith(_BY_GIT) or _TRAILER.match(line))
    other = _others(lines)
    return (by_git and own * 3 >= other) or (own > 0 and other == 0)


def _others(lines: list[bytes]) -> int:
    """How many lines are no trailers; a line that is indented belongs to the one before it."""
    count, in_trailer = 0, False
    for line in lines:
        if not line[:1].isspace():
            in_trailer = line.startswith(_BY_GIT) or _TRAILER.match(line) is not None
        count += not in_trailer
    return count


def _without(lines: list[bytes], keys: set[bytes]) -> list[bytes]:
    left, dropping = [], False
    for line in lines:
        if not line[:1].isspace():
            match = _TRAILER.match(line)
            dropping = match is not None and match[1].lower() in keys
        if not dropping:
            left.append(line)
    return left
