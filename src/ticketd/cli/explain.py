"""`ticketd explain`."""

from __future__ import annotations

import json

import click

from ticketd.app.explain import explain as explanation_of
from ticketd.cli.repository import view
from ticketd.cli.show import known


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def explain(ctx: click.Context, id_: str, as_json: bool) -> None:
    """Why a ticket has not started or landed, down to the root cause, and what would have to happen."""
    here = view(ctx)
    document = explanation_of(here.session, here.settings, known(here, id_))
    if as_json:
        click.echo(json.dumps(document))
        return
    from ticketd.cli.render.explain import show_explanation

    show_explanation(document)
