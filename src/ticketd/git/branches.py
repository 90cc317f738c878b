"""The branches that worktrees are on: what they stand at, and their change from one attempt to the next."""

from __future__ import annotations

from dataclasses import dataclass

from ticketd.errors import GitFailed
from ticketd.git.commits import resolve
from ticketd.git.control import Control
from ticketd.git.tree import Tree


@dataclass(frozen=True, slots=True)
class Branches:
    """What is known of the refs before a tree is made ready at `commit`. `head`: where its HEAD stands; `old`: where
    the branch stands that it will be on (None if it will be on none, or there is none yet); `previous`: the one it is
    on, and where that stands. `safe` are commits that a kept attempt holds."""

    control: Control
    commit: str
    branch: str | None
    head: str | None
    old: str | None
    previous: str | None
    previous_at: str | None
    safe: frozenset[str]

    def changes(self) -> list[str]:
        """Lines for `update-ref --stdin`: the branch at the commit, and the one before gone if it can. Whatever only
        a branch held is kept."""
        return [*self._moves(), *self._farewell()]

    def _moves(self) -> list[str]:
        if not self.branch or self.old == self.commit:
            return []
        kept = self.old is None or self._is_safe(self.old)
        keep = [] if kept else [f"update refs/ticketd-extra/branches/{self.old} {self.old}"]
        return [*keep, f"update refs/heads/{self.branch} {self.commit}"]

    def _farewell(self) -> list[str]:
        last = self.previous_at
        if not last or self.previous == self.branch:
            return []
        held = self.branch is not None and last == self.commit
        return [f"delete refs/heads/{self.previous} {last}"] if held or self._is_safe(last) else []

    def _is_safe(self, commit: str) -> bool:
        return commit in self.safe or self.control.is_safe(commit)


def read_branches(control: Control, tree: Tree, commit: str, branch: str | None) -> Branches:
    """All that is asked of the refs, in one process.

    Raises:
        GitFailed: the commit is missing. A HEAD that named it would make every fetch of the control repository fail.
    """
    head, previous = f"worktrees/{tree.admin.name}/HEAD", tree.branch
    named = [f"refs/heads/{one}" for one in (branch, previous) if one]
    kept = _kept_beside(previous) if previous else ()
    names = [commit, head, *named, *kept]
    found = resolve(control.git, [f"{name}^{{commit}}" for name in names]) or [None] * len(names)
    known = dict(zip(names, found, strict=True))
    if known[commit] is None:
        raise GitFailed(f"commit {commit} is missing")
    return Branches(
        control=control,
        commit=commit,
        branch=branch,
        head=known[head],
        old=known.get(f"refs/heads/{branch}"),
        previous=previous,
        previous_at=known.get(f"refs/heads/{previous}"),
        safe=frozenset(sha for sha in map(known.get, kept) if sha),
    )


def _kept_beside(branch: str) -> tuple[str, ...]:
    """Where the work done on an attempt's branch is kept, as far as the name tells: its commits, or below a commit of
    what was left uncommitted."""
    return (f"refs/{branch}", f"refs/{branch}~1") if branch.startswith("ticketd/") else ()
