"""An attempt's commits for a person: what they change, and their way into the user's repository as a branch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ticketd.errors import BadInput, GitFailed
from ticketd.git.control import Control
from ticketd.git.door import Git
from ticketd.git.repository import UserRepository
from ticketd.git.target import FETCH

# No program that a configuration or an attribute names has a say in how a change is shown.
_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none")


@dataclass(frozen=True, slots=True)
class FileChange:
    """Lines added and removed; None for what is not text."""

    path: str
    added: int | None
    removed: int | None


def changes(git: Git, base: str, tip: str) -> tuple[FileChange, ...]:
    """What `tip` changes against `base`, file by file."""
    out = git.run("diff", *_PLAIN, "--no-renames", "--numstat", "-z", base, tip, "--")
    fields = (entry.split("\t", 2) for entry in out.split("\0") if entry)
    return tuple(FileChange(path, _lines(added), _lines(removed)) for added, removed, path in fields)


def _lines(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def summary(git: Git, base: str, tip: str) -> str:
    """The same for the eye: `git diff --stat`."""
    return git.ask("diff", *_PLAIN, "--stat=100", base, tip, "--").out.rstrip("\n")


def diff(git: Git, base: str, tip: str, colours: bool = False) -> str:
    """The whole change as text, to the last byte; of what is not text only that it differs.

    Raises:
        GitFailed: git could not compare them.
    """
    answer = git.ask("diff", *_PLAIN, *(("--color=always",) if colours else ()), "--no-renames", base, tip, "--")
    if not answer.ok:
        raise GitFailed(f"cannot compare {base} and {tip}", stderr=answer.err)
    return answer.out


def hand_over(user: UserRepository, control: Control, ref: str, branch: str) -> bool:
    """Make the user's `branch` stand at the control repository's `ref`; False if it did. Nothing else is touched.

    Raises:
        BadInput: the branch is checked out, or has commits of its own.
        GitFailed: git could not bring it.
    """
    git, tip = Git(user.root), control.read_ref(ref)
    if tip is None:
        raise GitFailed(f"{ref} is not in {control.path}", mend="`ticketd doctor` looks for what is wrong.")
    before = git.ask("rev-parse", "--quiet", "--verify", f"refs/heads/{branch}^{{commit}}").line
    if before == tip:
        return False
    if where := _checkout_of(git, branch):
        mend = f"Switch to another branch there, or rename it: git branch -m {branch} NEW-NAME"
        raise BadInput(f"the branch {branch} is checked out in {where}", mend=mend)
    bring = git.with_config("fetch.prune=false", "fetch.pruneTags=false", "fetch.writeCommitGraph=false")
    answer = bring.ask(*FETCH, "--", str(control.own), f"{ref}:refs/heads/{branch}")
    if answer.ok:
        return True
    # Refused after its objects had come; git is asked, since `--quiet` hides why.
    if before and git.ask("merge-base", "--is-ancestor", before, tip).code == 1:
        mend = f"Rename it, then try again: git branch -m {branch} NEW-NAME"
        raise BadInput(f"the branch {branch} exists and has other commits", mend=mend)
    raise GitFailed(f"git could not make the branch {branch}", stderr=answer.err)


def _checkout_of(git: Git, branch: str) -> Path | None:
    """The worktree in which the branch is checked out."""
    for entry in git.run("worktree", "list", "--porcelain", "-z").split("\0\0"):
        fields = entry.strip("\0").split("\0")
        if f"branch refs/heads/{branch}" in fields:
            return Path(fields[0].removeprefix("worktree "))
    return None
