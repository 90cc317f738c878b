"""What `init` and `doctor` ask about the user's repository, its remote, and the disk under the state directory.

Only questions: nothing is changed, and no prompt waits for an answer (a question to a remote has a time limit).
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ticketd.git.door import Answer, Git
from ticketd.git.target import PUSH, read_failure

REMOTE_S = 15.0

# ssh asks for a passphrase or a host key on the terminal itself, past every pipe.
_NO_QUESTIONS = {"SSH_ASKPASS": "false", "SSH_ASKPASS_REQUIRE": "force", "GIT_ASKPASS": "false"}


def git_version() -> tuple[int, ...]:
    """Empty when git does not say."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", Git(Path("/")).ask("version").out)
    return tuple(int(part) for part in found.groups() if part) if found else ()


# --- where to land --------------------------------------------------------------------------------------------------


def likely_remote(root: Path) -> str:
    """`origin`, else the checked-out branch's, else the first; empty where there is none."""
    git = Git(root)
    remotes = git.ask("remote").out.split()
    branch = _checked_out(git)
    of_branch = git.ask("config", "--get", f"branch.{branch}.remote").line if branch else ""
    return next((name for name in ("origin", of_branch, *remotes) if name in remotes), "")


def likely_branch(root: Path, remote: str) -> str:
    """The remote's HEAD as last seen, else as the remote says now, else the checked-out branch, else `main`."""
    git = Git(root)
    if remote:
        seen = git.ask("symbolic-ref", "--quiet", f"refs/remotes/{remote}/HEAD").line
        if seen:
            return seen.removeprefix(f"refs/remotes/{remote}/")
        said = _ask_remote(git, "--symref", "--", remote, "HEAD").out
        if found := re.match(r"ref: refs/heads/(\S+)\tHEAD", said):
            return found[1]
    return _checked_out(git) or "main"


def _checked_out(git: Git) -> str:
    """The branch HEAD is on, born or not; empty when detached."""
    return git.ask("symbolic-ref", "--quiet", "HEAD").line.removeprefix("refs/heads/")


# --- the remote -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """`tip` of the target branch, None where there is no such branch; `trouble` if there was no answer."""

    tip: str | None
    trouble: str = ""


def target_tip(root: Path, remote: str, branch: str) -> RemoteAnswer:
    """Where the target branch stands: the remote's, or the local one where `remote` is empty."""
    ref = f"refs/heads/{branch}"
    if not remote:
        answer = Git(root).ask("rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}")
        return RemoteAnswer(answer.line or None)
    answer = _ask_remote(Git(root), "--", remote, ref)
    if not answer.ok:
        return RemoteAnswer(None, read_failure(answer))
    found = [line.partition("\t")[0] for line in answer.out.splitlines() if line.endswith(f"\t{ref}")]
    return RemoteAnswer(found[0] if found else None)


def last_seen(root: Path, remote: str, branch: str) -> str | None:
    """Where the target branch stood when this repository last heard of it; nobody is asked."""
    ref = f"refs/remotes/{remote}/{branch}" if remote else f"refs/heads/{branch}"
    return Git(root).ask("rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}").line or None


def _ask_remote(git: Git, *args: str) -> Answer:
    return git.ask("ls-remote", "--quiet", *args, env=_NO_QUESTIONS, timeout_s=REMOTE_S)


def push_refusal(root: Path, remote: str, branch: str, tip: str) -> str | None:
    """Why the remote will not take a push: a dry run of the tip onto itself. Empty if it would; None if unknown,
    the tip not being here. A server's own rules (a protected branch) are known only by a real push."""
    git = Git(root)
    if not git.ask("cat-file", "-e", f"{tip}^{{commit}}").ok:
        return None
    refspec = f"{tip}:refs/heads/{branch}"
    answer = git.ask(*PUSH, "--dry-run", "--", remote, refspec, env=_NO_QUESTIONS, timeout_s=REMOTE_S)
    if not answer.ok:
        return read_failure(answer)
    url = git.ask("remote", "get-url", "--push", remote).line.removeprefix("file://")
    folder = (root / url) / "objects" if (root / url / "objects").is_dir() else root / url / ".git" / "objects"
    return f"{folder} cannot be written" if folder.is_dir() and not os.access(folder, os.W_OK) else ""


# --- the user's repository and the state directory ------------------------------------------------------------------


def is_tracked(root: Path, path: str) -> bool:
    return Git(root).ask("ls-files", "--error-unmatch", "--", path).ok


def keeps_attempts(control: Path) -> bool:
    """Whether the control repository keeps the work of any attempt. Read from its files: asked before each command."""
    loose = any(path.is_file() for path in (control / "refs" / "ticketd").rglob("*"))
    try:
        return loose or b" refs/ticketd/" in (control / "packed-refs").read_bytes()
    except FileNotFoundError:
        return loose


def nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def free_bytes(path: Path) -> int:
    return shutil.disk_usage(nearest_existing(path)).free


def file_system(path: Path) -> str:
    """The kind of file system under `path`, like `ext4` or `nfs4`; empty where there is no /proc to tell."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real, best, kind = nearest_existing(path).resolve(), -1, ""
    for line in mounts:
        before, _, after = line.partition(" - ")
        point = Path(re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), before.split()[4]))
        # A later mount hides an earlier one at the same place.
        if real.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split()[0]
    return kind
