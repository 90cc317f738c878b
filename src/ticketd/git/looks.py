"""What the trees of running attempts have written. Neither a tree nor its index nor any ref is touched, and no object
stays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from ticketd.errors import GitFailed
from ticketd.git import snapshot
from ticketd.git.control import Control
from ticketd.git.door import Git
from ticketd.git.exactness import changes
from ticketd.git.snapshot import Snapshot, Standing
from ticketd.git.tree import Tree
from ticketd.ports import Look

CLOCK_GRAIN_S = 1.0
"""How late the clock of a file system may be. A path too many costs a trial, one too few a conflict seen 5 s later."""


def look(control: Control, tree: Tree, base: str, onto: str) -> Look:
    """If files change too fast to be read, the commits alone count.

    Raises:
        GitFailed: the base is missing.
    """
    at = snapshot.look(control, tree, base)
    with snapshot.throw_away_objects(control) as env:
        own = Git(control.git.cwd, env={**control.git.env, **env})
        taken, fork = as_it_stands(control, own, tree, at, env), base
        if at.head != base or at.merging:
            # An agent that has rebased onto the moved target, or merged it, has not written what came with that.
            tip = snapshot.commit_taken(own, taken, at, base, "as it stands", control.by)
            fork = own.ask("merge-base", tip, onto).line or base
        found = taken.changes if fork == base else changes(own, fork, taken.tree)
    written = tuple(change.path for change in found)
    committed = _committed(control.git, at.head, fork, onto) if at.head != fork else ()
    return Look(fork, written, tuple(sorted({*written, *committed})))


def as_it_stands(control: Control, own: Git, tree: Tree, at: Standing, env: Mapping[str, str]) -> Snapshot:
    for _ in range(2):
        try:
            return snapshot.take(control, tree, at, env)
        except GitFailed:
            continue
    return Snapshot(at.content, changes(own, at.base_content, at.content))


def _committed(git: Git, head: str, fork: str, onto: str) -> Sequence[str]:
    """What its commits have touched, also where a later one has taken it back: each is replayed by itself."""
    options = ("-z", "--format=", "--name-only", "--no-renames", "-m")
    return [field.removeprefix("\n") for field in git.ask("log", *options, head, f"^{fork}", f"^{onto}").split0()]


def fresh(tree: Tree, paths: Mapping[str, bool], since: float) -> Iterator[str]:
    """Those that may not be as they were then (epoch seconds). An agent can set a file's time back, but not that of its
    last change (ctime)."""
    for path, was_there in paths.items():
        try:
            changed_at = os.lstat(tree.path / path).st_ctime
        except (FileNotFoundError, NotADirectoryError):
            if was_there:
                yield path
            continue
        if changed_at >= since - CLOCK_GRAIN_S:
            yield path
