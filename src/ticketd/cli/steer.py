"""Commands that steer the pool. They write to the store and ring; a daemon that runs sees to the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable

import click

from ticketd.app import steering
from ticketd.cli.repository import view
from ticketd.domain.scheduler.schedule import IN_A_SLOT
from ticketd.domain.settingsfile import MAX_SLOTS
from ticketd.errors import BadInput


def _tell(lines: Iterable[str]) -> None:
    """Each as soon as it is so."""
    for line in lines:
        click.echo(line)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def retry(ctx: click.Context, ids: tuple[str, ...]) -> None:
    """Run failed, skipped or cancelled tickets again; where only the push was refused, push again."""
    here = view(ctx)
    _tell(steering.retry(here.session, here.settings, ids))


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def cancel(ctx: click.Context, ids: tuple[str, ...]) -> None:
    """Take tickets out of the run; a running agent is ended, its work is kept."""
    _tell(steering.cancel(view(ctx).session, ids))


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def hold(ctx: click.Context, ids: tuple[str, ...]) -> None:
    """Keep tickets from starting until `unhold`."""
    _tell(steering.hold(view(ctx).session, ids))


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def unhold(ctx: click.Context, ids: tuple[str, ...]) -> None:
    """Let held tickets start again."""
    here = view(ctx)
    _tell(steering.unhold(here.session, here.settings, ids))


@click.command()
@click.argument("id_", metavar="ID")
@click.argument("to", metavar="PRIORITY")
@click.pass_context
def bump(ctx: click.Context, id_: str, to: str) -> None:
    """Give a ticket another priority: critical, high, normal, low, or P0 to P3. Its file stays as it is."""
    here = view(ctx)
    click.echo(steering.bump(here.session, here.settings, id_, to))


@click.command()
@click.pass_context
def pause(ctx: click.Context) -> None:
    """Start no further agents; those that run go on, and land."""
    _tell(steering.pause(view(ctx).session))


@click.command()
@click.pass_context
def resume(ctx: click.Context) -> None:
    """Start agents again after `pause`, after a failure that asked for a person, or before a rate limit is over; and
    land again after an alarm."""
    click.echo(steering.resume(view(ctx).session))


@click.command()
@click.argument("count", metavar="[N]", required=False, type=click.IntRange(1, MAX_SLOTS))
@click.option("--default", "as_configured", is_flag=True, help="As many as ticketd.toml says.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def slots(ctx: click.Context, count: int | None, as_configured: bool, as_json: bool) -> None:
    """Show how many agents may run at once, or set it."""
    if count is not None and as_configured:
        raise BadInput("N and --default were both given", mend="Leave one of them out.")
    here = view(ctx)
    if count is not None or as_configured:
        steering.set_slots(here.session, count)
    board = here.session.store.board()
    busy = sum(attempt.state in IN_A_SLOT for attempt in board.attempts)
    now = board.pool.slots or here.settings.slots
    if as_json:
        document = {"schema": 1, "slots": now, "set": board.pool.slots, "configured": here.settings.slots, "busy": busy}
        click.echo(json.dumps(document))
        return
    surplus = f"; the {busy} agents that run finish first" if busy > now else ""
    source = "ticketd.toml or its default" if board.pool.slots is None else "set by `ticketd slots` or `start --slots`"
    click.echo(f"{now} slots, {busy} busy ({source}){surplus}")
