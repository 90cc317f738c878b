"""Where the agents of a ticket keep their configuration and sessions, if not where the person's are.

An agent may have written whatever it likes there: nothing is opened through a link, and what stands in the way goes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import assert_never

from ticketd import failpoints
from ticketd.app.places import Places, make_private
from ticketd.domain.settings import AgentHome, AgentProfile
from ticketd.ports import Agent

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DRAFT = ".ticketd-draft"


def has_own(profile: AgentProfile, agent: Agent, environ: Mapping[str, str]) -> bool:
    """Whether the agent's configuration and sessions are kept apart from the person's. Without a key in its environment
    only the person's own home may hold a login."""
    match profile.home:
        case AgentHome.OWN:
            return True
        case AgentHome.SHARED:
            return False
        case AgentHome.AUTO:
            return any(environ.get(key) for key in agent.keys)
    assert_never(profile.home)


def make_home(places: Places, ticket: str, profile: str, files: Mapping[str, str]) -> None:
    """With `files` in it, by relative path.

    Raises:
        ValueError: one of them is not below it.
        OSError: it cannot be made.
    """
    make_private(places.agents)
    with _opened(places.agents, (ticket, profile)):
        pass
    home = places.agent_home(ticket, profile)
    for name, text in files.items():
        *above, last = Path(name).parts
        if Path(name).is_absolute() or ".." in (*above, last):
            raise ValueError(f"{name} is not below {home}")
        with _opened(home, above) as directory:
            _write(directory, last, text)


@contextmanager
def _opened(root: Path, parts: tuple[str, ...] | list[str]) -> Iterator[int]:
    """The directory `parts` below `root`, made where it is not there."""
    fd = os.open(root, _DIRECTORY)
    try:
        for part in parts:
            below = _step(fd, part)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _step(fd: int, name: str) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=fd)
    except FileNotFoundError:
        pass
    except OSError:  # a link or a file stands there
        os.unlink(name, dir_fd=fd)
    os.mkdir(name, 0o700, dir_fd=fd)
    return os.open(name, _DIRECTORY, dir_fd=fd)


def _write(directory: int, name: str, text: str) -> None:
    """A draft takes the place of whatever has the name; of a directory it cannot."""
    with suppress(FileNotFoundError):
        os.unlink(_DRAFT, dir_fd=directory)
    with os.fdopen(os.open(_DRAFT, _NEW, 0o600, dir_fd=directory), "w", encoding="utf-8", errors="replace") as draft:
        draft.write(text)
    os.replace(_DRAFT, name, src_dir_fd=directory, dst_dir_fd=directory)
    failpoints.hit("file/homes._write")


def homes_in(places: Places) -> Iterator[str]:
    """The tickets that have any."""
    with suppress(FileNotFoundError):
        yield from sorted(each.name for each in places.agents.iterdir())
