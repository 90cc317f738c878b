"""`ticketd plan`."""

from __future__ import annotations

import json

import click

from ticketd.app.plan import plan as plan_of
from ticketd.cli.repository import view


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def plan(ctx: click.Context, as_json: bool) -> None:
    """Before a run: what can go side by side, what cannot and on which path, and how long it may take."""
    here = view(ctx)
    document = plan_of(here.session.store.board(), here.settings)
    if as_json:
        click.echo(json.dumps(document))
        return
    here.tell_errors()
    from ticketd.cli.render.plan import show_plan

    show_plan(document)
