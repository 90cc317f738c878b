"""The content of a working tree as a tree object, made of HEAD's and of a few files that are read.

By way of an index it takes three processes for each tree. And as long as the files of a tree are as new as its index,
which they are until somebody asks for a status, one of these reads all of them again: 20 to 40 ms at 5,000 files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ticketd.domain.widening import above
from ticketd.errors import GitFailed
from ticketd.git.door import Git
from ticketd.git.exactness import content_of
from ticketd.git.objects import Objects, ask_objects, name_of

FOLDER, LINK, FILE, PROGRAM = "40000", "120000", "100644", "100755"


class Entry(NamedTuple):
    """What a tree object has under a name; modes as git writes them there."""

    mode: str
    sha: str


Folders = Mapping[str, Mapping[str, Entry]]
"""By path, the root's is empty: the entries of each by name."""


def load_folders(git: Git, wanted: Sequence[tuple[str, Collection[str]]]) -> list[Folders]:
    """For each commit the folders that hold these paths, as far as it has them; one process for all.

    Raises:
        GitFailed: it cannot be asked for one of the paths, or git broke.
    """
    asked = [(head, folder) for head, paths in wanted for folder in sorted({f for p in paths for f in ("", *above(p))})]
    if any("\n" in folder for _, folder in asked):
        raise GitFailed("a folder's name has a line break")
    contents = dict(zip(asked, ask_objects(git, [f"{head}:{folder}" for head, folder in asked]), strict=True))
    found: dict[str, dict[str, Mapping[str, Entry]]] = {head: {} for head, _ in wanted}
    for (head, folder), there in sorted(contents.items()):
        known = entry_of(found[head], folder)
        if there is not None and (not folder or (known and known.mode == FOLDER)):
            found[head][folder] = dict(_entries(there[1], len(head) // 2))
    return [found[head] for head, _ in wanted]


def _entries(content: bytes, name_bytes: int) -> Iterator[tuple[str, Entry]]:
    at = 0
    while at < len(content):
        end = content.index(b"\0", at)
        mode, _, name = content[at:end].partition(b" ")
        at = end + 1 + name_bytes
        yield os.fsdecode(name), Entry(mode.decode(), content[end + 1 : at].hex())


def read_changes(
    git: Git, scratch: Objects, root: Path, folders: Folders, paths: Sequence[str], like: str
) -> dict[str, Entry | None] | None:
    """Those of `paths` that are not as in the commit that the folders are of; None for what is gone. At most one
    process. None in all: only a whole look tells, since a filter has a say, or there is more than files and links.

    Raises:
        GitFailed, OSError: a file is changing under us.
    """
    found: dict[str, Entry | None] = {}
    differing: dict[str, Entry] = {}
    for path in paths:
        before, now = entry_of(folders, path), _status(root / path)
        if before is not None and before.mode not in (FILE, PROGRAM, LINK):
            return None
        if now is None or stat.S_ISDIR(now):  # what lies in the folder is another path
            found |= {path: None} if before else {}
        elif stat.S_ISLNK(now):
            target = os.fsencode((root / path).readlink())
            found[path] = Entry(LINK, scratch.save("blob", [target], like)[0])
        elif stat.S_ISREG(now):
            content = content_of(root / path)
            if content is None:
                return None
            raw = name_of("blob", content, like)
            entry = Entry(PROGRAM if now & stat.S_IXUSR else FILE, raw)
            if before is None or before.sha != raw:
                differing[path] = entry
            elif before != entry:
                found[path] = entry
        else:
            return None
    if _hashed(git, root, list(differing)) != [entry.sha for entry in differing.values()]:
        return None
    found |= differing
    return {path: entry for path, entry in found.items() if entry != entry_of(folders, path)}


def is_new_or_gone(root: Path, folders: Folders, path: str) -> bool:
    """Whether only one of the tree and its commit has a file there."""
    now = _status(root / path)
    return (entry_of(folders, path) is None) is not (now is None or stat.S_ISDIR(now))


def _status(path: Path) -> int | None:
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _hashed(git: Git, root: Path, paths: Sequence[str]) -> list[str]:
    """As `add` would store them; `git` has the tree's environment."""
    if not paths:
        return []
    if any("\n" in path for path in paths):
        raise GitFailed("a file's name has a line break")
    given = os.fsencode("".join(f"{path}\n" for path in paths))
    return Git(root, git.config, git.env, git.tree).run("hash-object", "-w", "--stdin-paths", stdin=given).split()


def entry_of(folders: Folders, path: str) -> Entry | None:
    folder, _, name = path.rpartition("/")
    return folders.get(folder, {}).get(name)


def compose(scratch: Objects, folders: Folders, changed: Mapping[str, Entry | None], like: str) -> str:
    """The root's tree object with these changes, whose folders must be among `folders` where the commit has them."""
    now = {folder: dict(entries) for folder, entries in folders.items()}
    for path, entry in changed.items():
        _put(now, path, entry)
    stale = {folder for path in changed for folder in above(path)}
    for folder in sorted(stale, key=lambda each: -each.count("/")):
        inside = now.get(folder)
        _put(now, folder, Entry(FOLDER, _write_folder(scratch, inside, like)) if inside else None, is_folder=True)
    return _write_folder(scratch, now.get("", {}), like)


def _put(now: dict[str, dict[str, Entry]], path: str, entry: Entry | None, is_folder: bool = False) -> None:
    folder, _, name = path.rpartition("/")
    entries = now.setdefault(folder, {})
    if entry is not None:
        entries[name] = entry
    elif name in entries and (entries[name].mode == FOLDER) == is_folder:
        del entries[name]


def _write_folder(scratch: Objects, entries: Mapping[str, Entry], like: str) -> str:
    """git sorts folders as if their names ended in a slash."""
    lines = []
    for name, entry in entries.items():
        text = os.fsencode(name)
        line = b"%s %s\0" % (entry.mode.encode(), text) + bytes.fromhex(entry.sha)
        lines.append((text + b"/" * (entry.mode == FOLDER), line))
    return scratch.save("tree", [b"".join(line for _, line in sorted(lines))], like)[0]
