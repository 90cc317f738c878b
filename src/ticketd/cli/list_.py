"""`ticketd list`."""

from __future__ import annotations

import json

import click

from ticketd.app import queries
from ticketd.cli.repository import view
from ticketd.domain.ticket import TicketState


@click.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in TicketState]),
    help="Only tickets in this state; may be given more than once.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def list_(ctx: click.Context, states: tuple[str, ...], as_json: bool) -> None:
    """All tickets, in the order they were first seen."""
    here = view(ctx)
    document = queries.tickets(here.session)
    if states:
        document["tickets"] = [ticket for ticket in document["tickets"] if ticket["state"] in states]
    if as_json:
        click.echo(json.dumps(document))
        return
    here.tell_errors()
    from ticketd.cli.render.tickets import show_tickets

    show_tickets(document)
