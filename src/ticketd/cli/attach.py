"""`ticketd attach`: follow one agent, as it speaks."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from itertools import chain

import click

from ticketd.cli.logs import Log
from ticketd.cli.render.words import attempt_name, safe
from ticketd.cli.repository import View, view
from ticketd.cli.show import known
from ticketd.cli.speech import Speech, Spoken, speaker, styled
from ticketd.domain.attempt import Attempt, AttemptState
from ticketd.domain.ticket import TicketState
from ticketd.errors import BadInput

FIRST_LINES = 20


@click.command()
@click.argument("id_", metavar="ID")
@click.pass_context
def attach(ctx: click.Context, id_: str) -> None:
    """Follow the agent that works on a ticket: the last it said, then what it says and does, until it ends. ^C leaves
    it running."""
    here = view(ctx)
    attempt = _running(here, id_)
    name = attempt_name(id_, attempt.key.number)
    click.echo(safe(f"{name}: {attempt.agent} in slot {attempt.slot}; ^C leaves it running"), err=True)
    try:
        for line in _lines(here, attempt):
            click.echo(styled(line))
    except KeyboardInterrupt:
        click.echo(f"{name} goes on; `ticketd attach {id_}` follows it again", err=True)
        ctx.exit(130)
    click.echo(safe(_ending(here, attempt)), err=True)


def _running(here: View, id_: str) -> Attempt:
    """Raises:
    BadInput: no agent works on it.
    """
    record = known(here, id_)
    attempts = here.session.store.attempts(id_)
    if attempts and attempts[-1].state in (AttemptState.PREPARING, AttemptState.RUNNING):
        here.opened.secrets.learn(here.session.places, here.session.store)
        return attempts[-1]
    waits = record.state is TicketState.QUEUED
    mend = f"`ticketd explain {id_}` says what it waits on." if waits else f"`ticketd logs {id_}` shows what was said."
    raise BadInput(f"{id_} is {record.state}: no agent works on it", mend=mend)


def _lines(here: View, attempt: Attempt) -> Iterator[Spoken]:
    log = Log(here, attempt.key.ticket, attempt.key, "agent")
    speech = Speech(speaker(attempt, here.settings))
    looks = log.looks(True, threading.Event())
    yield from deque(chain.from_iterable(map(speech.feed, next(looks))), FIRST_LINES)
    for piece in chain.from_iterable(looks):
        yield from speech.feed(piece)
    yield from speech.feed(b"", final=True)


def _ending(here: View, attempt: Attempt) -> str:
    over = here.session.store.attempt(attempt.key)
    how = over.detail or over.outcome if over else ""
    return f"its agent has ended{f': {how}' if how else ''}; `ticketd show {attempt.key.ticket}` says what follows"
