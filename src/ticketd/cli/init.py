"""`ticketd init`: set a repository up. What is there already stays as it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from ticketd import failpoints
from ticketd.agents import PRESETS
from ticketd.agents.installed import find_installed, profiles_of
from ticketd.cli.newticket import create
from ticketd.domain.settings import AgentProfile
from ticketd.domain.template import template
from ticketd.errors import BadInput, TicketdError
from ticketd.files import CONFIG, TICKETS
from ticketd.git import hook
from ticketd.git.checkup import likely_branch, likely_remote
from ticketd.git.door import leave_outer_repository
from ticketd.git.repository import find

README = """\
# Tickets

Each file here is one unit of work for an agent: `tickets/<id>.md`, or `tickets/<scope>/<id>.md`.
This README is not a ticket. `ticketd add "TITLE"` writes one, `ticketd lint` checks them all.

    ---
    title: Retry failed uploads
    touches: ["/src/upload/", "!/src/upload/legacy.py"]   # what it will change, in gitignore syntax
    depends_on: [upload-client]                           # ids of tickets that land first
    priority: high                                        # critical, high, normal or low
    size: S                                               # S, M or L
    ---
    The text is the agent's brief: what to do, where to look, and when it is done.

Tickets whose `touches` overlap run one after the other, all others side by side. A pattern without a slash matches in
every folder, so it overlaps with most others: write `/CHANGELOG.md` for the one at the top.
"""

NEXT = """\
next: ticketd add "TITLE" --touches "/src/" --body "what to do"
      ticketd lint && ticketd doctor
      ticketd start --until-idle"""


@click.command()
@click.pass_context
def init(ctx: click.Context) -> None:
    """Write ticketd.toml and tickets/, install the pre-push hook. Run it twice: nothing is overwritten."""
    leave_outer_repository(os.environ)
    root = find(ctx.obj["repo"]).root
    for line in (*_config(root), *_tickets(root), _hook(root)):
        click.echo(line)
    click.echo(NEXT)


def _config(root: Path) -> Iterator[str]:
    path = root / CONFIG
    if os.path.lexists(path):
        yield f"{CONFIG} is there; left as it is"
        return
    remote = likely_remote(root)
    branch = likely_branch(root, remote)
    profiles = profiles_of(find_installed(shutil.which), os.environ)
    if not create(path, template(remote, branch, profiles).encode()):
        yield f"{CONFIG} is there; left as it is"
        return
    yield f"wrote {CONFIG}: work lands on {f'{branch} of {remote}' if remote else f'the local branch {branch}'}"
    yield from _agents(profiles)


def _agents(profiles: tuple[AgentProfile, ...]) -> Iterator[str]:
    if not profiles:
        yield f"no agent found on PATH: name one under [agents.default] in {CONFIG}; `ticketd start` needs it"
        return
    for profile in profiles:
        keys = [name for name in PRESETS[profile.preset].keys if name in profile.env]
        yield f"agent {profile.name}: {profile.preset}, with {' and '.join(keys) or 'the login that it has'}"
    yield "agents work without asking for permission; `ticketd doctor --agents` asks each for one word"


def _tickets(root: Path) -> Iterator[str]:
    folder = root / TICKETS
    if folder.is_dir():
        yield f"{TICKETS}/ is there; left as it is"
        return
    try:
        folder.mkdir()
        failpoints.hit("file/init.tickets")
    except OSError as error:
        raise BadInput(f"{folder} cannot be made: {error.strerror}", mend="It has to be a directory.") from None
    create(folder / "README.md", README.encode())
    yield f"wrote {TICKETS}/README.md"


def _hook(root: Path) -> str:
    """A set-up without the hook is a whole one: it only spares people a rejected push."""
    try:
        before = hook.status(root).state
        path = hook.install(root)
    except (TicketdError, OSError) as error:
        return f"no pre-push hook: {' '.join(str(error).split())}"
    match before:
        case hook.HookState.BY_HAND:
            return f"{path} calls ticketd already"
        case hook.HookState.INSTALLED:
            return f"the pre-push hook is there: {path}"
        case _:
            return f"installed the pre-push hook: {path}"
