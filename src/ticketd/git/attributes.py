"""The `.gitattributes` of a tree, for a merge that has no working tree to read them from.

A bare repository reads none, so `merge=union` or `-merge` would be lost. git (2.41 has --attr-source, 2.39 not) is
given a working tree that holds nothing else than these files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ticketd.errors import GitFailed
from ticketd.git.objects import Objects

NAME = ".gitattributes"
_FOLDER, _FILES = b"40000", (b"100644", b"100755", b"100664")
# A tree can hold anything; these names would lead out of the directory that the files are written to.
_ASTRAY = ("", ".", "..", ".git")
_GLOB = re.compile(r"[*?\[\]\\]")
_REMEMBERED = 100_000

# The attributes below a tree, as path and blob.
_Below = tuple[tuple[str, str], ...]
# What lies below a tree, by the tree's name. That stands for its content, so this is never out of date, whichever
# repository it is.
_BELOW: dict[str, _Below] = {}


@dataclass(frozen=True, slots=True)
class _Folder:
    """What matters of one tree object: its own attributes' blob, and its folders as (name, tree)."""

    own: str | None
    folders: tuple[tuple[str, str], ...]


def load_attributes(objects: Objects, tree: str) -> Mapping[str, bytes]:
    """The content of each `.gitattributes` below the tree, by its path. Only folders that were never seen before are
    read: all of them the first time, later those that a landing has changed.

    Raises:
        GitFailed: a part of the tree is missing or damaged.
    """
    if len(_BELOW) > _REMEMBERED:
        _BELOW.clear()
    found = _find(objects, tree)
    return dict(zip([path for path, _ in found], _load(objects, [blob for _, blob in found]), strict=True))


def _find(objects: Objects, tree: str) -> _Below:
    known: dict[str, _Below] = {}  # a copy: another thread may just make room
    fresh: dict[str, _Folder] = {}
    level = [tree]
    while level:
        known.update({name: below for name in level if (below := _BELOW.get(name)) is not None})
        level = [name for name in dict.fromkeys(level) if name not in known and name not in fresh]
        fresh.update(zip(level, map(_parse, _load(objects, level), level), strict=True))
        level = [below for name in level for _, below in fresh[name].folders]
    answer = _collect(tree, fresh, known)
    _BELOW.update(known)
    return answer


def _load(objects: Objects, names: Sequence[str]) -> list[bytes]:
    contents = objects.load(names)
    if None in contents:
        raise GitFailed(f"object {names[contents.index(None)]} is missing")
    return [content for content in contents if content is not None]


def _parse(content: bytes, like: str) -> _Folder:
    """A tree object: mode, blank, name, zero, then the object's name in bytes."""
    own, folders, at, size = None, [], 0, len(like) // 2
    while at < len(content):
        end = content.index(b"\0", at)
        mode, _, name = content[at:end].partition(b" ")
        at = end + 1 + size
        if mode == _FOLDER:
            folders.append((os.fsdecode(name), content[end + 1 : at].hex()))
        elif name == NAME.encode() and mode in _FILES:
            own = content[end + 1 : at].hex()
    return _Folder(own, tuple(each for each in folders if each[0] not in _ASTRAY and "/" not in each[0]))


def _collect(tree: str, fresh: Mapping[str, _Folder], known: dict[str, _Below]) -> _Below:
    if tree not in known:
        folder = fresh[tree]
        inner = [
            (f"{name}/{path}", blob) for name, below in folder.folders for path, blob in _collect(below, fresh, known)
        ]
        known[tree] = (*([(NAME, folder.own)] if folder.own else []), *inner)
    return known[tree]


def write_attributes(root: Path, attributes: Mapping[str, bytes], united: Sequence[str] = ()) -> None:
    """A working tree of attributes alone; the files in `united` are merged by union, whatever is said of them."""
    lines = _union_lines(united)
    for path in dict.fromkeys((*attributes, *lines)):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        said = attributes.get(path, b"")
        file.write_bytes(b"\n".join([said, *lines[path], b""]) if path in lines else said)


def _union_lines(united: Sequence[str]) -> dict[str, list[bytes]]:
    """In each file's own folder: the nearest attributes win, and of those the last."""
    lines: dict[str, list[bytes]] = {}
    for path in map(PurePosixPath, united):
        pattern = "".join(map(_escaped, "/" + _GLOB.sub(r"\\\g<0>", path.name)))
        said = os.fsencode(f'"{pattern}" merge=union')
        lines.setdefault(str(path.parent / NAME), []).append(said)
    return lines


def _escaped(char: str) -> str:
    """As between the quotes of a pattern in `.gitattributes`."""
    if char in '"\\':
        return f"\\{char}"
    return f"\\{ord(char):03o}" if char < " " or char == "\x7f" else char
