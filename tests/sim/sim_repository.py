"""A repository in memory: commits are values, named by what they hold. Satisfies `History`, `Worktrees` and `Target`.

Files are merged whole: two sides that change one file differently are in conflict. What is in `World` below outlives
the daemon; nothing here does git's work for the real one, whose answers `test_simulated_repository.py` holds it to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.globs import PatternSet
from ticketd.domain.merging import NO_RULES, MergeRules
from ticketd.domain.pages import Page
from ticketd.domain.recovery import Deed, FoundRef, FoundTree, Mend, World
from ticketd.errors import GitFailed
from ticketd.ports import (
    Conflict,
    Identity,
    Kept,
    Look,
    LostRace,
    Moved,
    NothingLeft,
    Pushed,
    Rebased,
    Refused,
    Tried,
    Unreachable,
    Watched,
)

Files = Mapping[str, str]
MARKER = "<<<<<<<"
HALF = "half-made"
"""A file that is only in a worktree which nobody may be given yet."""


@dataclass(frozen=True)
class Commit:
    sha: str
    parents: tuple[str, ...]
    files: Files
    message: str
    trailers: tuple[tuple[str, str], ...] = ()


@dataclass
class SimTree:
    """A worktree on disk. `unkept`: the attempt whose work lies in it and in no ref yet."""

    head: str
    files: dict[str, str]
    branch: str | None = None
    unkept: str = ""
    merging: str = ""
    undecided: tuple[str, ...] = ()
    left: set[str] = field(default_factory=set)


@dataclass
class Disk:
    """What a crash of the daemon does not change: objects, refs, worktrees, and the remote with all it ever was."""

    objects: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    trees: dict[str, SimTree] = field(default_factory=dict)
    main: str = ""
    was: list[tuple[str, str]] = field(default_factory=list)
    taken_back: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    _ancestors: dict[str, frozenset[str]] = field(default_factory=dict)

    # --- objects ---

    def commit(
        self, files: Files, parents: Sequence[str], message: str, trailers: Sequence[tuple[str, str]] = ()
    ) -> str:
        kept = tuple(trailers)
        said = repr((sorted(files.items()), tuple(parents), message, kept))
        sha = sha1(said.encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()
        self.objects.setdefault(sha, Commit(sha, tuple(parents), dict(files), message, kept))
        return sha

    def get(self, sha: str) -> Commit:
        sha = self.refs.get(sha, sha)
        if sha not in self.objects:
            raise GitFailed(f"commit {sha} is missing")
        return self.objects[sha]

    def ancestors(self, tip: str) -> frozenset[str]:
        """With itself."""
        if tip not in self._ancestors:
            above = (self.ancestors(parent) for parent in self.get(tip).parents)
            self._ancestors[tip] = frozenset({tip}).union(*above)
        return self._ancestors[tip]

    def line(self, tip: str, without: Iterable[str]) -> list[Commit]:
        """Oldest first; parents before children."""
        hidden: set[str] = set().union(*map(self.ancestors, without)) if without else set()
        found: list[Commit] = []

        def visit(sha: str) -> None:
            pending = [(sha, False)]
            while pending:
                at, done = pending.pop()
                if done:
                    found.append(self.get(at))
                elif at not in hidden:
                    hidden.add(at)
                    pending += [(at, True), *((parent, False) for parent in reversed(self.get(at).parents))]

        visit(tip)
        return found

    def base_of(self, one: str, other: str) -> str | None:
        common = self.ancestors(one) & self.ancestors(other)
        newest = [sha for sha in common if not any(sha in self.ancestors(o) - {o} for o in common - {sha})]
        return min(newest) if newest else None

    def take_back(self, sha: str) -> None:
        """Somebody forces the target to where it was before: what has landed since is not there any more."""
        self.taken_back |= self.ancestors(self.main) - self.ancestors(sha)
        self.main = sha
        self.was.append((sha, "somebody, by force"))

    def move_main(self, sha: str, by: str) -> None:
        if self.main and self.main not in self.ancestors(sha):
            self.violations.append(f"{by} moved the target from {self.main[:8]} to {sha[:8]}, no fast-forward")
        self.main = sha
        self.was.append((sha, by))


def merge(base: Files, ours: Files, theirs: Files) -> tuple[dict[str, str], tuple[str, ...]]:
    """The merged files, and the paths in conflict (with both sides in them)."""
    made, conflicts = dict(ours), []
    for path in sorted({*base, *ours, *theirs}):
        was, mine, other = base.get(path), ours.get(path), theirs.get(path)
        if other == was or mine == other:
            continue
        if mine == was:
            made.pop(path, None)
            if other is not None:
                made[path] = other
            continue
        conflicts.append(path)
        made[path] = f"{MARKER} {mine} ======= {other} >>>>>>>"
    return made, tuple(conflicts)


def differing(one: Files, other: Files) -> tuple[str, ...]:
    return tuple(path for path in sorted({*one, *other}) if one.get(path) != other.get(path))


class SimHistory:
    def __init__(self, disk: Disk, port: Callable[[str], None]) -> None:
        self._disk, self._port = disk, port

    def contains(self, tip: str, commit: str) -> bool:
        self._port("contains")
        return self._disk.get(commit).sha in self._disk.ancestors(self._disk.get(tip).sha)

    def count(self, base: str, tip: str) -> int:
        return len(self._disk.line(tip, [base]))

    def left(self, old: str, new: str) -> frozenset[str]:
        return frozenset(self._disk.ancestors(old)) - frozenset(self._disk.ancestors(new))

    def is_mixed(self, base: str, tip: str, onto: str, ticket: str) -> bool:
        return False  # no simulated agent reaches the branch of another

    def changed(self, base: str, tip: str) -> tuple[str, ...]:
        return differing(self._disk.get(base).files, self._disk.get(tip).files)

    def changed_in(self, pairs: Sequence[tuple[str, str]]) -> tuple[frozenset[str], ...]:
        self._port("changed")
        return tuple(frozenset(self.changed(*pair)) for pair in pairs)

    def touched(self, base: str, tip: str) -> frozenset[str]:
        commits = [self._disk.get(sha) for sha in self.left(tip, base)]
        pairs = ((commit, self._disk.get(parent)) for commit in commits for parent in commit.parents)
        return frozenset(path for commit, parent in pairs for path in differing(parent.files, commit.files))

    def subjects(self, base: str, tip: str, most: int) -> tuple[str, ...]:
        del base, tip, most
        return ()

    def pages(self, commit: str, folders: Sequence[str]) -> tuple[Page, ...]:
        del commit, folders
        return ()

    def renamed(self, base: str, tip: str) -> tuple[tuple[str, str], ...]:
        del base, tip
        return ()

    def moved(self, commits: Collection[str], tip: str) -> Mapping[str, Moved]:
        self._port("moved")
        to = self._disk.get(tip).files
        return {
            each: Moved(
                self.count(each, tip),
                {path: path in self._disk.get(each).files for path in differing(self._disk.get(each).files, to)},
            )
            for each in commits
        }

    def fork_point(self, tip: str, target: str) -> str | None:
        return self._disk.base_of(self._disk.get(tip).sha, self._disk.get(target).sha)

    def rebase(
        self,
        base: str,
        tip: str,
        onto: str,
        trailers: Sequence[tuple[str, str]],
        rules: MergeRules = NO_RULES,
        fold: bool = False,
    ) -> Rebased | Conflict | NothingLeft:
        self._port("rebase")
        del rules
        commits = self._disk.line(tip, [base, onto])
        if not commits:
            return NothingLeft()
        if any(len(each.parents) > 1 for each in commits):
            return self._flatten(commits, tip, onto, trailers)
        at, made, first = self._disk.get(onto), [], ""
        start = at
        for each in commits:
            files, conflicts = merge(self._disk.get(each.parents[0]).files, at.files, each.files)
            if conflicts and self._patch(each) in self._patches(onto, tip):
                continue  # as `git rebase` leaves out what is there already
            if conflicts:
                return Conflict(conflicts, each.sha)
            if files == at.files:
                continue
            first = first or each.message
            at = self._disk.get(self._disk.commit(files, [at.sha], each.message, trailers))
            made.append(at.sha)
        if at.files == start.files:
            return NothingLeft()
        if fold and len(made) > 1:
            made = [self._disk.commit(at.files, [start.sha], first, trailers)]
        return Rebased(made[-1], tuple(made))

    def _patch(self, commit: Commit) -> tuple[tuple[str, str | None, str | None], ...]:
        before = self._disk.get(commit.parents[0]).files if commit.parents else {}
        return tuple((path, before.get(path), commit.files.get(path)) for path in differing(before, commit.files))

    def _patches(self, onto: str, tip: str) -> set[tuple[tuple[str, str | None, str | None], ...]]:
        return {self._patch(each) for each in self._disk.line(onto, [tip]) if len(each.parents) < 2}

    def _flatten(
        self, commits: Sequence[Commit], tip: str, onto: str, trailers: Sequence[tuple[str, str]]
    ) -> Rebased | Conflict | NothingLeft:
        fork = self._disk.base_of(tip, onto)
        base = self._disk.get(fork).files if fork else {}
        target = self._disk.get(onto)
        files, conflicts = merge(base, target.files, self._disk.get(tip).files)
        if conflicts:
            return Conflict(conflicts, tip)
        if files == target.files:
            return NothingLeft()
        made = self._disk.commit(files, [target.sha], commits[0].message, trailers)
        return Rebased(made, (made,), flattened=True)

    def marked(self, tip: str, paths: Sequence[str], sides: Sequence[str]) -> tuple[str, ...]:
        self._port("marked")
        del sides
        files = self._disk.get(tip).files
        return tuple(path for path in sorted(paths) if MARKER in files.get(path, ""))

    def unresolved(
        self, tip: str, undecided: Sequence[str], ours: str, theirs: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        self._port("unresolved")
        fork = self._disk.base_of(ours, theirs)
        base = self._disk.get(fork).files if fork else {}
        _, conflicts = merge(base, self._disk.get(ours).files, self._disk.get(theirs).files)
        concerned = tuple(sorted({*conflicts, *undecided}))
        return self.marked(tip, concerned, ()), concerned

    def tree(self, commit: str) -> str:
        files = self._disk.get(commit).files
        return sha1(repr(sorted(files.items())).encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()

    def read_ref(self, ref: str) -> str | None:
        name = self._disk.refs.get(ref, ref)
        return name if name in self._disk.objects else None

    def keep(self, ref: str, commit: str) -> None:
        self._port(f"keep {ref}")
        self._disk.refs[ref] = self._disk.get(commit).sha


class SimTarget:
    """`answers` says what a question to the remote meets just now; see `sim_world.Weather`."""

    def __init__(
        self,
        disk: Disk,
        port: Callable[[str], None],
        weather: Callable[[str], str],
        later: Callable[[Callable[[], None]], object],
    ) -> None:
        self._disk, self._port, self._weather, self._later = disk, port, weather, later

    def tip(self) -> str | Unreachable:
        self._port("ask the target")
        if self._weather("tip"):
            return Unreachable("the line is dead")
        self._disk.refs["refs/target/main"] = self._disk.main
        return self._disk.main

    def push(self, candidate: str, onto: str) -> Pushed | LostRace | Refused | Unreachable:
        self._port(f"push {candidate[:8]}")
        met = self._weather("push")
        if met == "refused":
            return Refused("a hook says no")
        if met == "before":
            return Unreachable("the line died before anything was sent")
        if met == "late":  # it is on its way still, and arrives when nobody waits for it any more
            self._later(lambda: self._arrives(candidate, onto))
            return Unreachable("no answer came in time")
        if self._disk.main != onto:
            return LostRace()
        self._disk.move_main(candidate, "ticketd")
        self._port(f"pushed {candidate[:8]}")
        return Unreachable("the line died before the answer came") if met == "after" else Pushed()

    def _arrives(self, candidate: str, onto: str) -> None:
        if self._disk.main == onto:
            self._disk.move_main(candidate, "ticketd")

    def publish(self, branch: str, candidate: str) -> Pushed | LostRace | Refused | Unreachable:
        raise NotImplementedError


class SimWorktrees:
    """`stumbles` is asked before each change whether it fails; `runs_in` names the run that lives in a tree."""

    def __init__(
        self,
        disk: Disk,
        root: Path,
        port: Callable[[str], None],
        stumbles: Callable[[str], None],
        runs_in: Callable[[Path], str],
    ) -> None:
        self._disk, self._root, self._port = disk, root, port
        self._stumbles, self._runs_in = stumbles, runs_in

    def path(self, name: str) -> Path:
        return self._root / name

    def tree(self, name: str) -> SimTree:
        if name not in self._disk.trees:
            raise GitFailed(f"worktree {name} is not there")
        return self._disk.trees[name]

    def prepare(self, name: str, commit: str, branch: str | None, keep_ignored: bool) -> bool:
        del keep_ignored
        self._port(f"prepare {name}")
        self._stumbles("prepare")
        known = self._disk.trees.get(name)
        if known is not None and known.unkept:
            self._disk.violations.append(f"worktree {name} was wiped with work of {known.unkept} in it")
        if run := self._runs_in(self.path(name)):
            self._disk.violations.append(f"worktree {name} was wiped under the living {run}")
        tree = self._disk.trees[name] = SimTree(commit, {HALF: HALF}, branch)
        self._port(f"half of {name} is there")
        tree.files = dict(self._disk.get(commit).files)
        if branch is not None:
            self._disk.refs[f"refs/heads/{branch}"] = commit
        self._port(f"prepared {name}")
        return known is None

    def begin_merge(self, name: str, onto: str) -> tuple[str, ...]:
        self._port(f"merge {name}")
        self._stumbles("merge")
        tree, theirs = self.tree(name), self._disk.get(onto)
        fork = self._disk.base_of(tree.head, onto)
        tree.files, tree.undecided = merge(self._disk.get(fork).files if fork else {}, tree.files, theirs.files)
        if tree.undecided:
            tree.merging = onto
        else:
            tree.head = self._disk.commit(tree.files, [tree.head, onto], f"Merge {onto}")
        return tree.undecided

    def leave(self, name: str, commit: str) -> None:
        if name in self._disk.trees:
            self._disk.trees[name].head, self._disk.trees[name].branch = commit, None

    def leave_out(self, names: Sequence[str]) -> None:
        del names

    def keep(self, name: str, key: AttemptKey, base: str, message: str, by: Identity, largest: int = 0) -> Kept:
        del by, largest
        self._port(f"keep {key}")
        self._stumbles("keep")
        tree = self._disk.trees.get(name) or SimTree(base, dict(self._disk.get(base).files))
        if run := self._runs_in(self.path(name)):
            self._disk.violations.append(f"work of {key} was kept while {run} lives in its worktree")
        tip, at = tree.head, self._disk.get(tree.head)
        if tree.files != at.files or tree.merging:
            tip = self._disk.commit(tree.files, [tip, *([tree.merging] if tree.merging else [])], message)
        for n, dropped in enumerate(sorted(tree.left - self._disk.ancestors(tip)), 1):
            self._disk.refs[f"refs/ticketd-extra/{key.ticket}/{key.number}/{n}"] = dropped
        self._disk.refs[key.ref] = tip
        tree.unkept, tree.left = "", set()
        self._port(f"kept {key}")
        return Kept(tip, differing(self._disk.get(base).files, self._disk.get(tip).files), (), tree.undecided)

    def amend(self, name: str, commit: str, paths: PatternSet) -> str:
        del name, paths
        return commit

    def look(self, name: str, base: str, onto: str) -> Look:
        self._port(f"look {name}")
        tree = self.tree(name)
        fork = base if tree.head == base else self._disk.base_of(tree.head, onto) or base
        written = differing(self._disk.get(fork).files, tree.files)
        own = [each for each in self._disk.line(tree.head, [fork, onto]) if len(each.parents) == 1]
        committed = {path for each in own for path in differing(self._disk.get(each.parents[0]).files, each.files)}
        return Look(fork, written, tuple(sorted({*written, *committed})))

    def fresh(self, name: str, paths: Mapping[str, bool], since: float) -> tuple[str, ...]:
        del since
        tree = self.tree(name)
        at = self._disk.get(tree.head).files
        return tuple(path for path in paths if tree.files.get(path) != at.get(path))

    def trials(self, wanted: Sequence[Tried], onto: str, rules: MergeRules = NO_RULES) -> tuple[tuple[str, ...], ...]:
        del rules
        self._port("trials")
        found = []
        for each in wanted:
            tree = self.tree(each.name)
            fork = self._disk.base_of(tree.head, onto) or each.base
            found.append(merge(self._disk.get(fork).files, self._disk.get(onto).files, tree.files)[1])
        return tuple(found)

    def watch(self, names: Sequence[str], suspect: AttemptKey | None) -> Watched:
        """Agents of this world keep to their trees."""
        del names, suspect
        return Watched(())

    def tidy(self, refs: Sequence[str], by: AttemptKey | None) -> tuple[str, ...]:
        del refs, by
        return ()

    # --- what a crash left ---

    def found(self, known: Iterable[str], tips: Collection[str], quiet: bool, now: float) -> World:
        del known, quiet, now
        self._port("found")
        disk = self._disk
        kept = [sha for ref, sha in disk.refs.items() if ref.startswith(KEPT)]
        safe = frozenset().union(*map(disk.ancestors, kept))
        trees = tuple(FoundTree(name, branch=_head(tree)) for name, tree in sorted(disk.trees.items()))
        refs = tuple(FoundRef(ref, sha, sha in safe) for ref, sha in sorted(disk.refs.items()))
        return World(trees=trees, refs=refs, here=frozenset(tips) & disk.objects.keys())

    def mend(self, mend: Mend) -> bool:
        self._port(f"mend {mend.deed} {mend.what}")
        refs = self._disk.refs
        if refs.get(mend.what, "") != mend.at:
            return False
        match mend.deed:
            case Deed.DROP_REF | Deed.MOVE_REF:
                if mend.deed is Deed.MOVE_REF:
                    refs[mend.to] = mend.at
                del refs[mend.what]
            case Deed.RESTORE_REF:
                refs[mend.what] = mend.to
            case _:
                self._disk.violations.append(f"nothing of this world asks for {mend}")
        self._port("mended")
        return True

    def discard(self, name: str, set_up: bool, copied: Collection[str]) -> str:
        del set_up, copied
        return f"worktree {name} stays"


KEPT = ("refs/ticketd/", "refs/ticketd-extra/", "refs/target/")


def _head(tree: SimTree) -> str:
    return f"refs/heads/{tree.branch}" if tree.branch else ""
