"""Records against the world: what a crash, an agent or a person has left, and what is to be done about it. Pure.

Nothing is deleted that lives, that no record explains, or that is the only copy of a commit: such is left, and told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ticketd.domain.attempt import AttemptKey

EXTRA = "refs/ticketd-extra"
_ATTEMPT_REF = re.compile(r"refs/ticketd/([^/]+)/([1-9]\d*)")
_ATTEMPT_HEAD = re.compile(r"refs/heads/ticketd/([^/]+)/([1-9]\d*)")
# What was made of an attempt's work, to be shown to others or mended.
_CANDIDATE = re.compile(r"refs/published/ticketd/([^/]+)/.+|refs/ticketd-extra/([^/]+)/[1-9]\d*/verified")
_RUN = re.compile(r"([^/]+)/([1-9]\d*)(-.+)?")
# Refs are files: one of these names, or one below an attempt's, keeps git from making the attempt's.
_IN_THE_WAY = re.compile(r"refs/(heads/)?ticketd(/[^/]+(/[1-9]\d*/.+)?)?|refs/target")


class Deed(StrEnum):
    REMOVE_LOCK = "remove-lock"
    REMOVE_HALVES = "remove-halves"
    REMOVE_SCRATCH = "remove-scratch"
    REMOVE_TREE = "remove-tree"
    REMOVE_ENTRY = "remove-entry"
    MOVE_HEAD = "move-head"
    REMOVE_BROKEN_REF = "remove-broken-ref"
    DROP_REF = "drop-ref"
    MOVE_REF = "move-ref"
    RESTORE_REF = "restore-ref"
    END_RUN = "end-run"
    REMOVE_RUN = "remove-run"


OF_TREES = frozenset({Deed.REMOVE_TREE, Deed.REMOVE_ENTRY, Deed.MOVE_HEAD})


@dataclass(frozen=True, slots=True)
class Mend:
    """`what` is a path below the state directory, a worktree's name, or a ref. `at`: what it was found to be (a ref's
    commit, empty where it is not there; a lock's stamp), so that what has changed since is left alone; `to`: where a
    ref or HEAD is to be. `told`: in words, once it is done."""

    deed: Deed
    what: str
    told: str
    at: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """What stays as it is, why, and what a person can do."""

    what: str
    why: str
    mend: str


class Entry(StrEnum):
    """What the control repository has of a worktree. `INITIALIZING`: git was killed while it made it; no agent was
    ever in it. `HALF`: git cannot work with it, and it makes every fetch fail."""

    NONE = "none"
    INITIALIZING = "initializing"
    HALF = "half"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class FoundTree:
    """`files`: it has a directory; `is_link`: a symbolic link stands in its place. `lost_head`: HEAD names a commit
    that is not there. `branch`: the ref that HEAD is on, or that it was given.

    Whether the directory names its entry is not asked: one that does not is the sign by which `keep` knows that all in
    it may have been deleted, and `prepare` links it again once its work is kept."""

    name: str
    entry: Entry = Entry.WHOLE
    files: bool = True
    is_link: bool = False
    lost_head: bool = False
    branch: str = ""


@dataclass(frozen=True, slots=True)
class FoundRef:
    """`commit` is empty where the file names none. `safe`: a kept attempt or the target holds it too."""

    name: str
    commit: str
    safe: bool = False


@dataclass(frozen=True, slots=True)
class FoundLock:
    """`path` below the state directory; `stamp` tells this lock from a later one of the same name."""

    path: str
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class FoundRun:
    """`path` below the runs; `held`: its supervisor lives."""

    path: str
    held: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """`at_rest`: no daemon works but the one that asks, and that has not begun. `git_lives`: a git process of this
    repository does; a lock may be its own. `halves` and `scratch` are nobody's any more. `homes`: the tickets whose
    agents have one. `here`: those recorded commits that are there."""

    trees: tuple[FoundTree, ...] = ()
    refs: tuple[FoundRef, ...] = ()
    runs: tuple[FoundRun, ...] = ()
    locks: tuple[FoundLock, ...] = ()
    halves: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    here: frozenset[str] = frozenset()
    git_lives: bool = False
    at_rest: bool = True


@dataclass(frozen=True, slots=True)
class Records:
    """`names`: all worktrees there have ever been. `live`: attempts that have not ended; `ended`: the others, each with
    the commit that it was kept as. `target`: the commit last seen. `outdated`: tickets that landed long ago;
    `tickets`: all there have ever been."""

    names: frozenset[str]
    live: frozenset[AttemptKey]
    ended: Mapping[AttemptKey, str | None]
    target: str | None = None
    outdated: frozenset[str] = frozenset()
    tickets: frozenset[str] = frozenset()

    def knows(self, key: AttemptKey) -> bool:
        return key in self.live or key in self.ended


def reconcile(records: Records, world: World) -> tuple[Mend | Left, ...]:
    """In an order in which they can be done: a ref cannot be written while its lock stands."""
    return (
        *_of_locks(world),
        *(each for tree in world.trees if (each := _of_tree(records, world, tree)) is not None),
        *_of_refs(records, world),
        *_of_homes(records, world),
        *(each for run in world.runs if (each := _of_run(records, world, run)) is not None),
    )


# --- locks ----------------------------------------------------------------------------------------------------------


def _of_locks(world: World) -> Iterator[Mend | Left]:
    """Age says nothing of a lock (a clone may take an hour, a kill no time): it is stale once no git lives."""
    if world.git_lives:
        if world.at_rest and world.locks:
            why = "a git process of this repository lives, and may hold it"
            yield Left(world.locks[0].path, why, "it goes once that process has ended")
        return
    for lock in world.locks:
        yield Mend(Deed.REMOVE_LOCK, lock.path, f"removed the stale lock {lock.path}", at=lock.stamp)
    if world.halves:
        told = f"removed {len(world.halves)} half-written objects"
        yield Mend(Deed.REMOVE_HALVES, "\n".join(world.halves), told)
    for path in world.scratch:
        yield Mend(Deed.REMOVE_SCRATCH, path, f"removed the left-over directory {path}")


# --- worktrees ------------------------------------------------------------------------------------------------------


def _of_tree(records: Records, world: World, tree: FoundTree) -> Mend | Left | None:
    known, name = tree.name in records.names, tree.name
    if tree.is_link:
        return Left(
            f"worktrees/{name}", "it is a symbolic link, which nothing follows", "look where it leads; remove it"
        )
    match tree.entry:
        case Entry.INITIALIZING | Entry.HALF if world.git_lives:
            return None  # it may be on its way
        case Entry.INITIALIZING if known:
            return Mend(Deed.REMOVE_TREE, name, f"removed the half-made worktree {name}")
        case Entry.INITIALIZING | Entry.HALF:
            # The files stay where they are: they may be an attempt's.
            return Mend(Deed.REMOVE_ENTRY, name, f"removed the half-made entry of worktree {name}")
        case Entry.NONE if tree.files and not known:
            return Left(f"worktrees/{name}", "no record names it", "look into it, then delete it by hand")
        case Entry.WHOLE if tree.lost_head and records.target:
            told = f"HEAD of worktree {name} named a commit that is not there"
            return Mend(Deed.MOVE_HEAD, name, told, to=tree.branch or records.target)
        case Entry.WHOLE if not known:
            return Left(f"control.git/worktrees/{name}", "no record names it; an agent may have made it", _BY_GIT)
        case _:
            return None  # what is whole; and what is made anew when it is next used


_BY_GIT = "`git -C $(ticketd path)/control.git worktree list` shows where; `worktree remove` takes it out"


# --- refs -----------------------------------------------------------------------------------------------------------


def _of_refs(records: Records, world: World) -> Iterator[Mend | Left]:
    used = {tree.branch for tree in world.trees if tree.branch}
    for ref in world.refs:
        if not ref.commit:
            yield Mend(Deed.REMOVE_BROKEN_REF, ref.name, f"removed {ref.name}, a file that named no commit")
        elif _IN_THE_WAY.fullmatch(ref.name):
            to = f"{EXTRA}/in-the-way/{ref.commit}"
            told = f"moved {ref.name}, which stood in the way of attempts' refs, to {to}"
            yield Mend(Deed.MOVE_REF, ref.name, told, at=ref.commit, to=to)
        elif (key := _key(_ATTEMPT_REF, ref.name)) is not None and not records.knows(key):
            mend = f"`git -C $(ticketd path)/control.git update-ref -d {ref.name}`, if nobody wants it"
            yield Left(ref.name, f"no record names attempt {key}, and it may be the only copy", mend)
        elif (found := _CANDIDATE.fullmatch(ref.name)) and (found[1] or found[2]) in records.outdated:
            told = f"removed {ref.name}: its ticket landed long ago"
            yield Mend(Deed.DROP_REF, ref.name, told, at=ref.commit)
        elif ref.name.startswith("refs/heads/") and ref.name not in used and _is_over(records, world, ref.name):
            yield _branch(ref)
    yield from _of_kept(records, world)


def _is_over(records: Records, world: World, head: str) -> bool:
    """A branch that no worktree is on: of an attempt that has ended; or any, once nobody can be about to use it."""
    key = _key(_ATTEMPT_HEAD, head)
    return key in records.ended or (world.at_rest and not records.live)


def _branch(ref: FoundRef) -> Mend:
    if ref.safe:
        return Mend(Deed.DROP_REF, ref.name, f"removed {ref.name}: its commits are kept elsewhere", at=ref.commit)
    to = f"{EXTRA}/branches/{ref.commit}"
    return Mend(Deed.MOVE_REF, ref.name, f"moved {ref.name} to {to}", at=ref.commit, to=to)


def _of_kept(records: Records, world: World) -> Iterator[Mend | Left]:
    """The store says what each attempt was kept as; its ref has to be there, and nowhere else."""
    found = {ref.name: ref.commit for ref in world.refs}
    for key, tip in records.ended.items():
        at = found.get(key.ref, "")
        if tip is None or at == tip:
            continue
        if tip not in world.here:
            why = f"the commit {tip[:12]} that {key} was kept as is not there"
            yield Left(key.ref, why, "it cannot be brought back; `ticketd retry` works anew")
            continue
        moved = f" (it stood at {at[:12]}, kept under {EXTRA}/in-the-way)" if at else ""
        yield Mend(Deed.RESTORE_REF, key.ref, f"put {key.ref} back{moved}", at=at, to=tip)


def _key(pattern: re.Pattern[str], name: str) -> AttemptKey | None:
    found = pattern.fullmatch(name)
    return AttemptKey(found[1], int(found[2])) if found else None


# --- homes of agents ------------------------------------------------------------------------------------------------


def _of_homes(records: Records, world: World) -> Iterator[Left]:
    for ticket in world.homes:
        if ticket not in records.tickets:
            yield Left(f"agents/{ticket}", "there is no such ticket", "look into it, then delete it by hand")


# --- runs -----------------------------------------------------------------------------------------------------------


def _of_run(records: Records, world: World, run: FoundRun) -> Mend | Left | None:
    found = _RUN.fullmatch(run.path)
    key = AttemptKey(found[1], int(found[2])) if found else None
    if found and found[3]:
        # A step's, whose daemon is gone. Those that no attempt is known of belong to a command that runs just now.
        if not (world.at_rest and key is not None and records.knows(key)):
            return None
        deed, verb = (Deed.END_RUN, "ended") if run.held else (Deed.REMOVE_RUN, "removed what was left of")
        return Mend(deed, run.path, f"{verb} the step {run.path} of an earlier daemon")
    if key is not None and key in records.live:
        return None
    if key is not None and key in records.ended:
        return Mend(Deed.END_RUN, run.path, f"ended what {key} still ran, though it is closed") if run.held else None
    state = "a process that no record names lives there" if run.held else "no record names it"
    return Left(f"runs/{run.path}", state, "look into it; the pid is in started.json")
