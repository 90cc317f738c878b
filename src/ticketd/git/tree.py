"""One worktree of the pool on disk: its directory, and its git directory within the control repository.

git is always told all three (GIT_DIR, GIT_COMMON_DIR, GIT_WORK_TREE): the tree's `.git` file and what its git directory
says of the repository belong to the agent, who can re-point them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from time import time_ns

from ticketd import failpoints
from ticketd.app.removal import remove_below
from ticketd.git.control import Control
from ticketd.git.door import Git

# What a tree at rest has in its git directory; anything else is an unfinished merge, rebase, bisect, a lock…
_AT_REST = ("HEAD", "commondir", "gitdir", "index", "modules")


@dataclass(frozen=True, slots=True)
class Tree:
    """`path` is the directory, `admin` its git directory, `note` the file that says which branch it was given."""

    path: Path
    admin: Path
    note: Path

    def git(self, control: Control, env: Mapping[str, str] | None = None) -> Git:
        """git for this tree, started in the control repository (the tree may be gone)."""
        own = {"GIT_DIR": str(self.admin), "GIT_COMMON_DIR": str(control.own), "GIT_WORK_TREE": str(self.path)}
        config = ("advice.addEmbeddedRepo=false", "core.safecrlf=false", "core.logAllRefUpdates=false")
        return Git(control.own, config, {**own, **(env or {})}, self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def branch(self) -> str | None:
        """The branch that the tree was last prepared with."""
        return self.note.read_text() or None if self.note.is_file() else None

    @property
    def has_admin(self) -> bool:
        """Whether git can work with it; a link in its place would lead our own writing elsewhere."""
        return not self.admin.is_symlink() and all(
            (self.admin / name).is_file() for name in ("HEAD", "commondir", "gitdir")
        )

    @property
    def clone_mark(self) -> Path:
        return self.note.with_suffix(".clone")

    @property
    def is_clone(self) -> bool:
        """Whether its `.git` is a repository by our own doing (`clones.py`)."""
        return self.clone_mark.is_file()

    @property
    def has_own_repository(self) -> bool:
        """Whether an agent has put a repository in place of the link."""
        return (self.path / ".git").is_dir() and not self.is_clone

    def point_head(self, commit: str, branch: str | None) -> None:
        """Written by hand: with a damaged HEAD this is no repository to git, and `reset` would move the branch that
        an agent has checked out."""
        write_whole(self.admin / "HEAD", f"ref: refs/heads/{branch}\n" if branch else f"{commit}\n")

    def link(self) -> None:
        """Make the directory and its git directory name each other."""
        write_whole(self.admin / "gitdir", f"{self.path / '.git'}\n")
        write_whole(self.admin / "commondir", "../..\n")
        if self.is_clone:
            return
        link = self.path / ".git"
        text = f"gitdir: {self.admin}\n"
        if link.is_symlink() or not link.is_file() or link.read_text(errors="replace") != text:
            # Drawn up beside the tree: what lies in it is taken for work of its agent.
            write_whole(link, text, self.path.with_name(f".{self.name}.git"))

    def settle(self) -> None:
        """Forget what an agent left unfinished; its commits are kept elsewhere by now."""
        for path in list(self.admin.iterdir()):
            known = path.name in _AT_REST or path.name.startswith("sharedindex.")
            # A pipe in place of a file would be waited for, and a directory cannot be written over.
            fits = path.is_dir() if path.name == "modules" else path.is_file()
            if not known or path.is_symlink() or not fits:
                remove(path)

    def remove(self) -> None:
        """Delete the directory and its git directory. Only for trees whose work is kept."""
        remove_below(self.path.parent, self.path.name)
        remove_below(self.admin.parent, self.admin.name)
        for mark in (self.note, self.clone_mark):
            mark.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """What cannot be deleted (an immutable file, directories without an end) must not keep the tree from all who
        come after: it stays beside it, where no record names it, and `doctor` tells of it."""
        if os.path.lexists(self.path):
            self.path.rename(self.path.with_name(f"{self.name}-{time_ns()}"))
        self.remove()


def clear_hiding_bits(git: Git, path: Path, env: Mapping[str, str] | None = None, *, sparse: bool) -> bool:
    """Undo `update-index --assume-unchanged` and the like, behind which changed files hide from `status` and `add`.

    With `sparse`, entries that are skipped and not on disk stay: a sparse checkout has not deleted them. False: the
    index cannot be read.
    """
    answer = git.ask("ls-files", "-v", "-z", env=env)
    if not answer.ok:
        return False
    hidden = [entry for entry in answer.split0() if entry[0] == "S" or entry[0].islower()]
    for option, paths in _bits(hidden, path, sparse):
        if paths:
            given = "".join(f"{one}\0" for one in paths).encode(errors="surrogateescape")
            git.ask("update-index", option, "-z", "--stdin", stdin=given, env=env)
    return True


def _bits(hidden: list[str], path: Path, sparse: bool) -> tuple[tuple[str, list[str]], tuple[str, list[str]]]:
    assumed = [entry[2:] for entry in hidden if entry[0].islower()]
    skipped = [entry[2:] for entry in hidden if entry[0] in "Ss" and (not sparse or _exists(path / entry[2:]))]
    return ("--no-assume-unchanged", assumed), ("--no-skip-worktree", skipped)


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def write_whole(path: Path, text: str, draft: Path | None = None) -> None:
    """All of it or nothing, whatever was there and whoever else writes it just now. What a kill leaves of a draft is
    swept (`leftovers.py`)."""
    draft = draft or path
    fresh = draft.with_name(f"{draft.name}.{get_ident()}.ticketd")
    fresh.write_bytes(os.fsencode(text))
    if not path.is_symlink() and (path.is_dir() or path.is_fifo()):
        remove(path)
    fresh.replace(path)
    failpoints.passed("file")


def lead(link: Path, to: Path) -> None:
    """Make `link` a symbolic link to `to`, whatever is there."""
    if not link.is_symlink() or link.readlink() != to:
        remove(link)
        link.symlink_to(to)
        failpoints.passed("file")


def remove(path: Path) -> None:
    remove_below(path.parent, path.name)


def make_writable(path: Path) -> None:
    for directory in (path, *(one for one in path.rglob("*") if one.is_dir() and not one.is_symlink())):
        directory.chmod(directory.stat().st_mode | stat.S_IRWXU)


def is_name(name: str) -> bool:
    """A tree's name becomes a directory's."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None
