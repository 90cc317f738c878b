"""Rebase the branch that a person has checked out onto the target, or leave everything as it was.

Shared by the pre-push hook and by `ticketd push`. Unlike the rest of ticketd this works in the user's own repository,
so it only does what `git fetch` and `git rebase` do: no configuration is written, nothing is stashed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ticketd.git.door import Answer, Git

# Later `-c` options win over the door's. What a person may have set for their own rebases and what would make this
# one touch other branches, the stash or the rerere cache, or open an editor.
REBASE_CONFIG = (
    "rebase.autoStash=false",
    "rebase.updateRefs=false",
    "rebase.autoSquash=false",
    "rebase.rebaseMerges=false",
    "rebase.backend=merge",
    "rerere.enabled=false",
)

IN_PROGRESS = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}


@dataclass(frozen=True, slots=True)
class Target:
    """The branch that work lands on, at its remote."""

    remote: str
    branch: str

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"

    @property
    def tracking(self) -> str:
        return f"refs/remotes/{self.remote}/{self.branch}"

    def __str__(self) -> str:
        return f"{self.remote}/{self.branch}"


@dataclass(frozen=True, slots=True)
class FetchFailed:
    why: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the checkout stands to `onto`. `branch` is empty when HEAD is detached."""

    branch: str
    head: str
    onto: str
    own: int
    behind: int


@dataclass(frozen=True, slots=True)
class Rebased:
    """`left` commits are on top of the target now; those missing from the former number had landed already."""

    head: str
    left: int


@dataclass(frozen=True, slots=True)
class Conflict:
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RebaseFailed:
    why: str


def users_setting(git: Git, key: str, kind: str = "path") -> str | None:
    """What the user's configuration says of `key`, not what the door forces on the command line."""
    parts = git.ask("config", "--show-scope", f"--type={kind}", "-z", "--get-all", key).out.split("\0")
    values = [value for scope, value in zip(parts[::2], parts[1::2], strict=False) if scope != "command"]
    return values[-1] if values else None


def fetch(git: Git, target: Target) -> str | FetchFailed:
    """Fetch the target branch alone, as `git fetch` does, and return its commit."""
    arguments = ("--quiet", "--no-tags", "--no-prune", "--no-recurse-submodules", "--no-auto-maintenance")
    for attempt in (1, 2):
        # A person is there to answer a question for a password; git asks on the terminal, not on our pipes.
        answer = git.ask("fetch", *arguments, "--", target.remote, target.ref, env={"GIT_TERMINAL_PROMPT": "1"})
        if answer.ok:
            return _fetched(git, target)
        if attempt == 2 or "cannot lock ref" not in answer.err:  # somebody else fetches at the same moment
            break
    return FetchFailed(last_line(answer))


def _fetched(git: Git, target: Target) -> str | FetchFailed:
    """The line of FETCH_HEAD that names the branch: another fetch (an editor's) may have written the file since."""
    path = Path(git.cwd, git.run("rev-parse", "--git-path", "FETCH_HEAD"))
    for line in path.read_text(errors="surrogateescape").splitlines():
        sha, _, note = line.partition("\t")
        if f"branch '{target.branch}' of " in note:
            return sha
    return FetchFailed("another fetch came in between")


def is_ancestor(git: Git, old: str, new: str) -> bool | None:
    """None: one of the two is not in this repository."""
    return {0: True, 1: False}.get(git.ask("merge-base", "--is-ancestor", old, new).code)


def standing(git: Git, onto: str) -> Standing | None:
    """None: the checkout has no commit, or none in common with `onto`."""
    head = git.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}").line
    if head == onto:
        return Standing(current_branch(git), head, onto, 0, 0)
    if not head or not git.ask("merge-base", onto, head).ok:
        return None
    own, behind = git.run("rev-list", "--left-right", "--count", f"{head}...{onto}").split()
    return Standing(current_branch(git), head, onto, int(own), int(behind))


def current_branch(git: Git) -> str:
    """Empty when HEAD is detached."""
    return git.ask("symbolic-ref", "--quiet", "--short", "HEAD").line


def obstacle(git: Git, at: Standing) -> str:
    """Why this checkout may not be rebased, and what to do about it; empty when it may."""
    if git.ask("rev-parse", "--is-inside-work-tree").line != "true":
        return "there is no working tree here; push from one"
    if under_way := operation(git):
        return f"a {under_way} is in progress; finish or abort it first"
    if not at.branch:
        return "HEAD is detached; check out a branch first"
    if has_merges(git, at):
        return f"{at.branch} contains merge commits; make it linear first: git rebase {at.onto[:12]}"
    if is_dirty(git):
        return "there are uncommitted changes; commit or stash them first"
    return ""


def operation(git: Git) -> str:
    """The name of the operation that waits to be continued, if one does."""
    asked = [part for name in IN_PROGRESS for part in ("--git-path", name)]
    paths = git.run("rev-parse", *asked).splitlines()
    found = (word for path, word in zip(paths, IN_PROGRESS.values(), strict=True) if Path(git.cwd, path).exists())
    return next(found, "")


def has_merges(git: Git, at: Standing) -> bool:
    return bool(git.run("rev-list", "--merges", "--max-count=1", f"{at.onto}..{at.head}"))


def is_dirty(git: Git) -> bool:
    """Tracked files only: untracked ones do not keep git from rebasing unless they are in the way."""
    return bool(git.run("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"))


def rebase(git: Git, at: Standing) -> Rebased | Conflict | RebaseFailed:
    """Rebase the checked-out branch; whatever stops it, the branch and the files are as before."""
    careful = git.with_config(*REBASE_CONFIG, *_signing(git))
    try:
        answer = careful.ask("rebase", "--quiet", "--no-fork-point", "--no-stat", at.onto)
        if answer.ok:
            return Rebased(git.run("rev-parse", "HEAD"), int(git.run("rev-list", "--count", f"{at.onto}..HEAD")))
        paths = git.ask("diff", "--name-only", "--diff-filter=U", "-z").split0()
    finally:
        # Also on the way out of an interrupt: git was stopped half-way by the same Ctrl-C.
        undone = _abort(careful, at)
    if undone:
        return RebaseFailed(undone)
    return Conflict(paths) if paths else RebaseFailed(first_line(answer))


def _signing(git: Git) -> tuple[str, ...]:
    """A person who signs commits wants the rebased ones signed too; the door turns signing off."""
    return ("commit.gpgSign=true",) if users_setting(git, "commit.gpgSign", "bool") == "true" else ()


def _abort(git: Git, at: Standing) -> str:
    """End a rebase that stopped; what is left to say if even that failed."""
    if operation(git) != "rebase":
        return ""
    answer = git.ask("rebase", "--abort")
    if answer.ok and git.run("rev-parse", "HEAD") == at.head:
        return ""
    return f"git rebase --abort failed ({last_line(answer)}); {at.branch} was at {at.head}"


def first_line(answer: Answer) -> str:
    """git's reason in one line, with the files that it lists below it."""
    lines = [line for line in answer.err.splitlines() if line.strip() and not line.startswith("hint:")]
    files = [line.strip() for line in lines if line.startswith("\t")]
    reason = lines[0].removeprefix("error: ").removeprefix("fatal: ") if lines else f"git exited {answer.code}"
    return " ".join([reason, ", ".join(files)]).strip()


def last_line(answer: Answer) -> str:
    """The line in which git names the cause, past the progress that comes before it."""
    lines = [line.strip() for line in answer.err.splitlines() if line.strip() and not line.startswith("hint:")]
    named = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "!"))]
    return (named or lines or [f"git exited {answer.code}"])[0]


def words_for(git: Git, target: Target, onto: str) -> str:
    """What to type for `onto`: `origin/main` where that is what it means."""
    return str(target) if git.ask("rev-parse", "--verify", "--quiet", target.tracking).line == onto else onto[:12]


def shown(paths: tuple[str, ...], most: int = 5) -> str:
    """Paths for one line of a message; bytes that are not UTF-8 come out as question marks."""
    rest = f" and {len(paths) - most} more" if len(paths) > most else ""
    return os.fsencode(", ".join(paths[:most])).decode(errors="replace") + rest


def commits(count: int) -> str:
    return f"{count} commit" if count == 1 else f"{count} commits"
