"""Words of others inside of ours: none of them can be taken for ours, or end the quotation that it stands in."""

from __future__ import annotations

import re
from itertools import chain

MOST_WORDS = 600
_COLOURS = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")


def plain(text: str) -> str:
    """What a program printed, without colours and control characters."""
    return "".join(c for c in _COLOURS.sub("", text) if c.isprintable() or c in "\n\t")


def fenced(text: str, kind: str = "") -> str:
    """As a quotation that nothing in it can end: no run of backticks in it is as long as the fence. `kind`: a word on
    the first line that says what it is."""
    longest = max(chain([2], (len(run) for run in re.findall("`+", text))))
    fence = "`" * (longest + 1)
    return f"{fence}{kind}\n{text}\n{fence}"


def as_code(text: object) -> str:
    """A word, path or pattern within a line of ours, likewise."""
    plain = one_line(text)
    longest = max(chain([0], (len(run) for run in re.findall("`+", plain))))
    ticks = "`" * (longest + 1)
    pad = " " * (plain.startswith("`") or plain.endswith("`") or not plain)
    return f"{ticks}{pad}{plain}{pad}{ticks}"


def one_line(text: object, most: int = MOST_WORDS) -> str:
    """Behind a list's dash it can be neither a heading nor a fence."""
    words = " ".join(str(text).split())
    return words if len(words) <= most else f"{words[:most]}…"


def size_of(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def cut(text: str, room: int) -> str:
    """What of it has room (in bytes), and how much is left out."""
    whole = text.encode("utf-8", "replace")
    if len(whole) <= room:
        return text
    kept = whole[: max(room, 0)].decode("utf-8", "ignore")
    return f"{kept}\n[… {len(whole) - len(kept.encode()):,} bytes are left out]"


def cut_front(text: str, room: int) -> str:
    """Likewise, of what matters most at its end."""
    whole = text.encode("utf-8", "replace")
    if len(whole) <= room:
        return text
    kept = whole[len(whole) - max(room, 0) :].decode("utf-8", "ignore")
    return f"[{len(whole) - len(kept.encode()):,} bytes are left out …]\n{kept}"
