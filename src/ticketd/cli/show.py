"""`ticketd show`."""

from __future__ import annotations

import json
from pathlib import PurePath

import click

from ticketd.app import queries
from ticketd.cli.render.words import safe
from ticketd.cli.repository import View, view
from ticketd.domain.problems import Severity, nearest
from ticketd.domain.ticket import TicketRecord
from ticketd.errors import BadInput


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def show(ctx: click.Context, id_: str, as_json: bool) -> None:
    """Everything about one ticket: how it stands and why, its attempts, its brief."""
    here = view(ctx)
    document = queries.ticket(here.session, here.settings, known(here, id_))
    if as_json:
        click.echo(json.dumps(document))
        return
    from ticketd.cli.render.tickets import show_ticket

    show_ticket(document)


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
