"""Whether a worktree may be deleted. It fails closed: whatever is not seen to be safe elsewhere keeps it.

Others have lost the only copy of commits in at least six ways: by the parent of an unfinished merge, by a reflog that
only the worktree's own git directory has, by a probe that could not be read and was taken for empty.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from ticketd.git.control import Control
from ticketd.git.door import Git
from ticketd.git.index import is_plain
from ticketd.git.snapshot import look, noted_commits, take, throw_away_objects
from ticketd.git.tree import Tree

# What programs make again by themselves, wherever they run.
CACHES = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "node_modules"})
_UNFINISHED = (
    *("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "BISECT_LOG"),
    *("rebase-merge", "rebase-apply", "sequencer"),
)
# Of these each worktree may have its own.
_OWN_REFS = ("refs/stash", "refs/worktree", "refs/bisect", "refs/rewritten")


def why_it_stays(control: Control, tree: Tree, set_up: bool, copied: Collection[str]) -> str:
    """Empty if nothing is lost with it. `set_up`: its ignored files are what `[worktrees] setup` has made; `copied`:
    the names of those that it was given."""
    if tree.path.is_symlink() or tree.path.parent.is_symlink():
        return "a symbolic link stands in its place"
    if not tree.has_admin or not tree.path.is_dir() or tree.has_own_repository:
        return "git cannot read it"
    if (pid := _who_works_in(tree.path)) is not None:
        return f"process {pid} works in it"
    if unfinished := next((name for name in _UNFINISHED if (tree.admin / name).exists()), ""):
        return f"something is unfinished in it ({unfinished})"
    git = tree.git(control)
    head = git.ask("rev-parse", "--quiet", "--verify", "HEAD^{commit}").line
    if not head:
        return "its HEAD names no commit"
    hidden = "" if is_plain(tree.admin / "index", len(head) // 2) else _hidden(git)
    return hidden or _uncommitted(control, tree, set_up, copied) or _unkept(control, git, tree, head)


def _who_works_in(path: Path) -> int | None:
    """A process whose working directory lies in there, as far as this user may see."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
        except OSError:
            continue
        if where.is_relative_to(path):
            return int(process.name)
    return None


def _uncommitted(control: Control, tree: Tree, set_up: bool, copied: Collection[str]) -> str:
    ignored = "--ignored=no" if set_up else "--ignored=matching"
    options = ("--porcelain", "-z", "--untracked-files=all", "--no-renames", ignored, "--ignore-submodules=all")
    answer = tree.git(control).ask("status", *options)
    if not answer.ok or answer.err.strip():
        return f"git cannot read all of it: {answer.err.strip() or 'no answer'}"
    entries = [(entry[:2], entry[3:]) for entry in answer.split0()]
    for kind, path in entries:
        if kind == "!!" and not (path in copied or CACHES & set(PurePosixPath(path).parts)):
            return f"it holds an ignored file: {path}"
    differing = next(((kind, path) for kind, path in entries if kind != "!!"), None)
    if differing is None or _is_as_kept(control, tree):
        return ""
    return f"it holds an {'untracked file' if differing[0] == '??' else 'uncommitted change'}: {differing[1]}"


def _is_as_kept(control: Control, tree: Tree) -> bool:
    """Whether all that is uncommitted is in the commit that the last attempt in it was kept as: agents need not commit.
    A repository inside is in no commit."""
    ref = f"refs/{tree.branch}" if (tree.branch or "").startswith("ticketd/") else ""
    kept = control.read_ref(ref) if ref else None
    if kept is None or any(line.startswith("160000") for line in _lines(control, kept)):
        return False
    with throw_away_objects(control) as env:
        taken = take(control, tree, look(control, tree, kept), env)
    return not taken.left_out and taken.tree == control.tree(kept)


def _lines(control: Control, commit: str) -> tuple[str, ...]:
    return control.git.ask("ls-tree", "-r", "-z", "--full-tree", commit).split0()


def _hidden(git: Git) -> str:
    """What `status` does not look into: repositories inside, and entries that it has been told to pass over."""
    entries = git.ask("ls-files", "-z", "--stage").split0()
    if nested := next((entry.partition("\t")[2] for entry in entries if entry.startswith("160000")), ""):
        return f"it holds a repository inside: {nested}"
    marked = (entry for entry in git.ask("ls-files", "-v", "-z").split0() if not entry.startswith("H "))
    return next((f"changes may be hidden in it: {entry[2:]}" for entry in marked), "")


def _unkept(control: Control, git: Git, tree: Tree, head: str) -> str:
    own = git.ask("for-each-ref", "--format=%(objectname)", *_OWN_REFS)
    if not own.ok:
        return "its refs cannot be read"
    lost = control.unsafe({head, *own.out.split(), *noted_commits(tree)})
    return f"commit {min(lost)[:12]} is nowhere else" if lost else ""
