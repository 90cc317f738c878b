"""Which changes of a tree are none: files that are byte for byte what a checkout of the old content writes.

Where the repository holds what its own clean filter would not write (CRLF under `text`, an expanded `$Id$` under
`ident`), git calls a file changed that nobody has touched, as soon as it reads it again; and it reads again what was
written within the same second as the index, so nearly everything that has just been checked out.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ticketd.errors import GitFailed
from ticketd.git.door import Git

# A `.gitmodules` in the tree can hide a repository that was put there (`ignore`), and one with a wrong value ends git.
PLAIN = ("--no-renames", "--ignore-submodules=none")
_LARGEST_OF_GIT = 64 << 20
_REGULAR = ("100644", "100755")
GITLINK = "160000"


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs between two trees, by `diff-tree --raw`: modes, object names and the kind of change."""

    path: str
    old_mode: str
    new_mode: str
    old: str
    new: str
    kind: str

    @property
    def nests(self) -> bool:
        """Whether it is a repository now and was not."""
        return self.new_mode == GITLINK != self.old_mode


def changes(git: Git, before: str, after: str, env: Mapping[str, str] | None = None) -> tuple[Change, ...]:
    """What differs between two trees (or commits). git reads the index for it, without need: it must be a sound one.

    Raises:
        GitFailed: one of them is missing.
    """
    if before == after:
        return ()
    answer = git.ask("diff-tree", "-r", "-z", "--raw", "--no-abbrev", *PLAIN, before, after, env=env)
    if not answer.ok:
        raise GitFailed(f"cannot compare {before} and {after}", stderr=answer.err)
    fields = answer.out.split("\0")
    return tuple(_change(head, path) for head, path in zip(fields[0::2], fields[1::2], strict=False))


def _change(head: str, path: str) -> Change:
    old_mode, new_mode, old, new, kind = head.removeprefix(":").split(" ")
    return Change(path, old_mode, new_mode, old, new, kind)


def untouched(git: Git, root: Path, found: Sequence[Change], env: Mapping[str, str]) -> tuple[Change, ...]:
    """Those of `found`, the changes that `add` saw in the tree at `root`, that are none. At most one process, and none
    where no filter took part: then the new content is the file's own."""
    suspects = [change for change in found if _is_suspect(change) and not _is_verbatim(root / change.path, change.new)]
    return _as_checked_out(git, root, suspects, env) if suspects else ()


def all_untouched(git: Git, root: Path, status: Sequence[str]) -> bool:
    """Whether every entry of `status --porcelain=v2 -z` is a changed file that is as a checkout writes it."""
    found = [_status_change(entry) for entry in status]
    suspects = [change for change in found if change and _is_suspect(change)]
    return len(suspects) == len(status) and len(_as_checked_out(git, root, suspects, {})) == len(status)


def _status_change(entry: str) -> Change | None:
    """`1 XY sub mode-HEAD mode-index mode-file name-HEAD name-index path`, changed but not staged."""
    fields = entry.split(" ", 8)
    if len(fields) != 9 or fields[:3] != ["1", ".M", "N..."] or fields[4] != fields[5]:
        return None
    return Change(fields[8], fields[4], fields[5], fields[7], "", "M")


def _is_suspect(change: Change) -> bool:
    # `cat-file` takes blanks before a path for part of its separator.
    modes = (change.old_mode, change.new_mode)
    return change.kind == "M" and all(mode in _REGULAR for mode in modes) and change.path[:1] not in " \t"


def _is_verbatim(path: Path, name: str) -> bool:
    """Whether the file is what the object holds; so, too, for a file that cannot be read (it is moving under us)."""
    content = content_of(path)
    if content is None:
        return True
    digest = hashlib.sha256 if len(name) == 64 else hashlib.sha1
    return digest(b"blob %d\0" % len(content) + content).hexdigest() == name


def content_of(path: Path, largest: int | None = None) -> bytes | None:
    """None for what is no plain file, or larger; never waits for one (a live agent may put a pipe in its place)."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            fits = largest is None or found.st_size <= largest
            return file.read(-1 if largest is None else largest) if stat.S_ISREG(found.st_mode) and fits else None
    except OSError:  # nothing, a link, or a directory, which can be opened but not as a file
        return None


def content_of_gits(path: Path) -> bytes | None:
    """Likewise, of a file of git's own that agents can write: one without an end must not fill the memory."""
    return content_of(path, _LARGEST_OF_GIT)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _as_checked_out(git: Git, root: Path, suspects: Sequence[Change], env: Mapping[str, str]) -> tuple[Change, ...]:
    """Those whose file is what checking out the old content would write; where git (or a filter) breaks off, the rest
    counts as changed. The size that git 2.39 says is that before the filters, so a name that nobody has ends each."""
    end = f"no-object-{secrets.token_hex(16)}"
    given = os.fsencode("".join(f"{change.old} {change.path}\0{end} {change.path}\0" for change in suspects))
    # `.gitattributes` are read from the working directory.
    at_root = Git(root, git.config, git.env, git.tree)
    answer = at_root.ask("cat-file", "--batch", "--filters", "-z", stdin=given, env=env)
    parts = os.fsencode(answer.out).split(f"\n{end} missing\n".encode())[:-1]
    written = (part.partition(b"\n")[2] for part in parts)
    return tuple(
        change for change, content in zip(suspects, written, strict=False) if content == content_of(root / change.path)
    )
