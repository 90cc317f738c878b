"""The user's repository: where it is, who commits there, and how it reaches its remote. Only ever read."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ticketd.errors import NotSetUp
from ticketd.git.door import Git
from ticketd.ports import Identity

CONTROL = "control.git"
OWNER = "repository"
NOBODY = Identity("ticketd", "ticketd@localhost")

_IDENTITY = re.compile(r"^(?P<name>.*?) ?<(?P<email>[^>]*)> \d+ [+-]\d{4}$")
_TRANSPORT = re.compile(r"^(credential|http|https|ssh|url)\.|^core\.(sshcommand|gitproxy|askpass)$", re.IGNORECASE)
_SCHEME_OR_HOST = re.compile(r"^[^/]*:")


@dataclass(frozen=True, slots=True)
class UserRepository:
    """`root` is the top of its main worktree, `common_dir` its real `.git`; both absolute."""

    root: Path
    common_dir: Path


def find(directory: Path) -> UserRepository:
    """The user's repository around `directory`; inside one of ticketd's worktrees, the one they are for.

    Raises:
        NotSetUp: there is none, or none with a checkout.
    """
    if not directory.is_dir():
        raise NotSetUp(f"{directory} is not a directory", mend="give a directory inside a git repository")
    git = Git(directory)
    answer = git.ask("rev-parse", "--path-format=absolute", "--git-common-dir")
    if not answer.ok:
        raise NotSetUp(_why_not(directory, answer.err), mend="run `git init`, or give --repo DIR")
    common_dir = Path(answer.out.removesuffix("\n")).resolve()
    owner = _owner(common_dir)
    return find(owner) if owner is not None else UserRepository(_root(git, common_dir), common_dir)


def _why_not(directory: Path, stderr: str) -> str:
    if "not a git repository" in stderr:
        return f"{directory} is not in a git repository"
    return f"git will not open the repository at {directory}: {stderr.strip()}"


def _owner(common_dir: Path) -> Path | None:
    """Whom a control repository serves, or a clone of the pool beside it; None for any other repository."""
    if common_dir.name == ".git" and common_dir.parent.parent.name == "worktrees":
        common_dir = common_dir.parent.parent.with_name(CONTROL)
    note = common_dir.parent / OWNER
    if not (common_dir.name == CONTROL and common_dir.is_dir() and note.is_file()):
        return None
    return Path(os.fsdecode(note.read_bytes()).removesuffix("\n"))


def _root(git: Git, common_dir: Path) -> Path:
    fields = git.run("worktree", "list", "--porcelain", "-z").split("\0\0")[0].split("\0")
    main = Path(fields[0].removeprefix("worktree "))
    # For submodules and --separate-git-dir git 2.39 names the git directory itself as the main worktree.
    if "bare" not in fields and main.resolve() != common_dir and (main / ".git").exists():
        return main.resolve()
    answer = git.ask("rev-parse", "--show-toplevel")
    if not answer.ok:
        raise NotSetUp(f"{common_dir} is a bare repository", mend="run ticketd in a checkout of it")
    return Path(answer.out.removesuffix("\n")).resolve()


def state_dir(common_dir: Path, environ: Mapping[str, str]) -> Path:
    """Where ticketd keeps everything about this repository."""
    real = common_dir.resolve()
    folder = real.parent.name if real.name == ".git" else real.name.removesuffix(".git")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder).strip("-.") or "repository"
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
    return _state_home(environ) / "ticketd" / f"{name}-{digest}"


def _state_home(environ: Mapping[str, str]) -> Path:
    given = environ.get("XDG_STATE_HOME", "")
    if given.startswith("/"):  # the XDG specification: a relative path is to be ignored
        return Path(given)
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "state"


def identity(root: Path) -> Identity:
    """Who the user commits as here; `ticketd` where git has not been told (it would make up a host name)."""
    answer = Git(root, config=("user.useConfigOnly=true",)).ask("var", "GIT_COMMITTER_IDENT")
    match = _IDENTITY.match(answer.line) if answer.ok else None
    if match is None or not match["name"] or not match["email"]:
        return NOBODY
    return Identity(match["name"], match["email"])


def remote_url(root: Path, remote: str, push: bool = False) -> str | None:
    """The URL as configured (`insteadOf` not applied), a relative path made absolute; None if there is none."""
    keys = [f"remote.{remote}.pushurl"] * push + [f"remote.{remote}.url"]
    for key in keys:
        values = Git(root).ask("config", "-z", "--get-all", key).split0()
        if values:
            return _absolute(root, values[0])
    return None


def _absolute(root: Path, url: str) -> str:
    if url.startswith(("/", "-")) or _SCHEME_OR_HOST.match(url):
        return url
    return os.path.normpath(root / url)


def transport_config(root: Path) -> tuple[str, ...]:
    """The settings by which this repository authenticates, for `-c`: those that git does not see outside of it.

    Taken as a difference, so an `includeIf "gitdir:"` of the user's global configuration counts too.
    """
    here = Git(root).ask("config", "--includes", "-z", "--list").split0()
    elsewhere = Counter(Git(Path("/")).ask("config", "--includes", "-z", "--list").split0())
    found = []
    for entry in here:
        if elsewhere[entry] > 0:
            elsewhere[entry] -= 1
            continue
        key, assigned, value = entry.partition("\n")
        if _TRANSPORT.match(key) and "=" not in key:  # `-c` splits at the first `=`
            found.append(f"{key}={value}" if assigned else key)
    return tuple(found)
