"""What `domain/recovery` has decided, done. Each deed looks again first: what has changed since it was found, stays."""

from __future__ import annotations

from pathlib import PurePosixPath

from ticketd.app.removal import remove_below
from ticketd.domain.recovery import EXTRA, Deed, Entry, Mend
from ticketd.git.control import Control
from ticketd.git.leftovers import entry_of, names_nothing, stamp_of
from ticketd.git.living import git_lives
from ticketd.git.repository import CONTROL
from ticketd.git.tree import Tree, write_whole


def mend_tree(control: Control, tree: Tree, mend: Mend) -> bool:
    """Whether it was done. Call with the control repository's lock held."""
    match mend.deed:
        case Deed.REMOVE_TREE if entry_of(tree) is Entry.INITIALIZING and not git_lives(control.state):
            tree.remove()
        case Deed.REMOVE_ENTRY if entry_of(tree) in (Entry.INITIALIZING, Entry.HALF) and not git_lives(control.state):
            remove_below(tree.admin.parent, tree.admin.name)
        case Deed.MOVE_HEAD if entry_of(tree) is Entry.WHOLE:
            is_branch = mend.to.startswith("refs/")
            write_whole(tree.admin / "HEAD", f"ref: {mend.to}\n" if is_branch else f"{mend.to}\n")
        case _:
            return False
    return True


def mend_repository(control: Control, mend: Mend) -> bool:
    """Likewise, of what is no worktree's."""
    match mend.deed:
        case Deed.REMOVE_LOCK:
            return stamp_of(control.state / mend.what) == mend.at and _removed(control, mend.what)
        case Deed.REMOVE_SCRATCH:
            return _removed(control, mend.what)
        case Deed.REMOVE_HALVES:
            return all(_removed(control, f"{CONTROL}/{half}") for half in mend.what.split("\n"))
        case Deed.REMOVE_BROKEN_REF:
            return names_nothing(control.path / mend.what) and _removed(control, f"{CONTROL}/{mend.what}")
        case Deed.DROP_REF:
            return control.move_refs([f"delete {mend.what} {mend.at}"]).ok
        case Deed.MOVE_REF:
            # One after the other: where one is in the way of the other they cannot be in one transaction.
            kept = control.move_refs([f"update {mend.to} {mend.at}"]).ok
            return kept and control.move_refs([f"delete {mend.what} {mend.at}"]).ok
        case Deed.RESTORE_REF:
            return _restored(control, mend)
        case _:
            return False


def _removed(control: Control, path: str) -> bool:
    remove_below(control.state, *PurePosixPath(path).parts)
    return True


def _restored(control: Control, mend: Mend) -> bool:
    before = mend.at or "0" * len(mend.to)
    lines = [f"update {mend.what} {mend.to} {before}"]
    if mend.at:
        lines.insert(0, f"update {EXTRA}/in-the-way/{mend.at} {mend.at}")
    return control.move_refs(lines).ok
