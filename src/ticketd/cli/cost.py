"""`ticketd cost`."""

from __future__ import annotations

import json

import click

from ticketd.app.spending import cost as cost_document
from ticketd.cli.repository import past_view, tell_errors
from ticketd.domain import values
from ticketd.domain.spending import By
from ticketd.domain.values import Fault


def _duration(ctx: click.Context, option: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else values.duration(text)
    except Fault as fault:
        raise click.BadParameter(f"{fault.what}; {fault.mend}", ctx, option) from None


@click.command("cost")
@click.option("--by", type=click.Choice([str(each) for each in By]), default=str(By.TICKET), show_default=True)
@click.option("--since", callback=_duration, help="Only attempts that ended within this time, like `24h` or `7d`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def cost(ctx: click.Context, by: str, since: float | None, as_json: bool) -> None:
    """What agents have used and cost: tokens and money."""
    here = past_view(ctx)
    document = cost_document(here.session, here.settings, By(by), since)
    if as_json:
        click.echo(json.dumps(document))
        return
    tell_errors(here.of_settings)
    from ticketd.cli.render.cost import show_cost

    show_cost(document)
