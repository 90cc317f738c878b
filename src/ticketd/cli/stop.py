"""`ticketd stop`: end the daemon, after its agents or with them."""

from __future__ import annotations

import contextlib
import os

import click

from ticketd.boot.session import Opened, open_session
from ticketd.cli.render.words import safe
from ticketd.cli.repository import view
from ticketd.domain.pool import Stop
from ticketd.errors import NoDaemon

LOOK_S = 1.0


@click.command()
@click.option("--now", is_flag=True, help="End agents at once; their work is kept, their tickets are queued again.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the daemon is gone.")
@click.pass_context
def stop(ctx: click.Context, now: bool, no_wait: bool) -> None:
    """Let running agents finish and land, then end the daemon."""
    opened = open_session(ctx.obj["repo"])
    if not opened.session.is_running():
        view(ctx)  # without a set-up, that is what there is to say
        raise NoDaemon("no daemon runs for this repository", mend="`ticketd start` starts one.")
    # Taken before the ask: a daemon that comes up clears what was asked of the one before it.
    was_up = _is_up(opened)
    _ask(opened, Stop.NOW if now else Stop.DRAIN)
    try:
        click.echo(_waits_for(opened))
        if no_wait:
            return
        _wait(opened, Stop.NOW if now else Stop.DRAIN, was_up)
    except KeyboardInterrupt:
        click.echo("no longer waiting; the daemon still stops once that is done (`ticketd stop --now` ends it at once)")
        ctx.exit(130)
    click.echo("stopped")


def _ask(opened: Opened, how: Stop) -> None:
    """A drain does not call off an end that was asked for before."""
    session = opened.session
    if not (how is Stop.DRAIN and session.store.pool().stop is Stop.NOW):
        session.store.ask_stop(how, session.clock.now())
    session.ring()


def _is_up(opened: Opened) -> bool:
    """Whether the daemon that holds the lock has said so in the store; the record may be a dead one's."""
    record = opened.session.store.board().daemon
    if record is None:
        return False
    with contextlib.suppress(PermissionError):
        try:
            os.kill(record.pid, 0)
        except ProcessLookupError:
            return False
    return True


def _waits_for(opened: Opened) -> str:
    store = opened.session.store
    running = sorted(attempt.key.ticket for attempt in store.live_attempts())
    landing = sorted(each.key.ticket for each in store.landings())
    if store.pool().stop is Stop.NOW:
        return f"stopping now; ending {_count(running)}; their work is kept" if running else "stopping now"
    if not running and not landing:
        return "stopping; nothing runs"
    parts = [_count(running)] if running else []
    parts += [f"the landing of {', '.join(landing)}"] if landing else []
    return f"stopping; waiting for {' and '.join(parts)}"


def _held_up(opened: Opened) -> list[str]:
    """What keeps the daemon from ending that a person may have to see to."""
    attempts = opened.session.store.live_attempts()
    return [f"{attempt.key}: {safe(attempt.held_up)}" for attempt in attempts if attempt.held_up]


def _count(tickets: list[str]) -> str:
    return f"{len(tickets)} agent{'s' * (len(tickets) > 1)} ({', '.join(tickets)})"


def _wait(opened: Opened, how: Stop, was_up: bool) -> None:
    told: set[str] = set()
    while not opened.lock.wait_until_free(LOOK_S):
        for line in _held_up(opened):
            if line not in told:
                told.add(line)
                click.echo(line)
        if opened.session.store.pool().stop is not None:
            continue
        if was_up:
            return  # the one that was asked is gone, and another has been started since
        _ask(opened, how)
        was_up = _is_up(opened)
