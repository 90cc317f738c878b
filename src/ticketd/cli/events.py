"""`ticketd events`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import click

from ticketd.app.queries import SCHEMA, event_document
from ticketd.cli.render.told import DATE_AND_TIME, Teller
from ticketd.cli.repository import view
from ticketd.cli.show import known
from ticketd.domain.events import Event
from ticketd.ports import Store

LOOK_EVERY_S = 0.5


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Stay, and tell what happens, until ^C.")
@click.option("--ticket", "id_", metavar="ID", help="Only of this ticket.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with every event; with -f a line for each.")
@click.pass_context
def events(ctx: click.Context, follow: bool, id_: str | None, as_json: bool) -> None:
    """What has happened, oldest first: starts, landings, failures, collisions, stalls."""
    here = view(ctx)
    ticket = None if id_ is None else known(here, id_).id
    found = happened(here.session.store, ticket, follow)
    if as_json and not follow:
        click.echo(json.dumps({"schema": SCHEMA, "events": [event_document(event) for event in found]}))
        return
    teller = Teller(DATE_AND_TIME)
    try:
        for event in found:
            for line in [json.dumps(event_document(event))] if as_json else teller.lines(event):
                click.echo(line)
    except KeyboardInterrupt:
        ctx.exit(130)


def happened(store: Store, ticket: str | None, follow: bool) -> Iterator[Event]:
    """All events so far, of one ticket if one is given; with `follow` also those to come, without end."""
    after, pause = 0, threading.Event()
    while True:
        while new := store.events(after, ticket):
            after = new[-1].number
            yield from new
        if not follow:
            return
        pause.wait(LOOK_EVERY_S)
