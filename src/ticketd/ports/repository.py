"""The control repository, its worktrees, and the branch that work lands on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.globs import PatternSet
from ticketd.domain.merging import NO_RULES, MergeRules
from ticketd.domain.pages import Page
from ticketd.domain.recovery import Mend, World
from ticketd.domain.settings import LARGEST_FILE


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a commit is by."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An attempt's work, safe under its ref. `changed`: paths that differ from the base. `nested`: repositories
    inside, whose content no commit holds, and what cannot be read. `undecided`: paths that a merge has left in
    conflict, and that the agent has not called resolved. `unread`: why what the tree's own git says is not believed
    or not whole; then it is the files on top of what was last known. `too_large`: files that were left out."""

    tip: str
    changed: tuple[str, ...]
    nested: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    unread: str = ""
    too_large: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all of the worktree is in commits now, so that it may be used for something else."""
        return not (self.nested or self.too_large)


@dataclass(frozen=True, slots=True)
class Look:
    """What an attempt itself has changed, committed or not. `fork`: the newest commit that it shares with the target;
    `written`: paths that differ from that; `touched`: those, and what its commits have changed and taken back."""

    fork: str
    written: tuple[str, ...]
    touched: tuple[str, ...]


class Addition(NamedTuple):
    """What a commit brings: a file as it is in it, with what its parent has there; or, where `path` is empty, the
    commit's own text: its message and who it is by. `content` is None for a file too large to be looked through."""

    commit: str
    path: str
    content: bytes | None
    before: bytes


class Moved(NamedTuple):
    """What the target has that a commit has not: how many commits, and the paths that differ; True for those that are
    in the commit too."""

    behind: int
    paths: Mapping[str, bool]


class Tried(NamedTuple):
    """A trial to make: the worktree, the base of its attempt, the paths that it has touched, and those of them that lie
    where the target has changed."""

    name: str
    base: str
    touched: tuple[str, ...]
    matter: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rebased:
    """`commits` are the new ones, oldest first; `flattened`: there were merges, folded into one commit.

    `regenerate`: paths that both sides have changed and that a command makes. `tip` holds the TARGET'S content of them:
    what the commits did to them is lost unless the caller runs the command and lands what `Worktrees.amend` gives.
    """

    tip: str
    commits: tuple[str, ...]
    flattened: bool = False
    regenerate: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflict:
    """`paths` could not be merged; `commit` is the one that met them. `messages` are git's own ("CONFLICT (content):
    Merge conflict in x"); `tree`, a tree object, has the files as git leaves them, with conflict markers."""

    paths: tuple[str, ...]
    commit: str
    messages: tuple[str, ...] = ()
    tree: str = ""


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """All that the commits do is on the target already."""


@dataclass(frozen=True, slots=True)
class Pushed:
    pass


@dataclass(frozen=True, slots=True)
class LostRace:
    """The target has moved; begin again from the fetch."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The remote will not take it, however often it is tried (hook declined, protected branch)."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The remote did not answer as it should; nothing is known. Ask it before trying again."""

    detail: str


class Target(Protocol):
    """The branch that work lands on: a remote's, or the local one where there is no remote."""

    def tip(self) -> str | Unreachable:
        """The branch's commit as its owner says now, its objects brought into the control repository."""

    def push(self, candidate: str, onto: str) -> Pushed | LostRace | Refused | Unreachable:
        """Fast-forward from `onto` to `candidate`, or not at all. The answer is a hint: `tip` knows."""

    def publish(self, branch: str, candidate: str) -> Pushed | LostRace | Refused | Unreachable:
        """Make `branch`, which is not the target, stand at `candidate`, over all that was published there before.
        `LostRace`: somebody else has pushed to it, which is left as it is."""


class History(Protocol):
    """Questions about commits, and commits made without a working tree; all in the control repository."""

    def contains(self, tip: str, commit: str) -> bool:
        """Whether `commit` is an ancestor of (or is) `tip`."""

    def count(self, base: str, tip: str) -> int:
        """How many commits `tip` has that `base` has not."""

    def left(self, old: str, new: str) -> frozenset[str]:
        """The commits of `old` that `new` has not; none where `old` is not here."""

    def is_mixed(self, base: str, tip: str, onto: str, ticket: str) -> bool:
        """Whether an attempt of another ticket, running or kept, holds any of the commits `base..tip` too, less what
        `onto` has."""

    def changed(self, base: str, tip: str) -> tuple[str, ...]:
        """Paths that differ between two commits."""

    def changed_in(self, pairs: Sequence[tuple[str, str]]) -> tuple[frozenset[str], ...]:
        """The same for several pairs of commits (from, to) at once."""

    def touched(self, base: str, tip: str) -> frozenset[str]:
        """Paths that any of the commits `base..tip` changes, also where a later one takes that back."""

    def added(self, base: str, tip: str) -> Iterator[Addition]:
        """What each of the commits `base..tip` brings."""

    def subjects(self, base: str, tip: str, most: int) -> tuple[str, ...]:
        """First lines of the messages of `base..tip`, along the first parents, the newest first; at most `most`."""

    def pages(self, commit: str, folders: Sequence[str]) -> tuple[Page, ...]:
        """Text files of the wiki below these folders, links and binary ones left out."""

    def renamed(self, base: str, tip: str) -> tuple[tuple[str, str], ...]:
        """Files that `tip` has under another name than `base`: old and new name."""

    def moved(self, commits: Collection[str], tip: str) -> Mapping[str, Moved]:
        """What `tip` has that each of the commits has not; a handful of processes however many."""

    def fork_point(self, tip: str, target: str) -> str | None:
        """The newest commit that both have; None if they share none."""

    def rebase(
        self,
        base: str,
        tip: str,
        onto: str,
        trailers: Sequence[tuple[str, str]],
        rules: MergeRules = NO_RULES,
        fold: bool = False,
    ) -> Rebased | Conflict | NothingLeft:
        """`base..tip` replayed on `onto`, each message ending in `trailers`. `fold`: as one commit. Mind
        `Rebased.regenerate`."""

    def marked(self, tip: str, paths: Sequence[str], sides: Sequence[str]) -> tuple[str, ...]:
        """Those of `paths` that have more conflict markers at `tip` than in all `sides` together."""

    def unresolved(
        self, tip: str, undecided: Sequence[str], ours: str, theirs: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The paths that are left at `tip` of the conflicts between `ours` and `theirs`, and all of those."""

    def tree(self, commit: str) -> str: ...

    def read_ref(self, ref: str) -> str | None: ...

    def keep(self, ref: str, commit: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """What agents had made of what they share, and has been put back, in words; and refs that are neither ticketd's nor
    the branch of a worktree."""

    mended: tuple[str, ...]
    strays: tuple[str, ...] = ()


class Worktrees(Protocol):
    """The pool of worktrees, linked to the control repository. A name is `1`, `2`, … or `lane`."""

    def path(self, name: str) -> Path: ...

    def prepare(self, name: str, commit: str, branch: str | None, keep_ignored: bool) -> bool:
        """The tree at exactly `commit` and clean; made if it is not there or broken. Whether it was made.

        Call only when its work is kept.
        """

    def begin_merge(self, name: str, onto: str) -> tuple[str, ...]:
        """Merge `onto` in a tree that has just been prepared, and stop at the conflicts: their paths. A merge without
        conflicts is committed."""

    def leave(self, name: str, commit: str) -> None:
        """The tree at `commit`, on no branch: another may be put on the one it was on. No process is needed for it."""

    def leave_out(self, names: Sequence[str]) -> None:
        """Untracked files of these names are no work of any attempt."""

    def keep(
        self, name: str, key: AttemptKey, base: str, message: str, by: Identity, largest: int = LARGEST_FILE
    ) -> Kept:
        """Commit what is uncommitted (without the tree's own index), and point the attempt's ref at it all. Files of
        more than `largest` bytes stay out."""

    def amend(self, name: str, commit: str, paths: PatternSet) -> str:
        """`commit`, at which the tree stands, with what the tree holds now of the files that match; itself if that is
        nothing new."""

    def look(self, name: str, base: str, onto: str) -> Look:
        """What the tree as it stands has written since it left the target; the tree is not touched."""

    def fresh(self, name: str, paths: Mapping[str, bool], since: float) -> tuple[str, ...]:
        """Those of `paths` that may have been written since then (epoch seconds), without a process. True: the commit
        that the tree was at has the path."""

    def trials(self, wanted: Sequence[Tried], onto: str, rules: MergeRules = NO_RULES) -> tuple[tuple[str, ...], ...]:
        """For each, the paths in conflict that a rebase of the tree as it stands would meet. No tree is touched."""

    def watch(self, names: Sequence[str], suspect: AttemptKey | None) -> Watched:
        """Put back what is not as ticketd left it of what the worktrees share; `names` are those of live attempts.
        Commits that come to light by it are kept under the name of `suspect`."""

    def tidy(self, refs: Sequence[str], by: AttemptKey | None) -> tuple[str, ...]:
        """Take away refs that agents have made; what only they held is kept under the name of `by`. In words."""

    def found(self, known: Iterable[str], tips: Collection[str], quiet: bool, now: float) -> World:
        """What lies in the control repository and among the worktrees, as far as a crash may have left it; all but the
        runs. `tips`: commits that are recorded; `quiet`: no daemon works, and no agent."""

    def mend(self, mend: Mend) -> bool:
        """Whether it was done: what has changed since it was found is left."""

    def discard(self, name: str, set_up: bool, copied: Collection[str]) -> str:
        """Delete a tree that nobody has in hand, unless it holds what is nowhere else: why it stays; empty when it is
        gone. `set_up`: its ignored files are what setup has made; `copied`: those that it was given."""
