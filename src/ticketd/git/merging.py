"""Two commits merged in memory: `git merge-tree` (git 2.38 and later), and the rules for paths on which they meet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ticketd.domain.merging import MergeRules
from ticketd.errors import GitFailed
from ticketd.git.attributes import write_attributes
from ticketd.git.commits import render_bare
from ticketd.git.door import Git
from ticketd.git.objects import Objects, name_of, with_others

# Tickets whose claims do not overlap may not disturb each other: one that adds a file to a folder lands there, also
# when another has moved the folder meanwhile. git's default takes the added file along, or stops with a conflict.
MERGING = "merge.directoryRenames=false"
# git's stable names for what merge-tree tells: both sides changed the file, and it merged or not; one deleted it.
_BOTH_CHANGED = ("Auto-merging", "CONFLICT (contents)", "CONFLICT (binary)", "CONFLICT (modify/delete)")
_DELETED = "CONFLICT (modify/delete)"


class Told(NamedTuple):
    """One message of a merge: the paths it is about, its stable kind, its text for people."""

    paths: tuple[str, ...]
    kind: str
    text: str

    @property
    def stops(self) -> bool:
        return self.kind.startswith("CONFLICT")


@dataclass(frozen=True, slots=True)
class Met:
    """What `merge-tree` made: the tree (with conflict markers where it came to that), the paths in conflict, sorted,
    and what it told."""

    tree: str
    conflicts: tuple[str, ...]
    told: tuple[Told, ...]

    @property
    def messages(self) -> tuple[str, ...]:
        return tuple(told.text for told in self.told if told.stops)


@dataclass(frozen=True, slots=True)
class Clean:
    """`anew`: paths that carry the target's content and are to be made anew."""

    tree: str
    anew: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Merger:
    """Merges in the repository of `git`. `scratch` is for what only serves a merge; `attributes` and `target`, a tree,
    are the target's: an agent's own attributes say nothing before they have landed."""

    git: Git
    scratch: Path
    attributes: Mapping[str, bytes]
    target: str
    rules: MergeRules

    def merge(self, ours: str, theirs: str) -> Clean | Met:
        """Two commits, by the rules; `Met` if paths are left on which they conflict.

        Raises:
            GitFailed: it was no merge at all.
        """
        met = merge_trees(self._reading(), ours, theirs)
        left = self._left(met)
        if left and all(map(self.rules.unites, left)):
            met = merge_trees(self._reading(left), ours, theirs)
            left = self._left(met)
        if left:
            return met
        anew = self._anew(met)
        return Clean(self._with_the_targets(met, anew) if anew else met.tree, anew)

    def side(self, tree: str, parents: Sequence[str]) -> str:
        """A commit that holds this tree and is only there to be merged. The merge base of such a side and of a commit
        with the same parents is what they name; git 2.39's `merge-tree` has no --merge-base."""
        return self._scratch.save("commit", [render_bare(tree, parents)], self.target)[0]

    def root(self) -> str:
        """A side that holds nothing: git knows the empty tree without its being there."""
        return self.side(name_of("tree", b"", self.target), ())

    @property
    def _scratch(self) -> Objects:
        return Objects(self.git, self.scratch / "objects", durable=False)

    def _reading(self, united: Sequence[str] = ()) -> Git:
        """git that sees the sides made here, and the target's attributes."""
        self._scratch.home.mkdir(exist_ok=True)
        git = with_others(self.git.with_config(MERGING), self._scratch.home)
        if not (self.attributes or united):
            return git
        root = self.scratch / ("united" if united else "plain")
        if united or not root.exists():
            root.mkdir(exist_ok=True)
            write_attributes(root, self.attributes, united)
        return Git(root, git.config, {**git.env, "GIT_WORK_TREE": str(root)})

    def _left(self, met: Met) -> tuple[str, ...]:
        anew = self._anew(met)
        return tuple(path for path in met.conflicts if path not in anew)

    def _anew(self, met: Met) -> tuple[str, ...]:
        """Paths to be made anew: both sides have changed them, and nothing worse is the matter with them."""
        both = {path for told in met.told if told.kind in _BOTH_CHANGED for path in told.paths}
        worse = {path for told in met.told if told.stops and told.kind not in _BOTH_CHANGED for path in told.paths}
        return tuple(sorted(filter(self.rules.makes_anew, both - worse)))

    def _with_the_targets(self, met: Met, anew: Sequence[str]) -> str:
        """The tree with the target's files under these paths. One that the target has under another name, since this
        side has renamed it, stays as merged."""
        listed = self.git.ask(
            "ls-tree", "-z", "--full-tree", self.target, "--", *anew, env={"GIT_LITERAL_PATHSPECS": "1"}
        )
        entries = {entry.partition("\t")[2]: entry for entry in listed.split0()}
        gone = {path for told in met.told if told.kind == _DELETED for path in told.paths} - entries.keys()
        lines = [f"0 {'0' * len(self.target)}\t{path}" for path in anew if path in gone]
        lines += [entries[path] for path in anew if path in entries]
        own = {"GIT_INDEX_FILE": str(self.scratch / "index")}
        self.git.run("read-tree", met.tree, env=own)
        given = os.fsencode("".join(f"{line}\0" for line in lines))
        self.git.run("update-index", "-z", "--index-info", stdin=given, env=own)
        return self.git.run("write-tree", env=own)


def merge_trees(git: Git, ours: str, theirs: str) -> Met:
    """Merge two commits in memory.

    Raises:
        GitFailed: it was no merge at all.
    """
    options = ("--write-tree", "-z", "--name-only", "--messages", "--allow-unrelated-histories")
    answer = git.ask("merge-tree", *options, ours, theirs)
    if answer.code not in (0, 1):
        raise GitFailed(f"git merge-tree failed (exit {answer.code})", stderr=answer.err)
    fields = answer.out.split("\0")
    end = fields.index("", 1)
    told = tuple(_told(fields[end + 1 :]))
    if answer.ok:
        return Met(fields[0], (), told)
    # Some conflicts leave no entry in the index; their messages name the paths.
    paths = fields[1:end] or [path for each in told if each.stops for path in each.paths]
    return Met(fields[0], tuple(sorted(set(paths))), told)


def _told(fields: Sequence[str]) -> Iterator[Told]:
    """Each message is a count, so many paths, a kind, and a text."""
    at = 0
    while at < len(fields) and fields[at].isdigit():
        end = at + 1 + int(fields[at])
        yield Told(tuple(fields[at + 1 : end]), fields[end], fields[end + 1].strip())
        at = end + 2
