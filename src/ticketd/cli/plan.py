"""`ticketd plan`."""

from __future__ import annotations

import json

import click

from ticketd.app.plan import plan as plan_of
from ticketd.cli.repository import view
from ticketd.errors import BadInput


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--dot", "as_dot", is_flag=True, help="The graph for Graphviz: dependencies, overlaps dashed.")
@click.pass_context
def plan(ctx: click.Context, as_json: bool, as_dot: bool) -> None:
    """Before a run: what can go side by side, what cannot and on which path, and how long it may take."""
    if as_json and as_dot:
        raise BadInput("--json and --dot do not go together", mend="Ask for one of them.")
    here = view(ctx)
    document = plan_of(here.session.store.board(), here.settings, here.now())
    if as_json:
        click.echo(json.dumps(document))
        return
    here.tell_errors()
    if as_dot:
        from ticketd.cli.render.dot import dot

        click.echo(dot(document), nl=False)
        return
    from ticketd.cli.render.plan import show_plan

    show_plan(document)
