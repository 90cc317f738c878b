"""A commit with some files as a command has made them: what was left unmerged on purpose gets its content."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ticketd.domain.globs import PatternSet, matches
from ticketd.errors import GitFailed
from ticketd.git import snapshot
from ticketd.git.commits import parse_commit, render_commit
from ticketd.git.control import Control
from ticketd.git.exactness import Change
from ticketd.git.objects import objects_of
from ticketd.git.tree import Tree


def amend(control: Control, tree: Tree, commit: str, paths: PatternSet) -> str:
    """`commit` with the content that the tree has for the paths; author, dates, message and parents as they are. The
    same content gives the same commit, however often.

    Raises:
        GitFailed: the tree could not be read, or `commit` is missing.
    """
    taken = snapshot.take(control, tree, snapshot.look(control, tree, commit))
    meant = [change for change in taken.changes if matches(paths, change.path) and not change.nests]
    if not meant:
        return commit
    objects = objects_of(control.git)
    (content,) = objects.load([commit])
    if content is None:
        raise GitFailed(f"commit {commit} is missing")
    like = parse_commit(commit, content)
    made = render_commit(_tree_with(control, like.tree, meant), like.parents, like, control.by, like.message)
    return objects.save("commit", [made], commit)[0]


def _tree_with(control: Control, tree: str, meant: Sequence[Change]) -> str:
    """A path that is gone has the mode 0 among the new ones, which takes it out of the index."""
    lines = "".join(f"{change.new_mode} {change.new}\t{change.path}\0" for change in meant)
    with tempfile.TemporaryDirectory(prefix="index-", dir=control.state) as scratch:
        own = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        control.git.run("read-tree", tree, env=own)
        control.git.run("update-index", "-z", "--index-info", stdin=os.fsencode(lines), env=own)
        return control.git.run("write-tree", env=own)
