"""`ticketd status`."""

from __future__ import annotations

import json
import sys
import threading

import click

from ticketd.app import queries
from ticketd.cli import display
from ticketd.cli.repository import view
from ticketd.errors import BadInput


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option(
    "--watch",
    is_flag=True,
    help="A screen to steer from (`?` shows its keys); to a pipe: again at each change.",
)
@click.pass_context
def status(ctx: click.Context, as_json: bool, watch: bool) -> None:
    """Slots, queue, landing, review and totals; why what waits waits, and how to mend what failed."""
    if as_json and watch:
        raise BadInput("--watch and --json do not go together", mend="Run `ticketd status --json` again and again.")
    here = view(ctx)
    if as_json:
        click.echo(json.dumps(queries.status(here.session, here.settings, here.problems)))
    elif watch and display.is_for_keys():
        from ticketd.cli.render.live import show_status
        from ticketd.cli.screen.app import steer

        code, last = steer(here)
        if last is not None:
            show_status(last)
        ctx.exit(code)
    elif watch:
        try:
            display.watch(display.Looker(here.session, here.settings, syncs=True), threading.Event())
        except KeyboardInterrupt:
            click.echo()
            ctx.exit(130)
    else:
        from ticketd.cli.render.live import show_status

        part = display.SHOWN if sys.stdout.isatty() else queries.WHOLE
        show_status(queries.status(here.session, here.settings, here.problems, part))
