"""Taking back what has landed, without a working tree.

To undo a range is to merge: the base is its last commit, ours is the target, theirs is what was there before it. git
2.39's `merge-tree` finds a base only by history, so that is made up (see `git/rebase.py`). Rules of `.gitattributes`
have no part in it: `merge=union` would keep the very lines that are to go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ticketd.git.commits import Commit, render_bare, render_commit, sound
from ticketd.git.control import Control
from ticketd.git.merging import MERGING, merge_trees
from ticketd.git.objects import objects_of
from ticketd.ports import Conflict, NothingLeft


@dataclass(frozen=True, slots=True)
class Reverted:
    """`tip` is the new commit, on top of the one asked for. `changed`: its paths, old and new names."""

    tip: str
    changed: tuple[str, ...]


def revert(
    control: Control, ranges: Sequence[tuple[str, str]], onto: str, message: str, at: float
) -> Reverted | Conflict | NothingLeft:
    """One commit on top of `onto` that undoes the `ranges` (what was there before, and the last commit; oldest first),
    made at `at` (epoch seconds).

    Raises:
        GitFailed: a commit is missing, or git broke.
    """
    git, goal = control.git.with_config(MERGING), control.tree(onto)
    objects, tree = objects_of(git), goal
    for before, last in reversed(ranges):
        (base,) = objects.save("commit", [render_bare(control.tree(last), ())], onto)
        sides = [render_bare(each, (base,)) for each in (tree, control.tree(before))]
        met = merge_trees(git, *objects.save("commit", sides, onto))
        if met.conflicts:
            return Conflict(met.conflicts, last, met.messages, met.tree)
        tree = met.tree
    if tree == goal:
        return NothingLeft()
    who = sound(f"{control.by.name} <{control.by.email}> {int(at)} +0000".encode(errors="surrogateescape"))
    like = Commit("", tree, (), who, None, b"")
    (tip,) = objects.save("commit", [render_commit(tree, (onto,), like, control.by, message.encode())], onto)
    return Reverted(tip, control.changed(onto, tip))
