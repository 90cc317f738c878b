"""`ticketd push`: rebase the checked-out branch onto the target and push it there, in one command.

The exit code of `git push` is no evidence: with the server killed after the update it is 1 although the commit is on
main. So the remote is asked, and 0 means that its branch contains HEAD.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ticketd.errors import BadInput, NotSetUp
from ticketd.git.door import Answer, Git
from ticketd.git.hook import hooks_dir
from ticketd.git.hook_main import GUARD
from ticketd.git.rebase_checkout import (
    Conflict,
    FetchFailed,
    Rebased,
    RebaseFailed,
    Standing,
    Target,
    commits,
    current_branch,
    fetch,
    has_merges,
    is_ancestor,
    last_line,
    obstacle,
    rebase,
    shown,
    standing,
    words_for,
)

TRIES = 5


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """`code` is the exit code, `message` one line, `said` what git and the hooks of the push printed."""

    code: int
    message: str
    said: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """Somebody else was faster; `answer` is what git said to us."""

    answer: Answer


def push(
    root: Path, target_remote: str, target_branch: str, options: tuple[str, ...] = (), *, dry_run: bool = False
) -> PushAnswer:
    """Land the checked-out branch. `options` go to `git push` as they are.

    Raises:
        BadInput: there is no remote to push to.
        NotSetUp: `root` is in no git repository.
    """
    top = Git(root).ask("rev-parse", "--show-toplevel")
    if not top.ok:
        raise NotSetUp(f"{root} is not in the working tree of a git repository")
    git, target = Git(Path(top.line)), Target(target_remote, target_branch)
    if not target.remote:
        raise BadInput(f"the target is the local branch {target.branch}: there is no remote to push to")
    if not git.ask("remote", "get-url", "--", target.remote).ok:
        raise BadInput(f"there is no remote {target.remote}", mend="set [target] remote in ticketd.toml")
    lost: Answer | None = None
    for _ in range(TRIES):
        outcome = _try(git, target, options, dry_run)
        if isinstance(outcome, PushAnswer):
            return outcome
        lost = outcome.answer
    return _bad(f"{target} moved during each of {TRIES} pushes; nothing was pushed; run the same again", lost)


def _try(git: Git, target: Target, options: tuple[str, ...], dry_run: bool) -> PushAnswer | Moved:
    onto = fetch(git, target)
    if isinstance(onto, FetchFailed):
        if _is_missing(git, target):
            return _create(git, target, options, dry_run)
        return _bad(f"could not fetch {target}: {onto.why}")
    at = standing(git, onto)
    if at is None:
        return _bad(f"HEAD has no history in common with {target}")
    if not at.own:
        return PushAnswer(0, f"nothing to push: {target} ({onto[:7]}) contains {at.branch or 'HEAD'}")
    if why := _refusal(git, at):
        return _bad(f"{why}; nothing was pushed")
    if at.behind and dry_run:
        return PushAnswer(0, f"would rebase {commits(at.own)} of {at.branch} onto {target} ({onto[:7]}) and push")
    head = _bring_up(git, target, at) if at.behind else at.head
    if isinstance(head, PushAnswer):
        return head
    return _send(git, target, head, onto, options, dry_run)


def _refusal(git: Git, at: Standing) -> str:
    """A branch that is up to date is pushed with a dirty tree too, as git does; but never from a detached HEAD."""
    if at.behind:
        return obstacle(git, at)
    if not at.branch:
        return "HEAD is detached; check out a branch first"
    if has_merges(git, at):
        return f"{at.branch} contains merge commits; make it linear first: git rebase {at.onto[:12]}"
    return ""


def _bring_up(git: Git, target: Target, at: Standing) -> str | PushAnswer:
    match rebase(git, at):
        case Rebased(left=0):
            return PushAnswer(0, f"nothing to push: {target} contains all commits of {at.branch}; it is there now")
        case Rebased(head=head):
            return head
        case Conflict(paths=paths):
            return _bad(
                f"{at.branch} conflicts with {target} ({at.onto[:7]}) in {shown(paths)}; the rebase was undone;"
                f" run git rebase {words_for(git, target, at.onto)}, resolve, then run the same again"
            )
        case RebaseFailed(why=why):
            return _bad(f"could not rebase {at.branch} onto {target}: {why}")


def _send(
    git: Git, target: Target, head: str, onto: str, options: tuple[str, ...], dry_run: bool
) -> PushAnswer | Moved:
    """Push without force, then ask the remote what became of it."""
    answer = _git_push(git, target, head, options, dry_run)
    number = commits(int(git.run("rev-list", "--count", f"{onto}..{head}")))
    if dry_run:
        return PushAnswer(0, f"would push {number} to {target}", answer.err) if answer.ok else _rejected(target, answer)
    now = fetch(git, target)
    if isinstance(now, FetchFailed):
        return _bad(f"git push exited {answer.code}, and {target} cannot be asked: {now.why}", answer)
    if is_ancestor(git, head, now):
        return PushAnswer(0, f"pushed {number} to {target} ({onto[:7]}..{head[:7]})", answer.err)
    if now != onto:
        return Moved(answer)
    return _rejected(target, answer)


def _git_push(git: Git, target: Target, head: str, options: tuple[str, ...], dry_run: bool) -> Answer:
    """With the hooks that a push of this person runs; the guard tells ours that its work is done."""
    theirs = git.with_config(f"core.hooksPath={hooks_dir(git.cwd).path}")
    given = (*options, *(("--dry-run",) if dry_run else ()))
    environment = {GUARD: "1", "GIT_TERMINAL_PROMPT": "1"}
    return theirs.ask("push", *given, "--", target.remote, f"{head}:{target.ref}", env=environment)


def _is_missing(git: Git, target: Target) -> bool:
    """Whether the remote answers, and has no such branch yet."""
    answer = git.ask("ls-remote", "--", target.remote, target.ref, env={"GIT_TERMINAL_PROMPT": "1"})
    return answer.ok and not answer.line


def _create(git: Git, target: Target, options: tuple[str, ...], dry_run: bool) -> PushAnswer | Moved:
    head = git.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}").line
    if not head or not current_branch(git):
        return _bad("there is no commit to push" if not head else "HEAD is detached; check out a branch first")
    answer = _git_push(git, target, head, options, dry_run)
    if dry_run:
        return PushAnswer(0, f"would create {target}", answer.err) if answer.ok else _rejected(target, answer)
    now = fetch(git, target)
    if isinstance(now, FetchFailed):
        return _rejected(target, answer)
    if is_ancestor(git, head, now):
        return PushAnswer(0, f"created {target} ({head[:7]})", answer.err)
    return Moved(answer)


def _rejected(target: Target, answer: Answer) -> PushAnswer:
    if answer.ok:
        return _bad(f"the push was accepted, but {target} does not contain HEAD", answer)
    return _bad(f"{target} was not pushed: {last_line(answer)}", answer)


def _bad(message: str, answer: Answer | None = None) -> PushAnswer:
    return PushAnswer(1, message, answer.err if answer else "")
