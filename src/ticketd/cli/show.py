"""`ticketd show`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import PurePath

import click

from ticketd.app import closeup
from ticketd.app.brief import Desk, next_attempt, write_brief
from ticketd.cli.checkout import control_of
from ticketd.cli.render.words import safe
from ticketd.cli.repository import View, view
from ticketd.domain.problems import Severity, nearest
from ticketd.domain.ticket import TicketRecord
from ticketd.errors import BadInput
from ticketd.git.checkup import last_seen
from ticketd.git.door import Git
from ticketd.git.pages import read_pages


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--brief", "as_brief", is_flag=True, help="What its next attempt would be told, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def show(ctx: click.Context, id_: str, as_brief: bool, as_json: bool) -> None:
    """Everything about one ticket: how it stands and why, its attempts, its text."""
    here = view(ctx)
    record = known(here, id_)
    if as_brief:
        brief = next_brief(here, record)
        click.echo(json.dumps({"schema": 1, "ticket": id_, "brief": brief}) if as_json else safe(brief, keep="\n\t"))
        return
    document = closeup.ticket(here.session, here.settings, record)
    if as_json:
        click.echo(json.dumps(document))
        return
    from ticketd.cli.render.tickets import show_ticket

    show_ticket(document)


NOWHERE = "0" * 40
UNKNOWN = ("(the paths that git names once the merge has begun)",)


def next_brief(here: View, record: TicketRecord) -> str:
    """As it would be written now. Before the first start there is only the user's repository to read pages of."""
    target, attempts = here.session.store.target(), here.session.store.attempts(record.id)
    control = control_of(here)
    commit, git = target.sha if target else None, control.git
    if commit is None or not control.own.is_dir():
        git = Git(here.session.root)
        commit = last_seen(git.cwd, here.settings.target.remote, here.settings.target.branch)
    pages = partial(read_pages, git) if commit else lambda *_: ()
    desk = Desk(here.session, here.settings, control, pages)
    return write_brief(desk, record, next_attempt(record, attempts, commit or NOWHERE), UNKNOWN)


def known(here: View, id_: str) -> TicketRecord:
    """Raises:
    BadInput: there is no such ticket; it names what is wrong with its file, or the one that was probably meant.
    """
    record = here.session.store.ticket(id_)
    if record is None:
        for problem in here.problems:
            if PurePath(problem.file).name == f"{id_}.md" and problem.severity is Severity.ERROR:
                raise BadInput(f"{id_} is no ticket yet: {safe(problem)}", mend="Mend its file; `ticketd lint` checks.")
        meant = nearest(id_, here.session.store.board().tickets)
        mend = f"Did you mean `{meant}`? " if meant else ""
        raise BadInput(f"there is no ticket `{id_}`", mend=f"{mend}`ticketd list` shows all.")
    return record
