"""The gate for people, from a directory: where it is wired, and how it is made."""

from __future__ import annotations

import os
from pathlib import Path

from ticketd.errors import BadInput
from ticketd.git.creation import open_control
from ticketd.git.door import leave_outer_repository
from ticketd.git.hook_main import target_of
from ticketd.git.people import Wiring, open_peoples_gate, wiring
from ticketd.git.repository import find, remote_url, state_dir


def find_gate(root: Path) -> Wiring:
    """Raises:
    NotSetUp: `root` is in no git repository.
    """
    leave_outer_repository(os.environ)
    user = find(root)
    return wiring(user, state_dir(user.common_dir, os.environ), target_of(user.root)[1])


def install_gate(root: Path) -> Wiring:
    """Raises:
    BadInput: there is no remote to land on, or something of the person's own is in the way.
    """
    found = find_gate(root)
    remote, branch = target_of(found.user.root)
    if not remote or remote_url(found.user.root, remote) is None:
        raise BadInput(f"there is no remote {remote}".rstrip(), mend="the gate lands on one: set [target] remote")
    found.check()
    open_peoples_gate(open_control(found.gate.parent, found.user, branch), found.user, branch)
    found.install()
    return found
