"""The hook's entry: `python -m ticketd.git.hook_main REMOTE URL`, with git's list on standard input.

A module of its own because every push of a person waits for it: pushes that do not concern the target end before
GitPython is imported (it takes two thirds of the time), and the command line is never imported.
"""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

# Set by `ticketd push`, which has already done what the hook would do.
GUARD = "TICKETD_PUSH"
IDENTITY = ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")


def target_of(root: Path) -> tuple[str, str]:
    """`[target] remote` and `branch` of `ticketd.toml`; the defaults, and a word on stderr, if it cannot be read."""
    top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
    path = top / "ticketd.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("target", {})
        remote, branch = table.get("remote", "origin"), table.get("branch", "main")
    except FileNotFoundError:
        return "origin", "main"
    except (OSError, ValueError, AttributeError) as error:
        say(f"{path.name} cannot be read ({str(error).splitlines()[0]}); taking origin/main for the target")
        return "origin", "main"
    if not isinstance(remote, str) or not isinstance(branch, str):
        say(f"{path.name}: [target] remote and branch are strings; taking origin/main for the target")
        return "origin", "main"
    return remote, branch


def say(line: str) -> None:
    """On stderr: what a hook prints on stdout ends up in the output of `git push --porcelain`."""
    print(f"ticketd: {line}", file=sys.stderr)


def hook_code(root: Path, remote: str, url: str, lines: str) -> int:
    """Run the hook in `root` and return its exit code. A fault of ours never keeps a person from pushing."""
    if os.environ.get(GUARD):
        return 0
    target_remote, target_branch = target_of(root)
    if not _may_concern(remote, url, lines, target_remote, target_branch):
        return 0
    if not lines.strip() and _is_up_to_date(root, target_remote, target_branch):
        return 0
    try:
        return _decide(root, remote, url, lines, target_remote, target_branch)
    except Exception as error:  # a broken installation, a bug: neither is a reason to hold somebody's push up
        why = " ".join(str(error).split())
        say(f"the pre-push hook failed ({type(error).__name__}: {why}); git decides about this push")
        return 0


def _may_concern(remote: str, url: str, lines: str, target_remote: str, target_branch: str) -> bool:
    """False when no look into the repository is needed to let the push go on."""
    if not target_remote or remote not in (target_remote, url):
        return False
    return not lines.strip() or f" refs/heads/{target_branch} " in lines


def _is_up_to_date(root: Path, remote: str, branch: str) -> bool:
    """Whether what is pushed is plainly where the target was last seen. Read off git's files, since this is what most
    pushes without anything to push are; False where they do not tell (packed refs, linked worktrees)."""
    from ticketd.git.push_command import running_push

    command = running_push()
    head = _read(root / ".git" / "HEAD").removeprefix("ref: ")
    if command is None or os.environ.get("GIT_DIR") or not head.startswith("refs/heads/"):
        return False
    mine = _read(root / ".git" / head)
    named = not command.refspecs or command.refspecs in (("HEAD",), (head.removeprefix("refs/heads/"),))
    return bool(mine) and named and mine == _read(root / ".git" / "refs" / "remotes" / remote / branch)


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _decide(root: Path, remote: str, url: str, lines: str, target_remote: str, target_branch: str) -> int:
    from ticketd.git.door import Git, leave_outer_repository
    from ticketd.git.hook_run import run_hook
    from ticketd.git.push_command import running_push

    exported = os.environ.get("GIT_DIR")
    identity = {name: os.environ[name] for name in IDENTITY if name in os.environ}
    leave_outer_repository(os.environ)
    os.environ.update(identity)  # the rebased commits are this person's
    git = Git(root)
    if exported and not _is_git_dir(exported, root, git.ask("rev-parse", "--absolute-git-dir").line):
        say("pushed with --git-dir from outside its working tree; left the branch as it is")
        return 0
    answer = run_hook(root, remote, url, lines, target_remote, target_branch, running_push())
    if answer.message:
        say(answer.message)
    return answer.code


def _is_git_dir(exported: str, root: Path, found: str) -> bool:
    """git exports GIT_DIR in linked worktrees, and for `git --git-dir`, whose repository `root` need not lead to."""
    return bool(found) and (root / exported).resolve() == Path(found).resolve()


def main() -> int:
    remote, url = (*sys.argv[1:3], "", "")[:2]
    lines = os.fsdecode(sys.stdin.buffer.read())
    return hook_code(Path.cwd(), remote, url, lines)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
