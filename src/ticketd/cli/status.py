"""`ticketd status`."""

from __future__ import annotations

import json

import click

from ticketd.app import queries
from ticketd.cli.repository import view


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--watch", is_flag=True, help="Stay, and keep it up to date.")
@click.pass_context
def status(ctx: click.Context, as_json: bool, watch: bool) -> None:
    """Slots, queue, landing, review and totals."""
    here = view(ctx)
    click.echo(json.dumps(queries.status(here.session, here.settings, here.problems)))
