"""The hook of the gate for people: `python -m ticketd.boot.receive ROOT STATE`, in the person's own environment."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ticketd import failpoints
from ticketd.agents import agent_of
from ticketd.app.pushed import NotLanded, land_pushed
from ticketd.app.session import Works
from ticketd.boot.daemon import land_on, open_pool, require_settings
from ticketd.boot.session import Opened, open_session
from ticketd.domain.settings import Settings
from ticketd.doorbell import doorbell_path
from ticketd.engines.local import LocalEngine
from ticketd.errors import TicketdError
from ticketd.git.control import Control
from ticketd.git.door import leave_outer_repository
from ticketd.git.people import show_landed
from ticketd.git.push_command import PushCommand, running_push
from ticketd.git.receiving import Declined, Received, Taken, converse, say
from ticketd.git.repository import identity
from ticketd.ports import Refused

HEARTBEAT_S = 2.0


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides about one `git push` of a person. `works` is only made once it is asked for."""

    root: Path
    state: Path
    environ: Mapping[str, str]
    command: PushCommand | None

    def decide(self, received: Sequence[Received]) -> list[Taken | Declined]:
        if self.environ.get("TICKETD_TICKET"):
            why = "this gate is for people; an agent's work lands when it is done: leave the commits in the worktree"
            return [Declined(why) for _ in received]
        opened = open_session(self.root, {**self.environ, "XDG_STATE_HOME": str(self.state.parent.parent)})
        settings = require_settings(opened.session)
        return [self._refusal(one, settings) or self._land(one, opened, settings) for one in received]

    def _refusal(self, one: Received, settings: Settings) -> Declined | None:
        remote, branch = settings.target.remote, settings.target.branch
        if self.command is not None and self.command.forced:
            return Declined(
                f"{branch} is only fast-forwarded here; what is to be forced goes by name: git push {remote}"
            )
        if one.ref.startswith("refs/tags/"):
            return Declined(f"tags go to the remote: git push {remote} {one.ref.removeprefix('refs/tags/')}")
        if one.deletes or one.ref != f"refs/for/{branch}":
            return Declined(f"only {branch} lands here; for anything else: git push {remote}")
        return None

    def _land(self, one: Received, opened: Opened, settings: Settings) -> Taken | Declined:
        works = works_of(opened, self.state, settings, self.environ)
        with alone(self.state):
            outcome = land_pushed(works, one.new, say)
        if isinstance(outcome, NotLanded):
            return Declined(outcome.why)
        target = settings.target
        self._show(opened, outcome.new, f"refs/remotes/{target.remote}/{target.branch}")
        opened.session.ring()
        return Taken(f"refs/heads/{target.branch}", outcome.old, outcome.new)

    def _show(self, opened: Opened, landed: str, tracking: str) -> None:
        try:
            show_landed(opened.user, Control(self.state, identity(self.root)), landed, tracking)
        except TicketdError as error:
            say(str(error))


def works_of(opened: Opened, state: Path, settings: Settings, environ: Mapping[str, str]) -> Works:
    """The daemon's hands, for one landing beside it: target, control repository, and a tree to verify in.

    Raises:
        NotSetUp: there is no remote to land on.
    """
    control = Control(state, identity(opened.user.root))
    target, _ = land_on(opened.user, control, settings, asks=True)
    return Works(
        session=opened.session,
        bell=_NoBell(),
        engine=LocalEngine(heartbeat_s=HEARTBEAT_S),
        history=control,
        worktrees=open_pool(control, opened.session, lambda: settings),
        target=target,
        forge=lambda: Refused("a person's push needs no pull request"),
        identity=control.by,
        environ=dict(environ),
        agent_of=agent_of,
        settings=lambda: settings,
        doorbell=doorbell_path(state),
    )


class _NoBell:
    """Nobody waits for this process."""

    def ring(self) -> None:
        pass

    def wait(self, timeout_s: float | None) -> bool:
        return False


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """One push at a time: there is one tree to verify in."""
    with (state / "people.lock").open("ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another push is being landed; yours is next")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def main() -> None:
    root, state = Path(sys.argv[1]), Path(sys.argv[2])
    command = running_push()
    leave_outer_repository(os.environ)
    failpoints.arm(os.environ)
    try:
        converse(sys.stdin.buffer, sys.stdout.buffer, Gate(root, state, os.environ, command).decide)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
