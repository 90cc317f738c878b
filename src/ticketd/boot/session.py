"""From a directory and an environment to the session that every command works on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ticketd.app.places import Places
from ticketd.app.session import Session
from ticketd.boot.secrets import KnownSecrets
from ticketd.clock import SystemClock
from ticketd.doorbell import DaemonLock, ring
from ticketd.engines import bubblewrap
from ticketd.errors import NotSetUp
from ticketd.files import CONFIG, TICKETS, CheckoutFiles
from ticketd.git.door import leave_outer_repository
from ticketd.git.repository import UserRepository, find, state_dir
from ticketd.store import open_store


@dataclass(frozen=True, slots=True)
class Opened:
    """A repository as a command finds it."""

    user: UserRepository
    session: Session
    lock: DaemonLock
    secrets: KnownSecrets


def open_session(directory: Path, environ: Mapping[str, str] = os.environ, *, must_be_set_up: bool = False) -> Opened:
    """The session of the repository around `directory`. Nothing is written where it has to be set up and is not.

    Raises:
        NotSetUp: not in a git repository, or in one without ticketd.
        TicketdError: the store cannot be opened.
    """
    leave_outer_repository(os.environ)
    user = find(directory)
    if must_be_set_up and not ((user.root / CONFIG).exists() or (user.root / TICKETS).is_dir()):
        raise NotSetUp(f"{user.root} is not set up for ticketd", mend="Run `ticketd init` there.")
    state = state_dir(user.common_dir, environ)
    places = Places(state)
    lock = DaemonLock(state)
    secrets = KnownSecrets(CheckoutFiles(user.root, places.last_good_settings), environ)
    session = Session(
        root=user.root,
        places=places,
        clock=SystemClock(),
        store=open_store(places.store, secrets.redact_text),
        files=CheckoutFiles(user.root, places.last_good_settings, secrets),
        ring=lambda: ring(state),
        is_running=lock.is_taken,
        no_sandbox=bubblewrap.why_not,
        secrets=secrets,
    )
    return Opened(user, session, lock, secrets)
