"""The branch that work lands on in a repository without a remote: the user's own branch, as little touched as by the
user's own `git merge --ff-only`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ticketd import failpoints
from ticketd.git.control import Control
from ticketd.git.door import Answer, Git
from ticketd.git.repository import UserRepository
from ticketd.git.target import FETCH, fetch_tip, note_tip, read_failure, target_ref
from ticketd.ports import LostRace, Pushed, Refused, Unreachable

_BUSY = (("MERGE_HEAD", "a merge"), ("CHERRY_PICK_HEAD", "a cherry-pick"), ("REVERT_HEAD", "a revert"))
_IN_THE_WAY = re.compile(r"'(?P<path>.+?)' (?:not uptodate|would be overwritten|would be removed)")


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """`branch` of the user's repository."""

    control: Control
    user: UserRepository
    branch: str
    timeout_s: float = 120.0

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.branch}"

    def _git(self) -> Git:
        return Git(self.user.common_dir, env={"GIT_DIR": str(self.user.common_dir)})

    def tip(self) -> str | Unreachable:
        if not self.user.common_dir.is_dir():
            return Unreachable(f"{self.user.common_dir} is gone; bring it back")
        answer = self._git().ask("rev-parse", "--quiet", "--verify", f"{self._ref}^{{commit}}")
        if not answer.ok:
            return Unreachable(f"there is no branch {self.branch} with a commit in {self.user.root}")
        if self.control.peek_ref(target_ref(self.branch)) == answer.line:
            return answer.line
        return fetch_tip(self.control, self.control.git, str(self.user.common_dir), self.branch, self.timeout_s)

    def push(self, candidate: str, onto: str) -> Pushed | LostRace | Refused | Unreachable:
        """Fast-forward the branch, and the checkout that has it; a local change in the way leaves both as they are.

        Raises:
            ValueError: `candidate` is not on top of `onto`.
        """
        if not self.control.contains(candidate, onto):
            raise ValueError(f"{candidate} is not on top of {onto}")
        brought = self._bring(candidate)
        if not brought.ok:
            return Unreachable(read_failure(brought))
        if self._git().ask("rev-parse", "--quiet", "--verify", self._ref).line != onto:
            return LostRace(f"{self.branch} has moved")
        checkouts = list(self._checkouts())
        if len(checkouts) > 1:
            return Unreachable(f"{self.branch} is checked out in several places; leave it in one")
        outcome = self._advance(checkouts[0], candidate, onto) if checkouts else self._move(None, candidate, onto)
        if isinstance(outcome, Pushed):
            note_tip(self.control, self.branch, candidate)
        return outcome

    def publish(self, branch: str, candidate: str) -> Refused:
        return Refused(f"{branch} can only be pushed to a remote, and there is none")

    def _bring(self, candidate: str) -> Answer:
        """Objects only: no ref, no FETCH_HEAD. Version 2 of the protocol serves a commit by its name."""
        git = self._git().with_config("protocol.version=2", "fetch.writeCommitGraph=false", "fetch.unpackLimit=1000")
        if git.ask("rev-parse", "--quiet", "--verify", f"{candidate}^{{commit}}").ok:
            return Answer(0, "", "")
        return git.ask(*FETCH, "--", str(self.control.own), candidate, timeout_s=self.timeout_s)

    def _checkouts(self) -> list[Path]:
        """The worktrees whose HEAD is on the branch, and those that are rebasing it."""
        found = []
        for entry in self._git().run("worktree", "list", "--porcelain", "-z").split("\0\0"):
            fields = [field for field in entry.split("\0") if field]
            path = Path(fields[0].removeprefix("worktree ")) if fields else None
            if path is None or "bare" in fields:
                continue
            path = self.user.root if path.resolve() == self.user.common_dir else path
            if path.is_dir() and (f"branch {self._ref}" in fields or self._rebasing(path)):
                found.append(path)
        return found

    def _git_dir(self, checkout: Path) -> Path:
        return Path(Git(checkout).run("rev-parse", "--absolute-git-dir"))

    def _rebasing(self, checkout: Path) -> bool:
        names = (self._git_dir(checkout) / kind / "head-name" for kind in ("rebase-merge", "rebase-apply"))
        return any(name.is_file() and name.read_text().strip() == self._ref for name in names)

    def _advance(self, checkout: Path, candidate: str, onto: str) -> Pushed | LostRace | Unreachable:
        """First the files, then the branch: killed in between, the checkout shows what is to come as staged, and the
        next try finds it done; the other way round it would show the landed work as reversed."""
        busy = self._busy(checkout)
        if busy:
            return Unreachable(f"{busy} of {self.branch} is under way in {checkout}; finish it")
        git = Git(checkout)
        moved = self._two_tree(git, onto, candidate)
        if not moved.ok:
            return Unreachable(self._why(checkout, moved))
        outcome = self._move(checkout, candidate, onto)
        if not isinstance(outcome, Pushed):
            self._two_tree(git, candidate, onto)
        return outcome

    def _busy(self, checkout: Path) -> str | None:
        if self._rebasing(checkout):
            return "a rebase"
        where = self._git_dir(checkout)
        return next((what for name, what in _BUSY if (where / name).exists()), None)

    def _two_tree(self, git: Git, old: str, new: str) -> Answer:
        """Move index and files from one commit to another; all or nothing, local changes stay. Once more after a
        refresh: an index whose times are out of date looks like changes."""
        answer = git.ask("read-tree", "-m", "-u", old, new)
        if not answer.ok and "not uptodate" in answer.err:
            git.ask("update-index", "-q", "--refresh")
            answer = git.ask("read-tree", "-m", "-u", old, new)
        failpoints.hit("git/localtarget._two_tree/read-tree")
        return answer

    def _move(self, checkout: Path | None, candidate: str, onto: str) -> Pushed | LostRace:
        git = Git(checkout) if checkout else self._git()
        answer = git.ask("update-ref", "-m", "ticketd: fast-forward", self._ref, candidate, onto)
        return Pushed() if answer.ok else LostRace(read_failure(answer))

    def _why(self, checkout: Path, answer: Answer) -> str:
        paths = sorted({match["path"] for match in _IN_THE_WAY.finditer(answer.err)})
        if not paths:
            return f"the checkout of {self.branch} in {checkout} cannot be moved: {read_failure(answer)}"
        return (
            f"the checkout of {self.branch} in {checkout} has changes to {', '.join(paths)} in the way; "
            "commit or stash them"
        )
