"""Where in a TOML text each table and key stands: tomllib does not say."""

from __future__ import annotations

import re
import tomllib
from typing import Any

Path = tuple[str, ...]

_MAX_DEPTH = 3  # of the keys that ticketd knows; lines below it are never asked for
BARE = re.compile(r"[A-Za-z0-9_-]+")
_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*\[\[?[ \t]*({_DOTTED})[ \t]*\]\]?")
_ASSIGNED = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_TOKEN = re.compile(
    r'''"""(?:\\.|[^\\])*?"""+|\'\'\'.*?\'\'\'+|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|#[^\n]*|[^"'#\[\]{}\n]+|.''', re.DOTALL
)


def lines_of(source: str) -> dict[Path, int]:
    """The line of each table and key of a valid TOML text. What stands inside an inline table is not in it."""
    lines: dict[Path, int] = {}
    table: Path = ()
    at, line, depth, fresh = 0, 1, 0, True
    while at < len(source):
        found = None
        if fresh and depth == 0:
            header = _HEADER.match(source, at)
            found = header or _ASSIGNED.match(source, at)
            if found:
                path = _path(found[1]) if header else (*table, *_path(found[1]))
                table = path if header else table
                for n in range(1, min(len(path), _MAX_DEPTH) + 1):
                    lines.setdefault(path[:n], line)
        fresh = False
        if found is None:
            found = _TOKEN.match(source, at)
            assert found is not None
            depth += (found[0] in ("[", "{")) - (found[0] in ("]", "}"))
            line += found[0].count("\n")
            fresh = found[0] == "\n"
        at = found.end()
    return lines


def _path(dotted: str) -> Path:
    """The parts of a key, its quotes and escapes undone."""
    parts = []
    inner: Any = tomllib.loads(f"{dotted} = 0")
    while isinstance(inner, dict):
        ((part, inner),) = inner.items()
        parts.append(part)
    return tuple(parts)
