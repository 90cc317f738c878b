"""`ticketd show`."""

from __future__ import annotations

import json

import click

from ticketd.app import queries
from ticketd.cli.repository import View, view
from ticketd.domain.problems import nearest
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
    BadInput: there is no such ticket; it names the one that was probably meant.
    """
    record = here.session.store.ticket(id_)
    if record is None:
        meant = nearest(id_, here.session.store.board().tickets)
        mend = f"Did you mean `{meant}`? " if meant else ""
        raise BadInput(f"there is no ticket `{id_}`", mend=f"{mend}`ticketd list` shows all.")
    return record
