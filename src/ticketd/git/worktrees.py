"""The pool of worktrees. They are made once and used again: 0.1-0.2 s instead of 5-8 s at 5,000 files (git 2.39)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from ticketd import failpoints
from ticketd.app.removal import remove_below
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.globs import PatternSet, literal
from ticketd.domain.merging import NO_RULES, MergeRules
from ticketd.domain.recovery import OF_TREES, Mend, World
from ticketd.domain.settings import LARGEST_FILE
from ticketd.errors import BadInput
from ticketd.git import snapshot
from ticketd.git.amending import amend
from ticketd.git.branches import Branches, read_branches
from ticketd.git.clones import furnish, unfurnish
from ticketd.git.conflicts import begin_merge, unmerged
from ticketd.git.control import Control
from ticketd.git.deletion import why_it_stays
from ticketd.git.door import Git
from ticketd.git.exactness import all_untouched, changes, content_of
from ticketd.git.index import is_plain
from ticketd.git.ingest import alone, ingest, rescue
from ticketd.git.leftovers import find, names_on_disk
from ticketd.git.looks import as_it_stands, fresh, look
from ticketd.git.mending import mend_repository, mend_tree
from ticketd.git.pipes import remove_pipes
from ticketd.git.snapshot import Snapshot
from ticketd.git.tree import Tree, clear_hiding_bits, is_name, make_writable, write_whole
from ticketd.git.trials import Case, try_all
from ticketd.git.watch import tidy, watch
from ticketd.ports import Identity, Kept, Look, Tried, Watched


class Layout(Enum):
    """What a tree is when it is made ready: a linked worktree; a clone that borrows the control repository's objects;
    or one that sees them only to read."""

    LINKED = auto()
    CLONE = auto()
    SANDBOXED_CLONE = auto()


@dataclass(frozen=True, slots=True)
class WorktreePool:
    """Satisfies `Worktrees`. `layout` is asked at each `prepare`; what a tree is until then, it says itself."""

    control: Control
    layout: Callable[[], Layout] = lambda: Layout.LINKED

    def path(self, name: str) -> Path:
        return self._tree(name).path

    def _tree(self, name: str) -> Tree:
        if not is_name(name):
            raise BadInput(f"{name!r} cannot name a worktree")
        home = self.control.state / "worktrees"
        return Tree(home / name, self.control.path / "worktrees" / name, home / f".{name}.branch")

    # --- prepare ---

    def prepare(self, name: str, commit: str, branch: str | None, keep_ignored: bool) -> bool:
        """The tree at exactly `commit`, clean, on `branch` (or on none). Call only when its work is kept: what is
        uncommitted goes, and a tree that is broken is made anew. Whether it was made.

        Raises:
            GitFailed: the commit is missing, or the disk is full.
        """
        tree, layout = self._tree(name), self.layout()
        if layout is Layout.LINKED and not tree.is_clone:
            return self._prepare(tree, commit, branch, keep_ignored)
        tree.path.parent.mkdir(exist_ok=True)
        with alone(tree):
            if tree.is_clone:
                rescue(self.control, tree)
            if layout is Layout.LINKED:
                unfurnish(tree)
            made = self._prepare(tree, commit, branch, keep_ignored)
            if layout is not Layout.LINKED:
                furnish(self.control, tree, commit, branch, sandboxed=layout is Layout.SANDBOXED_CLONE)
            return made

    def _prepare(self, tree: Tree, commit: str, branch: str | None, keep_ignored: bool) -> bool:
        branches = read_branches(self.control, tree, commit, branch)
        made = not self._is_whole(tree)
        if made:
            self._add(tree, commit)
        elif branches.head != commit or not self._is_clean(tree, commit, keep_ignored):
            made = self._reset(tree, commit, keep_ignored)
        self._put_on(tree, branches)
        return made

    def begin_merge(self, name: str, onto: str) -> tuple[str, ...]:
        """Merge `onto` in a tree that has just been prepared, and stop at the conflicts: their paths. A merge without
        conflicts is committed.

        Raises:
            GitFailed: there is no merge: a commit is missing, or the disk is full.
        """
        tree = self._tree(name)
        conflicts = begin_merge(tree.git(self.control), onto, self.control.by)
        if tree.is_clone:
            at = self.control.read_ref(f"worktrees/{name}/HEAD") or onto
            with alone(tree):
                furnish(self.control, tree, at, tree.branch, sandboxed=self.layout() is Layout.SANDBOXED_CLONE)
        return conflicts

    def leave(self, name: str, commit: str) -> None:
        """Off its branch, which another tree may be given next: this one, when it is used again, must not delete it.
        By hand, since there may be no process to be had for git."""
        tree = self._tree(name)
        tree.point_head(commit, None)
        write_whole(tree.note, "")

    def leave_out(self, names: Sequence[str]) -> None:
        """Untracked files of these names are no work of any attempt: what `[worktrees] copy` brings is not landed."""
        wanted = "".join(f"{literal(name)}\n" for name in names)
        # Ours, and that of the agents' own `git add`.
        files = [repository / "info/exclude" for repository in (self.control.own, self.control.path)]
        if all(content_of(file) == os.fsencode(wanted) for file in files):
            return
        with self.control.exclusive():  # who watches would take the one of the two for an agent's doing
            for file in files:
                file.parent.mkdir(exist_ok=True)
                write_whole(file, wanted)

    def _is_whole(self, tree: Tree) -> bool:
        """Whether git can work with it; a link that is merely gone or wrong is put back."""
        if not tree.has_admin or not tree.path.is_dir() or tree.path.is_symlink() or tree.has_own_repository:
            return False
        tree.link()
        return True

    def _is_clean(self, tree: Tree, commit: str, keep_ignored: bool) -> bool:
        """Whether there is nothing that is not HEAD's."""
        tree.settle()
        git = tree.git(self.control)
        ignored = "--ignored=no" if keep_ignored else "--ignored=traditional"
        answer = git.ask(
            "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal", ignored, "--ignore-submodules=all"
        )
        lines = answer.split0()
        if not answer.ok or f"# branch.oid {commit}" not in lines:
            return False
        differing = [line for line in lines if not line.startswith("# ")]
        if differing and not all_untouched(git, tree.path, differing):
            return False
        if is_plain(tree.admin / "index", len(commit) // 2):
            return True
        flags = git.ask("ls-files", "-v", "-z").split0()  # hidden changes do not show in `status`
        return all(entry.startswith("H ") for entry in flags)

    def _reset(self, tree: Tree, commit: str, keep_ignored: bool) -> bool:
        """First clean, then reset: a directory of untracked files can be in the way of a file. And clean again where
        the old .gitignore can have hid what the new one does not, or where git may leave what the old index listed.
        Whether all that did not help and it was made anew."""
        tree.settle()
        tree.point_head(commit, None)
        git = tree.git(self.control)
        clean = ("clean", "-ffd") if keep_ignored else ("clean", "-ffdx")
        plain = is_plain(tree.admin / "index", len(commit) // 2)
        if not (plain or clear_hiding_bits(git, tree.path, sparse=False)):
            (tree.admin / "index").unlink(missing_ok=True)
        done = self._clean(git, tree, clean) and git.ask("reset", "--hard", "--quiet", commit).ok
        if done and (keep_ignored or not plain):
            done = self._clean(git, tree, clean)
        if not done:
            self._add(tree, commit)
        tree.settle()
        return not done

    def _clean(self, git: Git, tree: Tree, clean: tuple[str, ...]) -> bool:
        if git.ask(*clean, "--quiet").ok:
            return True
        with suppress(OSError):  # a path may be longer than any may be
            make_writable(tree.path)
        return git.ask(*clean, "--quiet").ok

    def _add(self, tree: Tree, commit: str) -> None:
        """Make the tree anew. One hand adds: eight at once failed in 48 of 160 cases."""
        tree.path.parent.mkdir(exist_ok=True)
        with self.control.exclusive():
            try:
                tree.remove()
            except (OSError, RecursionError):
                tree.set_aside()
            tree.admin.parent.mkdir(exist_ok=True)
            # Forced, since an agent may have left an entry of another name for this very place, and locked it.
            options = ("--quiet", "--detach", "--no-checkout", "--force", "--force")
            self.control.git.run("worktree", "add", *options, "--", str(tree.path), commit)
            tree.link()  # git has named our own side of the repository as its home
        tree.git(self.control).run("reset", "--hard", "--quiet", commit)
        tree.settle()

    def _put_on(self, tree: Tree, branches: Branches) -> None:
        """HEAD on the branch, the branch at the commit, and the branch that the tree had before gone if it can."""
        moves = branches.changes()
        tree.point_head(branches.commit, None)
        if moves:
            self.control.must_move(moves)
        tree.point_head(branches.commit, branches.branch)
        write_whole(tree.note, branches.branch or "")

    # --- keep ---

    def keep(
        self, name: str, key: AttemptKey, base: str, message: str, by: Identity, largest: int = LARGEST_FILE
    ) -> Kept:
        """All that the attempt has made, under its ref: its commits, then one of what is uncommitted. What it had
        committed and then dropped is kept under `refs/ticketd-extra/<id>/<attempt>/…`.

        What could not be kept is named; the caller takes such a tree out of the pool.

        Raises:
            GitFailed: nothing could be kept; the tree is as it was.
        """
        tree, git = self._tree(name), self.control.git
        unread = ingest(self.control, tree, everything=True) if tree.is_clone else _unlinked(tree)
        at = snapshot.look(self.control, tree, base, key.ref)
        if tree.path.is_dir():
            taken = snapshot.take(self.control, tree, at, largest=largest, deletions=not unread)
        else:  # somebody has removed it; there is nothing but the commits
            taken = Snapshot(at.content, changes(git, at.base_content, at.content))
        tip = snapshot.commit_taken(git, taken, at, base, message, by)
        extra = snapshot.dropped(self.control, tree, at, tip, base, key)
        count = len(git.run("for-each-ref", snapshot.extra_ref(key)).splitlines()) if extra else 0
        self.control.must_move(snapshot.render_refs(key, tip, extra, count))
        changed = tuple(change.path for change in taken.changes)
        nested = [change.path for change in taken.changes if change.nests]
        own = [".git"] if tree.has_own_repository or (unread and tree.is_clone and tree.path.is_dir()) else []
        index = tree.admin / "index"
        undecided = unmerged(tree.git(self.control), index, len(base) // 2) if at.usable and index.is_file() else ()
        left = tuple(dict.fromkeys((*nested, *taken.left_out, *own)))
        return Kept(tip, changed, left, undecided, unread, taken.too_large)

    # --- amend ---

    def amend(self, name: str, commit: str, paths: PatternSet) -> str:
        """`commit`, at which the tree stands, with what the tree holds now of the files that match: those that are new,
        changed or gone. All else in the tree stays out. `commit` itself if that is nothing.

        Raises:
            GitFailed: the tree could not be read.
        """
        return amend(self.control, self._tree(name), commit, paths)

    # --- look ---

    def see(self, name: str) -> Tree:
        """A tree as its clone stands now; one that is changing under us, or broken, as it was seen last."""
        tree = self._tree(name)
        if tree.is_clone:
            ingest(self.control, tree, everything=False)
        return tree

    def look(self, name: str, base: str, onto: str) -> Look:
        """What the tree as it stands has written since it left the target."""
        return look(self.control, self.see(name), base, onto)

    def fresh(self, name: str, paths: Mapping[str, bool], since: float) -> tuple[str, ...]:
        return tuple(fresh(self._tree(name), paths, since))

    def trials(self, wanted: Sequence[Tried], onto: str, rules: MergeRules = NO_RULES) -> tuple[tuple[str, ...], ...]:
        """The paths in conflict that a rebase of each tree as it stands would meet."""
        return try_all(self.control, [Case(self.see(each.name), *each[1:]) for each in wanted], onto, rules)

    @contextmanager
    def shown(self, name: str, base: str) -> Iterator[tuple[Git, str]]:
        """For a person to look at: the tree as it stands, as a tree object, and a git that knows it. As with a trial
        nothing is touched, and no object stays."""
        tree = self.see(name)
        at = snapshot.look(self.control, tree, base)
        with snapshot.throw_away_objects(self.control) as env:
            own = Git(self.control.git.cwd, env={**self.control.git.env, **env})
            yield own, as_it_stands(self.control, own, tree, at, env).tree

    # --- watch ---

    def watch(self, names: Sequence[str], suspect: AttemptKey | None) -> Watched:
        return watch(self.control, [self._tree(name) for name in names], suspect)

    def tidy(self, refs: Sequence[str], by: AttemptKey | None) -> tuple[str, ...]:
        return tidy(self.control, refs, by)

    # --- what a crash left ---

    def found(self, known: Iterable[str], tips: Collection[str], quiet: bool, now: float) -> World:
        """All but the runs, of the `known` and whatever else there is."""
        remove_pipes(self.control.path)  # else looking would wait there, too
        names = sorted({*known, *names_on_disk(self.control)})
        return find(self.control, [self._tree(name) for name in names], tips, quiet, now)

    def mend(self, mend: Mend) -> bool:
        """Whether it was done: what has changed since it was found is left."""
        with self.control.exclusive():
            if mend.deed in OF_TREES:
                return mend_tree(self.control, self._tree(mend.what), mend)
            return mend_repository(self.control, mend)

    def discard(self, name: str, set_up: bool, copied: Collection[str]) -> str:
        """Delete a tree of the pool that nobody has in hand, unless it holds what is nowhere else: why it stays; empty
        when it is gone. It takes seconds for many files, so only its name goes while others must wait."""
        tree = self._tree(name)
        with self.control.exclusive():
            why = why_it_stays(self.control, tree, set_up, copied)
            if why:
                return why
            remove_below(tree.admin.parent, tree.admin.name)
            tree.path.rename(tree.path.with_name(f".{name}.going"))
            failpoints.hit("file/worktrees.discard")
        remove_below(tree.path.parent, f".{name}.going")
        return ""


def _unlinked(tree: Tree) -> str:
    """Who deletes the link has most likely deleted all else beside it, and that is no work to land."""
    return "its .git is gone" if tree.path.is_dir() and not os.path.lexists(tree.path / ".git") else ""
