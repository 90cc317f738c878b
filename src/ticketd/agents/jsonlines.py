"""Logs that are lines of JSON, among whatever else was printed. Nothing in them is trusted, nothing is an error."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

LONGEST_LINE = 16 * 2**20
"""A longer one is left out: agents print whole files as one line, and rubbish has no ends of lines."""
LARGEST_LOG = 2**29
LONGEST_END = 50_000
MOST_COUNTED = 10**12
MOST_SAID = 2000

Record = Mapping[str, Any]

_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", re.ASCII)
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def lines_of(log: Path) -> Iterator[str]:
    """What can be read of it; a log that is not there has none."""
    try:
        with _open(log) as file:
            while (line := file.readline(LONGEST_LINE)) and file.tell() <= LARGEST_LOG:
                whole = line.endswith(b"\n") or len(line) < LONGEST_LINE
                if whole:
                    yield line.decode("utf-8", "replace")
                while not whole and file.tell() <= LARGEST_LOG:
                    whole = (line := file.readline(LONGEST_LINE)).endswith(b"\n") or not line
    except OSError:
        return


def document_of(file: Path, most: int = LONGEST_LINE) -> Record | None:
    """A file that is one JSON object, of at most that many bytes."""
    try:
        with _open(file) as opened:
            return record_of(opened.read(most).decode("utf-8", "replace"))
    except OSError:
        return None


def _open(file: Path) -> BinaryIO:
    """What an agent can write it can replace: by a pipe, where nobody who opens it comes back, or by a link."""
    opened = open(file, "rb", opener=_open_quickly)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise OSError(f"{file} is no file")
    return opened


def _open_quickly(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)


def record_of(line: str) -> Record | None:
    """None if the line is no JSON object."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def at(value: object, *keys: str) -> Any:
    """What lies there; None if nothing does."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def text_at(value: object, *keys: str) -> str:
    """Of a very long one its beginning and its end: whole files go through here."""
    found = at(value, *keys)
    if not isinstance(found, str):
        return ""
    return plain(found if len(found) <= 2 * LONGEST_END else f"{found[:LONGEST_END]}…{found[-LONGEST_END:]}")


def count_at(value: object, *keys: str) -> int:
    """0 if it is no number of anything: a wrong one would stop a pool that is far from its budget."""
    found = at(value, *keys)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return 0
    return int(found) if 0 <= found <= MOST_COUNTED else 0


def number_at(value: object, *keys: str) -> float | None:
    found = at(value, *keys)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if 0 <= found <= MOST_COUNTED else None


def items_at(value: object, *keys: str) -> list[Any]:
    found = at(value, *keys)
    return found if isinstance(found, list) else []


def members_at(value: object, *keys: str) -> Mapping[str, Any]:
    found = at(value, *keys)
    return found if isinstance(found, dict) else {}


def session_at(value: object, *keys: str) -> str | None:
    """A session's name becomes an argument, and the agent prints it: one that looks like an option is none."""
    found = at(value, *keys)
    return found if isinstance(found, str) and _SESSION.fullmatch(found) else None


def plain(text: str) -> str:
    """Without what a terminal would obey, and without halves of characters, which nothing could write down."""
    return _CONTROLS.sub("", text.encode("utf-8", "replace").decode("utf-8"))


def last_words(text: str) -> str:
    """The end of it says what came of it."""
    words = plain(text).strip()
    return words if len(words) <= MOST_SAID else "…" + words[1 - MOST_SAID :]


def one_line(text: str, most: int = 300) -> str:
    line = " ".join(plain(text[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"
