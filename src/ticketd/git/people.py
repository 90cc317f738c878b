"""The gate for people: what `hook install --gate` writes into a person's repository, and takes out again.

A plain `git push` on the target's own branch goes to the gate; other branches, and whatever names a remote, go where
they went. The remote that stands for the gate has no fetch refspec: a second one for `origin/<branch>` would make `git
switch -c x origin/<branch>` fail ("not tracking: ambiguous information"), so the gate updates that ref by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ticketd.errors import BadInput, TicketdError
from ticketd.git.configuration import PEOPLE
from ticketd.git.control import Control
from ticketd.git.door import Git
from ticketd.git.gate import for_people, open_gate
from ticketd.git.rebase_checkout import last_line
from ticketd.git.repository import UserRepository
from ticketd.git.target import FETCH
from ticketd.git.tree import remove

REMOTE = "ticketd"


@dataclass(frozen=True, slots=True)
class Wiring:
    """What ties the pushes of `branch` in a person's repository to the gate at `gate`."""

    user: UserRepository
    gate: Path
    branch: str

    @property
    def _git(self) -> Git:
        return Git(self.user.root)

    @property
    def _push_remote(self) -> str:
        return f"branch.{self.branch}.pushRemote"

    def _get(self, key: str) -> str:
        return self._git.ask("config", "--local", "--get", key).line

    @property
    def installed(self) -> bool:
        return (self._get(f"remote.{REMOTE}.url"), self._get(self._push_remote)) == (str(self.gate), REMOTE)

    def check(self) -> None:
        """Raises:
        BadInput: something of the person's own stands where the gate would be written.
        """
        url, elsewhere = self._get(f"remote.{REMOTE}.url"), self._get(self._push_remote)
        if url not in ("", str(self.gate)):
            raise BadInput(f"there is a remote {REMOTE} at {url}", mend=f"rename it: git remote rename {REMOTE} NAME")
        if elsewhere not in ("", REMOTE):
            mend = f"unset it, then try again: git config --unset {self._push_remote}"
            raise BadInput(f"{self.branch} is pushed to {elsewhere} ({self._push_remote})", mend=mend)

    def install(self) -> None:
        """Raises:
        BadInput: see `check`.
        GitFailed: the configuration cannot be written.
        """
        self.check()
        refspec = f"refs/heads/{self.branch}:refs/for/{self.branch}"
        settings = (("url", str(self.gate)), ("push", refspec), ("skipFetchAll", "true"))
        for key, value in (
            *((f"remote.{REMOTE}.{key}", value) for key, value in settings),
            (self._push_remote, REMOTE),
        ):
            self._git.run("config", "--local", key, value)

    def uninstall(self) -> bool:
        """Take out what `install` wrote, on whatever branch; False if there was nothing."""
        if self._get(f"remote.{REMOTE}.url") != str(self.gate):
            return False
        found = self._git.ask("config", "--local", "-z", "--get-regexp", r"^branch\..*\.pushremote$", f"^{REMOTE}$")
        for key in (entry.partition("\n")[0] for entry in found.split0()):
            self._git.run("config", "--local", "--unset", key)
        self._git.run("config", "--local", "--remove-section", f"remote.{REMOTE}")
        remove(self.gate)
        return True


def wiring(user: UserRepository, state: Path, branch: str) -> Wiring:
    return Wiring(user, state / PEOPLE, branch)


def open_peoples_gate(control: Control, user: UserRepository, branch: str) -> Path:
    gate = control.state / PEOPLE
    with control.exclusive():
        open_gate(gate, for_people(user.root, control.state), branch, control.peek_ref(f"refs/target/{branch}"))
    return gate


def show_landed(user: UserRepository, control: Control, commit: str, tracking: str) -> None:
    """The person's remote-tracking ref at what has landed, as a push to the remote itself would have left it.

    Raises:
        TicketdError: git could not; the next fetch does it.
    """
    git = Git(user.root).with_config("fetch.prune=false", "fetch.pruneTags=false", "fetch.writeCommitGraph=false")
    answer = git.ask(*FETCH, "--", str(control.own), f"+{commit}:{tracking}")
    if not answer.ok:
        raise TicketdError(f"it has landed, but {tracking} could not be updated ({last_line(answer)}); run git fetch")
