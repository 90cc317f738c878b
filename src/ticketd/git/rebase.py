"""A rebase without a working tree: each commit is merged in memory, its name is known before it is written, and what
need not be asked of git is read and written in place. One process merges each commit; where there are several, one
finds them.

Held against `git rebase` with the same options on thousands of real commits (`scripts/prove-rebase`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ticketd.domain.merging import NO_RULES, MergeRules
from ticketd.errors import GitFailed
from ticketd.git.attributes import load_attributes
from ticketd.git.commits import Commit, parse_commit, render_commit
from ticketd.git.door import Git
from ticketd.git.merging import Clean, Merger, Met
from ticketd.git.objects import Objects, name_of, objects_of
from ticketd.git.trailers import with_trailers
from ticketd.ports import Conflict, Identity, NothingLeft, Rebased


def rebase(
    git: Git,
    base: str,
    tip: str,
    onto: str,
    trailers: Sequence[tuple[str, str]],
    by: Identity,
    rules: MergeRules = NO_RULES,
    fold: bool = False,
) -> Rebased | Conflict | NothingLeft:
    """Replay `base..tip` on `onto`, less what `onto` has. `git` works in the control repository (GIT_DIR set).

    Author, encoding and message stay as they are, but for the trailers; commits that change nothing are dropped. A
    range with merges lands as one commit, made by a true merge: picking its commits one by one would bring back the
    conflicts that the merges had solved.

    Where a commit conflicts, those whose very patch the target has had already are left out, as `git rebase` leaves
    them out. Unlike there, that is not looked at while all goes well: a patch that was on the target and was reverted
    there is made again.

    With `fold` all that is left comes out as one commit, by the author and with the message of the first.

    With `rules`, paths may come out that are NOT MERGED YET: see `Rebased.regenerate`. A commit that such a path has
    left without a change is kept all the same, for what is made anew belongs to it.

    Raises:
        GitFailed: a commit is missing or damaged, or git broke.
    """
    objects = objects_of(git)
    shas = _range(git, objects, base, tip, onto)
    if not shas:
        return NothingLeft()
    *commits, goal = _load(objects, [*shas, onto])
    with tempfile.TemporaryDirectory(prefix="ticketd-") as scratch:
        merger = Merger(git, Path(scratch), load_attributes(objects, goal.tree), goal.tree, rules)
        move = _Move(objects, merger, goal, tuple(trailers), by, fold)
        if any(len(commit.parents) > 1 for commit in commits):
            return move.flatten(tip, commits, _taken_off(git, base, onto))
        verdict = move.replay(commits)
        if isinstance(verdict, Conflict):
            rest = _not_upstream(git, base, tip, onto, commits)
            return verdict if rest == commits else move.replay(rest)
        return verdict


def _range(git: Git, objects: Objects, base: str, tip: str, onto: str) -> list[str]:
    """What to replay, oldest first. One commit on top of the base, as most attempts are, needs no process: should the
    target have it already, it comes out as no change."""
    (tip_commit,) = _load(objects, [tip])
    if tip_commit.parents == (base,):
        return [tip]
    # With ^base the walk ends there, however far the target has gone on.
    return git.run("rev-list", "--topo-order", "--reverse", tip, f"^{base}", f"^{onto}").split()


def _not_upstream(git: Git, base: str, tip: str, onto: str, commits: Sequence[Commit]) -> list[Commit]:
    """Those whose patch `onto` has not had since it and `tip` parted. Compared by patch-id, which costs a diff of each
    commit on the other side."""
    left = git.run("rev-list", "--cherry-pick", "--right-only", f"{onto}...{tip}", f"^{base}").split()
    return [commit for commit in commits if commit.sha in left]


def _taken_off(git: Git, base: str, onto: str) -> str | None:
    """The base, if it is no part of the target's history: the target was rewound."""
    return None if git.ask("merge-base", "--is-ancestor", base, onto).ok else base


def _load(objects: Objects, shas: Sequence[str]) -> list[Commit]:
    commits = []
    for sha, content in zip(shas, objects.load(shas), strict=True):
        if content is None:
            raise GitFailed(f"commit {sha} is missing")
        commits.append(parse_commit(sha, content))
    return commits


@dataclass(slots=True)
class _Line:
    """What has been put on top of the target so far. `anew`: paths to be made anew."""

    at: str
    tree: str
    names: list[str] = field(default_factory=list)
    made: list[bytes] = field(default_factory=list)
    anew: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Move:
    objects: Objects
    merger: Merger
    goal: Commit
    trailers: tuple[tuple[str, str], ...]
    by: Identity
    fold: bool

    def replay(self, commits: Sequence[Commit]) -> Rebased | Conflict | NothingLeft:
        """Only the trees need git; the new commits are written all at once."""
        line = _Line(self.goal.sha, self.goal.tree)
        for commit in commits:
            merged = self._merged(commit, line)
            if isinstance(merged, Met):
                return _conflict(merged, commit.sha)
            if merged.tree != line.tree or merged.anew:
                self._put(line, commit, merged)
        if self.fold and len(line.names) > 1:
            line = self._folded(line, commits[0])
        return self._finish(line)

    def _folded(self, line: _Line, first: Commit) -> _Line:
        folded = _Line(self.goal.sha, self.goal.tree)
        message = with_trailers(first.message, self.trailers)
        content = render_commit(line.tree, (folded.at,), first, self.by, message)
        self._add(folded, content, Clean(line.tree, tuple(line.anew)))
        return folded

    def flatten(self, tip: str, commits: Sequence[Commit], base: str | None) -> Rebased | Conflict | NothingLeft:
        """With `base`, which is not in the target's history (it was rewound), only what came after it is merged:
        otherwise a merge would bring back what was taken off."""
        ours = self.merger.side(self.goal.tree, (base,)) if base else self.goal.sha
        merged = self.merger.merge(ours, tip)
        if isinstance(merged, Met):
            return _conflict(merged, tip)
        if merged.tree == self.goal.tree and not merged.anew:
            return NothingLeft()
        plain = [commit for commit in commits if len(commit.parents) < 2]
        like = plain[-1] if plain else commits[-1]
        message = with_trailers(like.message if plain else f"Land {tip}\n".encode(), self.trailers)
        line = _Line(self.goal.sha, self.goal.tree)
        self._add(line, render_commit(merged.tree, (line.at,), like, self.by, message), merged)
        return self._finish(line, flattened=True)

    def _merged(self, commit: Commit, line: _Line) -> Clean | Met:
        """What `commit` changes of its parent, on top of the line. A commit without a parent changes everything."""
        if commit.parents == (line.at,):
            return Clean(commit.tree)
        if commit.parents:
            return self.merger.merge(self.merger.side(line.tree, commit.parents), commit.sha)
        root = (self.merger.root(),)
        return self.merger.merge(self.merger.side(line.tree, root), self.merger.side(commit.tree, root))

    def _put(self, line: _Line, commit: Commit, merged: Clean) -> None:
        if commit.parents == (line.at,) and not self.trailers:  # it stays as it is
            line.at, line.tree = commit.sha, commit.tree
            line.names.append(commit.sha)
            return
        message = with_trailers(commit.message, self.trailers)
        self._add(line, render_commit(merged.tree, (line.at,), commit, self.by, message), merged)

    def _add(self, line: _Line, content: bytes, merged: Clean) -> None:
        line.at, line.tree = name_of("commit", content, self.goal.sha), merged.tree
        line.names.append(line.at)
        line.made.append(content)
        line.anew.update(merged.anew)

    def _finish(self, line: _Line, flattened: bool = False) -> Rebased | NothingLeft:
        if not line.names:
            return NothingLeft()
        if line.made:
            self.objects.save("commit", line.made, self.goal.sha)
        return Rebased(line.at, tuple(line.names), flattened, tuple(sorted(line.anew)))


def _conflict(met: Met, sha: str) -> Conflict:
    return Conflict(met.conflicts, sha, met.messages, met.tree)
