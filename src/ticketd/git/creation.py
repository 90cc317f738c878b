"""Making the control repository out of the user's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ticketd import failpoints
from ticketd.app.removal import remove_below
from ticketd.errors import GitFailed, NotSetUp, TicketdError
from ticketd.git.configuration import GATE, forget_config, save_config
from ticketd.git.control import Control
from ticketd.git.door import Git
from ticketd.git.gate import for_agents, open_gate
from ticketd.git.own import NO_BRANCH, open_own
from ticketd.git.repository import CONTROL, OWN, OWNER, UserRepository, identity
from ticketd.git.tree import remove


def open_control(state: Path, user: UserRepository, branch: str = "main") -> Control:
    """The control repository in `state`, made if it is not there (all of it or nothing), and the gate of its agents,
    whose work is to land on `branch`.

    Raises:
        NotSetUp: the user's repository has no commit yet, or has not all its objects (a partial clone).
        GitFailed: git could not copy it.
        TicketdError: somebody has deleted what is in it.
    """
    control = Control(state, identity(user.root))
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with control.exclusive():
        (state / OWNER).write_bytes(os.fsencode(user.root) + b"\n")
        failpoints.hit("file/creation.owner")
        if not (state / CONTROL).is_dir():
            _check(user)
            forget_config(state / CONTROL)
            remove(state / OWN)
            _create(state, user)
        elif not (state / CONTROL / "objects").is_dir():
            raise TicketdError(
                f"{state / CONTROL} has lost its objects: an agent or a person has deleted them",
                mend="Rename it; the next `ticketd start` makes it anew from your repository, and goes on.",
            )
        open_own(state, save_config(state / CONTROL, branch))
        control.record.begin(control.git)
        tip = control.peek_ref(f"refs/target/{branch}")
        open_gate(state / GATE, for_agents(control.path, branch), branch, tip)
    return control


def _check(user: UserRepository) -> None:
    git = Git(user.root)
    if not git.ask("rev-list", "-n1", "--all").line:
        raise NotSetUp(f"{user.root} has no commit yet", mend="commit something first: agents start from a commit")
    if git.ask("config", "--get", "extensions.partialClone").ok:
        raise NotSetUp(
            f"{user.root} is a partial clone", mend="fetch what it lacks: `git fetch --refetch --no-filter origin`"
        )


def _create(state: Path, user: UserRepository) -> None:
    for old in state.glob("creating-*"):  # a killed creation's; we hold the lock
        remove_below(state, old.name)
    with tempfile.TemporaryDirectory(prefix="creating-", dir=state) as scratch:
        fresh = Path(scratch) / CONTROL
        _clone(user, fresh)
        _drop_refs(fresh)
        fresh.rename(state / CONTROL)
        failpoints.hit("file/creation.control")


def _clone(user: UserRepository, fresh: Path) -> None:
    """A plain copy of the object files, never hard links: an agent that writes a shared pack in place would damage the
    user's repository too. git 2.38.1 and later refuses to copy from a repository with symlinks; then by transport."""
    command = ("clone", "--quiet", "--bare", "--no-tags", "--template=")
    source = str(user.common_dir)
    git = Git(fresh.parent)
    if git.ask(*command, "--local", "--no-hardlinks", "--", source, str(fresh)).ok:
        return
    remove_below(fresh.parent, fresh.name)
    answer = git.ask(*command, "--no-local", "--", source, str(fresh))
    if not answer.ok:
        raise GitFailed(f"cannot copy {source}", stderr=answer.err)


def _drop_refs(fresh: Path) -> None:
    git = Git(fresh, env={"GIT_DIR": str(fresh)})
    git.run("symbolic-ref", "HEAD", NO_BRANCH)
    refs = git.run("for-each-ref", "--format=%(refname)").splitlines()
    git.run("update-ref", "--no-deref", "--stdin", stdin="".join(f"delete {ref}\n" for ref in refs).encode())
    (fresh / "info").mkdir(exist_ok=True)
