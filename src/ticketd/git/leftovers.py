"""What lies in the control repository and beside it, as far as a crash may have left it: only looked at here.

1,288 kills of git 2.39 left the locks and half-written objects named here, and nothing else that stands in the way of
the next command; a machine that goes down may leave refs that are empty.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from ticketd.domain.recovery import Entry, FoundLock, FoundRef, FoundTree, World
from ticketd.git.configuration import GATE, PEOPLE
from ticketd.git.control import Control
from ticketd.git.exactness import content_of_gits
from ticketd.git.living import git_lives
from ticketd.git.repository import CONTROL
from ticketd.git.tree import Tree, is_name

MINUTE_S, HOUR_S = 60.0, 3600.0
REPOSITORIES = (CONTROL, GATE, PEOPLE)
_LOCKS = (
    *("*.lock", "gc.pid", "refs/**/*.lock", "logs/**/*.lock", "objects/info/**/*.lock", "objects/pack/*.lock"),
    *("objects/*.lock", "worktrees/*/*.lock", "worktrees/*/logs/*.lock", "worktrees/*/refs/**/*.lock"),
)
_HALVES = ("objects/??/tmp_obj_*", "objects/pack/tmp_*", "objects/incoming-*", "objects/tmp_objdir-*")
# Directories of ours that a killed ticketd did not remove, and files that it did not rename.
SCRATCH = (
    "creating-*",
    "config-*",
    "index-*",
    "trial-*",
    "ingest-*",
    "*.ticketd",
    "worktrees/.*.ticketd",
    "worktrees/.*.going",
    "logs/*/*.ticketd",
    *(f"{repository}/{draft}" for repository in REPOSITORIES for draft in ("*.ticketd", "*/*.ticketd")),
    *(f"{repository}/refs/namespaces/**/*.ticketd" for repository in (GATE, PEOPLE)),
)
_NAMES_ONE = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?\s*|ref: refs/\S+\s*")


def find(control: Control, trees: Collection[Tree], tips: Collection[str], quiet: bool, now: float) -> World:
    """The world but for the runs. `tips`: commits that are recorded. Locks are looked for before git processes are: one
    that was there when none lived is stale, whatever comes after. Unless all is `quiet` that is not enough: the daemon
    writes objects itself, and agents may have programs that work on repositories and are not called git."""
    state = control.state
    locks = tuple(_locks(state, now if quiet else now - MINUTE_S))
    halves = tuple(_old(control.path, _HALVES, now if quiet else now - HOUR_S))
    refs = _refs(control)
    found = tuple(_tree(control, tree) for tree in trees)
    heads = {tree.name: sha for tree in trees if (sha := _detached(tree)) is not None}
    here = _here(control, {*tips, *heads.values()})
    return World(
        trees=tuple(_with_head(tree, heads.get(tree.name), here) for tree in found),
        refs=_with_safety(control, refs, {tree.branch for tree in found}),
        locks=locks,
        halves=halves,
        scratch=tuple(_old(state, SCRATCH, now - HOUR_S)),
        here=here,
        git_lives=bool(locks or halves or any(_is_half(tree) for tree in found)) and git_lives(state),
    )


def names_on_disk(control: Control) -> frozenset[str]:
    """Of worktrees that have a directory or an entry."""
    below = (control.state / "worktrees", control.path / "worktrees")
    return frozenset(name for folder in below for name in _names(folder) if is_name(name))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


# --- locks and temporary files --------------------------------------------------------------------------------------


def _locks(state: Path, newest: float) -> Iterator[FoundLock]:
    for repository in REPOSITORIES:
        for name in _old(state / repository, _LOCKS, newest):
            if (stamp := stamp_of(state / repository / name)) is not None:
                yield FoundLock(f"{repository}/{name}", stamp)


def stamp_of(path: Path) -> str | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return f"{found.st_ino}:{found.st_ctime_ns}"


def _old(root: Path, patterns: Collection[str], newest: float) -> Iterator[str]:
    """Relative to `root`; those that were last written before."""
    for path in (path for pattern in patterns for path in sorted(root.glob(pattern))):
        try:
            if path.lstat().st_mtime <= newest:
                yield str(path.relative_to(root))
        except OSError:
            continue


# --- worktrees ------------------------------------------------------------------------------------------------------


def _tree(control: Control, tree: Tree) -> FoundTree:
    is_link, branch = tree.path.is_symlink(), _branch(tree)
    return FoundTree(
        name=tree.name,
        entry=entry_of(tree),
        files=tree.path.is_dir() and not is_link,
        is_link=is_link,
        branch=branch if branch and control.peek_ref(branch) else "",
    )


def entry_of(tree: Tree) -> Entry:
    lock = tree.admin / "locked"
    if lock.is_file() and lock.read_text(errors="replace").startswith("initializing") and not tree.note.is_file():
        return Entry.INITIALIZING
    if not tree.admin.is_dir():
        return Entry.NONE
    return Entry.WHOLE if tree.has_admin else Entry.HALF


def _is_half(tree: FoundTree) -> bool:
    return tree.entry in (Entry.INITIALIZING, Entry.HALF)


def _branch(tree: Tree) -> str:
    """The one that HEAD is on; else the one that the tree was given."""
    head = _head(tree)
    if head.startswith("ref: refs/heads/"):
        return head.removeprefix("ref: ")
    return f"refs/heads/{tree.branch}" if tree.branch else ""


def _head(tree: Tree) -> str:
    return (content_of_gits(tree.admin / "HEAD") or b"").decode(errors="replace").strip()


def _detached(tree: Tree) -> str | None:
    """What HEAD says, where it is on no branch: a commit's name, or nonsense."""
    head = _head(tree)
    return None if head.startswith("ref: refs/") or not tree.has_admin else head


def _with_head(tree: FoundTree, head: str | None, here: Collection[str]) -> FoundTree:
    lost = head is not None and head not in here
    return replace(tree, lost_head=lost)


# --- refs -----------------------------------------------------------------------------------------------------------


def _refs(control: Control) -> dict[str, str]:
    lines = control.git.run("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
    found = {name: commit for commit, _, name in (line.partition(" ") for line in lines)}
    return {**found, **dict.fromkeys(_broken(control.path), "")}


def _broken(control: Path) -> Iterator[str]:
    """Loose refs whose file names nothing: git passes them over here, and fails at them elsewhere."""
    for folder, _, files in os.walk(control / "refs"):
        for path in (Path(folder, name) for name in files if not name.endswith(".lock")):
            try:
                if not path.is_symlink() and names_nothing(path):
                    yield str(path.relative_to(control))
            except OSError:
                continue


def names_nothing(ref: Path) -> bool:
    content = content_of_gits(ref)
    return content is not None and not _NAMES_ONE.fullmatch(content)


def _here(control: Control, wanted: Collection[str]) -> frozenset[str]:
    """Those that name a commit which is there."""
    given = sorted(name for name in wanted if re.fullmatch(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", name))
    if not given:
        return frozenset()
    answer = control.git.run("cat-file", "--batch-check", stdin="".join(f"{name}\n" for name in given).encode())
    return frozenset(line.split()[0] for line in answer.splitlines() if line.split()[1:2] == ["commit"])


def _with_safety(control: Control, refs: dict[str, str], used: Collection[str]) -> tuple[FoundRef, ...]:
    loose = {commit for name, commit in refs.items() if commit and name.startswith("refs/heads/") and name not in used}
    unsafe = control.unsafe(loose)
    return tuple(FoundRef(name, commit, commit in loose - unsafe) for name, commit in sorted(refs.items()))


# --- processes ------------------------------------------------------------------------------------------------------
