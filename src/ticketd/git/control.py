"""The control repository: the bare repository that ticketd works in instead of the user's `.git`.

Refs: `refs/ticketd/<id>/<attempt>` keeps an attempt, `refs/ticketd-extra/…` what it dropped on the way,
`refs/target/<branch>` the target as last seen; `refs/published/<branch>/<commit>` what may have been pushed to another
branch; `refs/rewound/<commit>` where the target stood before somebody took commits off it; `refs/heads/…` are the
branches of the worktrees.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ticketd.domain.merging import NO_RULES, MergeRules
from ticketd.domain.pages import Page
from ticketd.errors import GitFailed
from ticketd.git.additions import read_additions
from ticketd.git.conflicts import marked, unresolved
from ticketd.git.door import Answer, Git
from ticketd.git.exactness import PLAIN, content_of_gits
from ticketd.git.living import git_lives
from ticketd.git.moves import read_moves
from ticketd.git.objects import objects_of
from ticketd.git.pages import read_pages, read_subjects
from ticketd.git.rebase import rebase
from ticketd.git.record import NAME, Record
from ticketd.git.repository import CONTROL, OWN
from ticketd.ports import Addition, Conflict, Identity, Moved, NothingLeft, Rebased

_NAME = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LOCKED = re.compile(r"Unable to create '([^'\n]+\.lock)': File exists")
_LONG_S = 30.0
_REMEMBERED = 100
# Refs that are not moved or removed but by ticketd, on purpose: what they hold is safe.
KEPT = ("--glob=refs/ticketd/*", "--glob=refs/ticketd-extra/*", "--glob=refs/target/*")


@dataclass(frozen=True, slots=True)
class Control:
    """The control repository in `state`; commits made in it are by `by`. Satisfies `History`."""

    state: Path
    by: Identity
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)
    _fetch_lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)
    # What a rebase came to, and onto what: the lane asks for it twice. Names of commits, so never out of date.
    _rebased: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def path(self) -> Path:
        return self.state / CONTROL

    @property
    def own(self) -> Path:
        """The same repository without anything that an agent's git could have configured."""
        return self.state / OWN

    @property
    def record(self) -> Record:
        return Record(self.own / NAME)

    @property
    def git(self) -> Git:
        """git in the control repository. GIT_DIR is explicit: an agent can re-point what discovery would find."""
        return Git(self.own, env={"GIT_DIR": str(self.own)})

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One hand at a time, of all threads and processes, for worktree add, move and remove; a fetch beside a
        `worktree add` fails with "bad object worktrees/N/HEAD" (measured 13 % on git 2.39). Not re-entrant."""
        with self._lock, self._open_lock("control.lock") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """One fetch at a time: two lock the same ref. It may last as long as a remote lets it."""
        with self._fetch_lock, self._open_lock("fetch.lock") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def _open_lock(self, name: str) -> BinaryIO:
        return os.fdopen(os.open(self.state / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb")

    # --- questions ---

    def contains(self, tip: str, commit: str) -> bool:
        if self._was_rebased_onto(tip, commit):
            return True
        answer = self.git.ask("merge-base", "--is-ancestor", commit, tip)
        if answer.code in (0, 1):
            return answer.ok
        if self.read_ref(tip) is not None and self.read_ref(commit) is None:
            return False  # a commit that is not here cannot be in a history that is
        raise GitFailed(f"cannot tell whether {tip} contains {commit}", stderr=answer.err)

    def _was_rebased_onto(self, tip: str, commit: str) -> bool:
        """Whether `tip` is `commit`, or was made on top of it here, maybe with others in between."""
        at: str | None = tip
        while at is not None and at != commit:
            at = self._rebased.get(at)
        return at is not None

    def count(self, base: str, tip: str) -> int:
        return int(self.git.run("rev-list", "--count", f"{base}..{tip}"))

    def left(self, old: str, new: str) -> frozenset[str]:
        return frozenset(self.git.ask("rev-list", old, f"^{new}").out.split())

    def is_mixed(self, base: str, tip: str, onto: str, ticket: str) -> bool:
        count = ("rev-list", "--count", tip, f"^{base}", f"^{onto}")
        kept, live = f"--exclude=refs/ticketd/{ticket}/*", f"--exclude=refs/heads/ticketd/{ticket}/*"
        others = (kept, "--glob=refs/ticketd/*", live, "--glob=refs/heads/ticketd/*")
        return self.git.run(*count, "--not", *others) != self.git.run(*count)

    def changed(self, base: str, tip: str) -> tuple[str, ...]:
        answer = self.git.ask("diff-tree", "-r", "-z", "--name-only", *PLAIN, base, tip)
        if not answer.ok:
            raise GitFailed(f"cannot compare {base} and {tip}", stderr=answer.err)
        return answer.split0()

    def changed_in(self, pairs: Sequence[tuple[str, str]]) -> tuple[frozenset[str], ...]:
        if not pairs:
            return ()
        given = "".join(f"{tip} {base}\n" for base, tip in pairs).encode()
        options = ("--stdin", "-r", "-z", "--name-only", *PLAIN, "--always")
        answer = self.git.ask("diff-tree", *options, stdin=given)
        if not answer.ok:
            raise GitFailed("cannot compare commits", stderr=answer.err)
        return _by_tip(answer.split0(), [tip for _, tip in pairs])

    def touched(self, base: str, tip: str) -> frozenset[str]:
        given = "".join(f"{commit}\n" for commit in self.left(tip, base)).encode()
        options = ("--stdin", "-r", "-m", "-z", "--root", "--name-only", "--no-renames", "--no-commit-id")
        answer = self.git.ask("diff-tree", *options, stdin=given)
        if not answer.ok:
            raise GitFailed(f"cannot read the commits {base}..{tip}", stderr=answer.err)
        return frozenset(answer.split0())

    def added(self, base: str, tip: str) -> Iterator[Addition]:
        git = self.git
        return read_additions(git, objects_of(git), base, tip)

    def subjects(self, base: str, tip: str, most: int) -> tuple[str, ...]:
        return read_subjects(objects_of(self.git), base, tip, most)

    def pages(self, commit: str, folders: Sequence[str]) -> tuple[Page, ...]:
        return read_pages(self.git, commit, folders)

    def renamed(self, base: str, tip: str) -> tuple[tuple[str, str], ...]:
        answer = self.git.ask(
            "diff-tree", "-r", "-z", "-M", "--diff-filter=R", "--name-status", "--ignore-submodules=none", base, tip
        )
        if not answer.ok:
            raise GitFailed(f"cannot compare {base} and {tip}", stderr=answer.err)
        fields = answer.split0()
        return tuple(zip(fields[1::3], fields[2::3], strict=False))

    def moved(self, commits: Collection[str], tip: str) -> dict[str, Moved]:
        return read_moves(self.git, commits, tip)

    def fork_point(self, tip: str, target: str) -> str | None:
        answer = self.git.ask("merge-base", tip, target)
        return answer.line if answer.ok else None

    def marked(self, tip: str, paths: Sequence[str], sides: Sequence[str]) -> tuple[str, ...]:
        return marked(self.git, tip, paths, sides)

    def unresolved(
        self, tip: str, undecided: Sequence[str], ours: str, theirs: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return unresolved(self.git, tip, undecided, ours, theirs)

    def tree(self, commit: str) -> str:
        return self.git.run("rev-parse", "--verify", f"{commit}^{{tree}}")

    def read_ref(self, ref: str) -> str | None:
        """The commit that a ref (or a commit's own name) stands for; None if there is none."""
        answer = self.git.ask("rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}")
        return answer.line if answer.ok else None

    def peek_ref(self, ref: str) -> str | None:
        """Like `read_ref`, for a full name of a branch's kind: without a process where the ref is a file. It is read
        anew each time, so that what another process has written is seen."""
        text = (content_of_gits(self.path / ref) or b"").decode(errors="replace").strip()
        return text if _NAME.fullmatch(text) else self.read_ref(ref)

    # --- changes ---

    def rebase(
        self,
        base: str,
        tip: str,
        onto: str,
        trailers: Sequence[tuple[str, str]],
        rules: MergeRules = NO_RULES,
        fold: bool = False,
    ) -> Rebased | Conflict | NothingLeft:
        verdict = rebase(self.git, base, tip, onto, trailers, self.by, rules, fold)
        if isinstance(verdict, Rebased):
            if len(self._rebased) >= _REMEMBERED:
                self._rebased.clear()
            self._rebased[verdict.tip] = onto
        return verdict

    def keep(self, ref: str, commit: str) -> None:
        self.must_move([f"update {ref} {commit}"])

    def must_move(self, lines: Sequence[str]) -> None:
        answer = self.move_refs(lines)
        if not answer.ok:
            raise GitFailed(f"git update-ref failed in {self.path} (exit {answer.code})", stderr=answer.err)

    def move_refs(self, lines: Sequence[str]) -> Answer:
        """All refs that ticketd moves go through here, as lines for `update-ref --stdin`: all of them or none. A lock
        that nobody can be holding, since an agent has planted it or its git was killed, is taken away."""
        answer = self.record.move(self.git, lines)
        for _ in range(len(lines) + 1):  # git names one at a time
            if answer.ok or not self._unlocks(answer):
                break
            answer = self.record.move(self.git, lines)
        return answer

    def _unlocks(self, refused: Answer) -> bool:
        """git holds a ref's lock for milliseconds."""
        found = _LOCKED.search(refused.err)
        if found is None or not Path(found[1]).is_relative_to(self.own):
            return False
        lock = self.path / Path(found[1]).relative_to(self.own)  # git follows our links, and names them all the same
        if not lock.is_file():
            return False
        is_stale = lock.stat().st_mtime < time.time() - _LONG_S or not git_lives(self.state)
        if is_stale:
            lock.unlink(missing_ok=True)
        return is_stale

    def is_safe(self, commit: str) -> bool:
        """Whether a kept attempt or the target holds `commit`, so that another ref to it may go."""
        answer = self.git.ask("rev-list", "-n1", commit, "--not", *KEPT)
        return answer.ok and not answer.line

    def unsafe(self, commits: Collection[str]) -> frozenset[str]:
        """Those that neither a kept attempt nor the target holds; what is not there at all is no longer anybody's."""
        if not commits:
            return frozenset()
        given = "".join(f"{commit}\n" for commit in sorted(commits)).encode()
        answer = self.git.ask("rev-list", "--ignore-missing", "--stdin", "--not", *KEPT, stdin=given)
        if not answer.ok:
            return frozenset(commits)
        return frozenset(commits) & frozenset(answer.out.split())


def _by_tip(fields: Sequence[str], tips: Sequence[str]) -> tuple[frozenset[str], ...]:
    """What `diff-tree --stdin` says of each commit: its name, then the paths. No path has the name of the commit that
    holds it."""
    starts: list[int] = []
    for tip in tips:
        try:
            starts.append(fields.index(tip, starts[-1] + 1 if starts else 0))
        except ValueError:
            raise GitFailed(f"cannot compare commits: {tip} is missing") from None
    ends = [*starts[1:], len(fields)]
    return tuple(frozenset(fields[start + 1 : end]) for start, end in zip(starts, ends, strict=True))
