"""From a session to a daemon: every port gets the real thing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ticketd.agents import agent_of
from ticketd.app import sandbox
from ticketd.app.brief import template_of
from ticketd.app.doctor import check_state
from ticketd.app.places import close_to_others, make_private
from ticketd.app.session import Session, Works
from ticketd.boot.session import Opened
from ticketd.daemon.main import Current, Daemon
from ticketd.domain.sandbox import isolation_of
from ticketd.domain.settings import Isolation, Settings
from ticketd.doorbell import Doorbell
from ticketd.engines.local import LocalEngine
from ticketd.errors import BadInput, NotSetUp, TicketdError
from ticketd.forges import forge_of
from ticketd.git.checkup import file_system
from ticketd.git.control import Control
from ticketd.git.creation import open_control
from ticketd.git.localtarget import LocalTarget
from ticketd.git.repository import UserRepository, identity, remote_url, transport_config
from ticketd.git.target import RemoteTarget
from ticketd.git.worktrees import Layout, WorktreePool
from ticketd.ports import Forge, Refused, Target
from ticketd.store.checkup import require_sound

LOCAL_POLL_S = 1.0
HEARTBEAT_S = 2.0


def require_settings(session: Session) -> Settings:
    """Raises:
    BadInput: `ticketd.toml` cannot be used. What it last said is for a run under way, also where its daemon has died,
        but not to begin one with.
    """
    parsed = session.files.settings()
    if parsed.settings is None:
        last_good = session.files.last_good_settings()
        if last_good is not None and (session.store.live_attempts() or session.store.landings()):
            return last_good
        raise BadInput("\n".join(map(str, parsed.problems)), mend="Mend ticketd.toml, then start again.")
    return parsed.settings


@contextmanager
def open_daemon(
    opened: Opened,
    environ: Mapping[str, str] = os.environ,
    file_system: Callable[[Path], str] = file_system,
) -> Iterator[Daemon]:
    """The daemon of a repository, its lock taken for as long as the context lasts. `file_system` names the kind of
    that under a path.

    Raises:
        DaemonRuns: another one holds the repository.
        BadInput: `ticketd.toml` or the template of briefs cannot be used, or it asks for a sandbox that is not to be
            had here.
        TicketdError: the store would lie on a network.
        StoreLost: the store is damaged, or an older one is in its place.
        NotSetUp: there is nothing to land on.
    """
    settings = require_settings(opened.session)
    sandbox.check(settings, opened.session)
    template_of(opened.session, settings)
    _require_apart(opened)
    state = check_state(opened.session.places.state, True, True, file_system(opened.session.places.state))
    if state.ok is False:
        raise TicketdError(state.what, mend=state.mend)
    require_sound(opened.session.places.store)
    opened.lock.take()
    bell = Doorbell(opened.session.places.state)
    try:
        daemon = _daemon(opened, settings, bell, environ)
        make_private(opened.session.places.worktrees)
        close_to_others(opened.session.places.state)
        yield daemon
    finally:
        bell.close()
        opened.lock.release()


def _require_apart(opened: Opened) -> None:
    """`git clean -ffdx` in the checkout would take the agents' work."""
    state, root = opened.session.places.state.resolve(), opened.user.root.resolve()
    if state.is_relative_to(root):
        raise BadInput(
            f"the state directory {state} lies inside the checkout {root}",
            mend="Set XDG_STATE_HOME to a directory outside of it.",
        )


def _daemon(opened: Opened, settings: Settings, bell: Doorbell, environ: Mapping[str, str]) -> Daemon:
    opened.secrets.learn(opened.session.places, opened.session.store)
    control = open_control(opened.session.places.state, opened.user, settings.target.branch)
    target, poll_s = land_on(opened.user, control, settings)
    current = Current(settings)
    works = Works(
        session=opened.session,
        bell=bell,
        engine=LocalEngine(heartbeat_s=HEARTBEAT_S),
        history=control,
        worktrees=open_pool(control, opened.session, lambda: current.settings),
        target=target,
        forge=lambda: _forge(opened.user, current.settings, environ),
        identity=identity(opened.user.root),
        environ=dict(environ),
        agent_of=agent_of,
        settings=lambda: current.settings,
        doorbell=bell.path,
    )
    return Daemon(works, current, poll_s)


def open_pool(control: Control, session: Session, settings: Callable[[], Settings]) -> WorktreePool:
    """The pool of worktrees, each of which is as the settings in force want it when it is made ready."""

    def layout() -> Layout:
        sandboxed = sandbox.is_on(settings(), session)
        if isolation_of(settings(), sandboxed) is Isolation.WORKTREE:
            return Layout.LINKED
        return Layout.SANDBOXED_CLONE if sandboxed else Layout.CLONE

    return WorktreePool(control, layout)


def _forge(user: UserRepository, settings: Settings, environ: Mapping[str, str]) -> Forge | Refused:
    url = remote_url(user.root, settings.target.remote) if settings.target.remote else None
    if url is None:
        return Refused("pull requests need a remote")
    return forge_of(settings.landing.forge, url, user.root, environ)


def land_on(user: UserRepository, control: Control, settings: Settings, *, asks: bool = False) -> tuple[Target, float]:
    """What to land on, and how often to ask where it stands (seconds): asking a directory costs 2 to 6 ms. With `asks`
    git may ask for a password on the terminal: a person is there.

    Raises:
        NotSetUp: there is no such remote.
    """
    remote, branch = settings.target.remote, settings.target.branch
    if not remote:
        return LocalTarget(control, user, branch), min(settings.target.poll_s, LOCAL_POLL_S)
    url, push_url = remote_url(user.root, remote), remote_url(user.root, remote, push=True)
    if url is None or push_url is None:
        raise NotSetUp(
            f"this repository has no remote `{remote}`",
            mend=f'Add it (`git remote add {remote} URL`), or set `remote = ""` under [target] to land locally.',
        )
    poll_s = min(settings.target.poll_s, LOCAL_POLL_S) if Path(url).is_dir() else settings.target.poll_s
    return RemoteTarget(control, url, push_url, branch, transport_config(user.root), asks=asks), poll_s
