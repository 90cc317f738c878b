"""What the pre-push hook does: bring a branch that has fallen behind the target up to it, and stop that push.

It never pushes. git fixes what it sends before the hook runs, so the push that the hook runs in cannot be saved; a
push from within would land during `--dry-run` too. So the branch is rebased, the push is stopped with one line, and
the same command goes through the second time.

Only pushes to the target branch are touched. A feature branch that is pushed under its own name stays as it is:
rebasing it would make its next push need force.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ticketd.git.door import Git
from ticketd.git.push_command import PushCommand, short
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
    is_ancestor,
    obstacle,
    rebase,
    shown,
    standing,
    words_for,
)


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """`code` 0 lets the push go on. `message` is one line for stderr, mostly empty when it does."""

    code: int = 0
    message: str = ""


PASS = HookAnswer()


@dataclass(frozen=True, slots=True)
class PushedRef:
    """One line of the list that git hands to the hook."""

    source: str
    sha: str
    to: str
    was: str

    @property
    def deletes(self) -> bool:
        return not self.sha.strip("0")

    @property
    def creates(self) -> bool:
        return not self.was.strip("0")


def parse_pushed(lines: str) -> list[PushedRef]:
    """A source may contain spaces (`HEAD@{1 day ago}`), the other three fields do not."""
    fields = (line.rsplit(maxsplit=3) for line in lines.splitlines())
    return [PushedRef(*four) for four in fields if len(four) == 4]


def run_hook(
    root: Path,
    remote: str,
    url: str,
    lines: str,
    target_remote: str,
    target_branch: str,
    command: PushCommand | None = None,
) -> HookAnswer:
    """Decide one push. `command` is what is known of the `git push` that runs the hook."""
    git, target = Git(root), Target(target_remote, target_branch)
    pushed = [ref for ref in parse_pushed(lines) if ref.to == target.ref]
    if not _goes_to(git, remote, url, target):
        return PASS
    command = command or PushCommand()
    if pushed:
        return _answer_listed(git, target, pushed[0], command)
    return PASS if lines.strip() else _answer_empty(git, target, command)


def _goes_to(git: Git, remote: str, url: str, target: Target) -> bool:
    """Whether the push is to the target's remote, by name or by address."""
    if not target.remote or remote == target.remote:
        return bool(target.remote)
    if remote != url:
        return False
    return url in git.ask("remote", "get-url", "--push", "--all", target.remote).out.splitlines()


def _answer_listed(git: Git, target: Target, ref: PushedRef, command: PushCommand) -> HookAnswer:
    """git has told what the remote's branch is: as long as that is known here, no network is needed."""
    if ref.deletes or ref.creates or command.forced or is_ancestor(git, ref.was, ref.sha) is not None:
        # Known and not an ancestor: git lists such a ref only when the push is forced, and then a person wants that.
        return PASS
    onto = fetch(git, target)
    if isinstance(onto, FetchFailed):
        return HookAnswer(0, f"could not fetch {target} ({onto.why}); left the branch as it is")
    if not is_ancestor(git, ref.was, onto):
        return HookAnswer(
            0, f"{target.remote} is pushed to another place than it is fetched from; left the branch as it is"
        )
    return _bring_up(git, target, onto, ref.source, ref.sha, command)


def _answer_empty(git: Git, target: Target, command: PushCommand) -> HookAnswer:
    """git leaves out what is up to date, and what it will reject because the newer target is already known here."""
    branch = current_branch(git)
    source = _unlisted_source(git, target, branch, command)
    if not source or command.forced:
        return PASS
    sha = git.ask("rev-parse", "--verify", "--quiet", f"{source}^{{commit}}").line
    if not sha or is_ancestor(git, sha, target.tracking):  # nothing of its own: no question for the network
        return PASS
    onto = fetch(git, target)
    if isinstance(onto, FetchFailed):
        return HookAnswer(0, f"could not fetch {target} ({onto.why}); left the branch as it is")
    if is_ancestor(git, onto, sha) or is_ancestor(git, sha, onto):
        return PASS
    return _bring_up(git, target, onto, source, sha, command)


def _unlisted_source(git: Git, target: Target, branch: str, command: PushCommand) -> str:
    """What the push would have sent to the target; empty when it is none of our business, or a mere guess.

    Without refspecs to read, the checked-out branch counts if it is the target's namesake, or follows the target and
    has never been published under its own name.
    """
    if command.refspecs:
        return next(iter(command.sources_of(target.branch, branch)), "")
    if not branch or branch == target.branch:
        return branch
    published = git.ask("rev-parse", "--verify", "--quiet", f"refs/remotes/{target.remote}/{branch}").ok
    return branch if not published and _follows(git, target) else ""


def _follows(git: Git, target: Target) -> bool:
    names = (git.ask("rev-parse", "--symbolic-full-name", to).line for to in ("@{push}", "@{upstream}"))
    return target.tracking in names


def _bring_up(git: Git, target: Target, onto: str, source: str, sha: str, command: PushCommand) -> HookAnswer:
    """The push cannot go through as it is. Rebase if the same command would then push the rebased branch."""
    base = f"{target} ({onto[:7]})"
    at = standing(git, onto)
    if at is None:
        return _stop(f"HEAD has no history in common with {base}; nothing was changed")
    if at.head != sha or source not in _names_of(at.branch):
        return _stop(
            f"{short(source)} is behind {base} and is not the checked-out branch; check it out and push it by name,"
            " or rebase it by hand; nothing was changed"
        )
    if not at.own:
        return _stop(
            f"{at.branch} has nothing that {base} lacks; "
            f" to bring it up to date: git merge --ff-only {words_for(git, target, onto)}"
        )
    if why := obstacle(git, at):
        return _stop(f"{at.branch or 'HEAD'} is behind {base}, and {why}; then push again")
    if command.dry_run:
        return _stop(f"would rebase {commits(at.own)} of {at.branch} onto {base}; a dry run changes nothing")
    return _rebased(git, target, at, base)


def _names_of(branch: str) -> tuple[str, ...]:
    """In these words a command names the checked-out branch, whatever commit it is at by then."""
    return ("HEAD", "@", branch, f"heads/{branch}", f"refs/heads/{branch}")


def _rebased(git: Git, target: Target, at: Standing, base: str) -> HookAnswer:
    match rebase(git, at):
        case Rebased(left=0):
            return _stop(f"all commits of {at.branch} are in {base} already; the branch is there now, nothing to push")
        case Rebased(left=left):
            return _stop(
                f"rebased {commits(left)} of {at.branch} onto {base}; push again: the same command will now go through"
            )
        case Conflict(paths=paths):
            return _stop(
                f"{at.branch} conflicts with {base} in {shown(paths)}; the rebase was undone;"
                f" run git rebase {words_for(git, target, at.onto)}, resolve, push again"
            )
        case RebaseFailed(why=why):
            return _stop(f"could not rebase {at.branch} onto {base}: {why}")


def _stop(message: str) -> HookAnswer:
    return HookAnswer(1, message)
