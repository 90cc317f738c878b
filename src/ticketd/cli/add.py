"""`ticketd add`: write a ticket file."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ticketd.app.tickets import sync
from ticketd.cli.newticket import folder_of, write_free
from ticketd.cli.render.words import safe
from ticketd.cli.repository import view
from ticketd.domain import values
from ticketd.domain.ticket import GLOBAL_SCOPE, Size
from ticketd.domain.ticketrender import render_ticket
from ticketd.domain.values import MAX_BYTES, Fault
from ticketd.errors import BadInput


@click.command()
@click.argument("title")
@click.option("--touches", multiple=True, metavar="PATTERN", help="Files it will change (gitignore syntax); repeat it.")
@click.option("--depends-on", multiple=True, metavar="ID", help="A ticket that lands first; repeat it.")
@click.option("--priority", default="normal", help="critical, high, normal (default) or low; or P0 to P3.")
@click.option("--size", default="M", help="S, M (default) or L.")
@click.option("--scope", default=GLOBAL_SCOPE, help="The part of the product that it serves (default: _global).")
@click.option("--body", default="", metavar="TEXT", help="The agent's brief; `-` reads it from standard input.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def add(
    ctx: click.Context,
    title: str,
    touches: tuple[str, ...],
    depends_on: tuple[str, ...],
    priority: str,
    size: str,
    scope: str,
    body: str,
    as_json: bool,
) -> None:
    """Write a ticket file and queue it."""
    with _as_bad_input("TITLE"):
        title = values.title(title)
    with _as_bad_input("--priority"):
        urgency = values.priority(priority)
    with _as_bad_input("--size"):
        effort = values.choice(Size, size)
    with _as_bad_input("--scope"):
        scope = values.name(scope)
    text = render_ticket(
        title, touches=touches, depends_on=depends_on, priority=urgency, size=effort, body=_body(body)
    ).encode()
    here = view(ctx)
    path, warnings = write_free(here, folder_of(scope), values.slug(title), text)
    sync(here.session, here.settings)
    here.session.ring()
    for warning in warnings:
        click.echo(safe(warning), err=True)
    click.echo(json.dumps({"schema": 1, "id": Path(path).stem, "path": path}) if as_json else path)


@contextlib.contextmanager
def _as_bad_input(what: str) -> Iterator[None]:
    try:
        yield
    except Fault as fault:
        raise BadInput(f"{what}: {fault.what}", mend=fault.mend) from None


def _body(given: str) -> str:
    if given != "-":
        return given
    raw = sys.stdin.buffer.read(MAX_BYTES + 1)
    with _as_bad_input("--body -"):
        return values.decode(raw) if raw.strip() else ""
