"""`ticketd logs`."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from ticketd.app.queries import SCHEMA
from ticketd.cli.render.raw import TerminalText
from ticketd.cli.render.told import Teller
from ticketd.cli.repository import View, view
from ticketd.cli.show import known
from ticketd.domain.attempt import AttemptKey, AttemptState
from ticketd.domain.events import EventKind
from ticketd.errors import BadInput

LOOK_EVERY_S = 0.2
PIECE = 1 << 16


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Stay until the attempt is over.")
@click.option("--attempt", "number", type=click.IntRange(1), help="Which attempt (default: the last).")
@click.option("--verify", "what", flag_value="verify", help="What the checks before landing said, not the agent.")
@click.option("--setup", "what", flag_value="setup", help="What the setup of its worktree said.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def logs(ctx: click.Context, id_: str, follow: bool, number: int | None, what: str | None, as_json: bool) -> None:
    """What an attempt's agent printed, or the commands run for it."""
    if follow and as_json:
        raise BadInput("--follow and --json do not go together", mend="Leave out one of them.")
    here = view(ctx)
    log = _log(here, id_, number, what or "agent")
    if as_json:
        click.echo(json.dumps(log.document()))
    elif log.key is None:
        click.echo(f"{id_} has not run yet; `ticketd show {id_}` says what it waits on", err=True)
    else:
        _print(log, follow)


def _log(here: View, id_: str, number: int | None, what: str) -> Log:
    record = known(here, id_)
    if number is not None and number > record.attempts:
        raise BadInput(f"{id_} has no attempt {number}", mend=f"It has had {record.attempts}; `ticketd show {id_}`.")
    wanted = number or record.attempts
    return Log(here, id_, AttemptKey(id_, wanted) if wanted else None, what)


@dataclass(frozen=True, slots=True)
class Log:
    """One log of one attempt; `key` is None while there is no attempt."""

    here: View
    ticket: str
    key: AttemptKey | None
    what: str

    @property
    def path(self) -> Path | None:
        return self.here.session.places.log(self.key, self.what) if self.key else None

    def document(self) -> dict[str, object]:
        """`text` is None where there is no log yet."""
        path = self.path
        there = path is not None and path.is_file()
        return {
            "schema": SCHEMA,
            "ticket": self.ticket,
            "attempt": self.key and self.key.number,
            "what": self.what,
            "path": str(path) if path else None,
            "over": self.is_over(),
            "text": path.read_bytes().decode("utf-8", "replace") if path and there else None,
        }

    def is_over(self) -> bool:
        """Whether nothing more will be written to it."""
        attempt = self.here.session.store.attempt(self.key) if self.key else None
        if attempt is None:
            return False
        match self.what:
            case "setup":
                return attempt.state is not AttemptState.PREPARING
            case "verify":
                landing = any(each.key == self.key for each in self.here.session.store.board().landings)
                return attempt.state is AttemptState.ENDED and not landing
            case _:
                return attempt.state in (AttemptState.COLLECTING, AttemptState.ENDED)

    def pieces(self, follow: bool) -> Iterator[bytes]:
        """What has been written, and with `follow` what is still being written, until it is over."""
        at, pause = 0, threading.Event()
        assert self.path is not None
        while True:
            # Asked before reading: what was written before it was over is then surely read.
            last = not follow or self.is_over()
            for piece in _read_from(self.path, at):
                at += len(piece)
                yield piece
            if last:
                return
            pause.wait(LOOK_EVERY_S)


def _read_from(path: Path, at: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(at)
            while piece := file.read(PIECE):
                yield piece
    except FileNotFoundError:
        return


def _print(log: Log, follow: bool) -> None:
    """Bytes as they are to a pipe, made harmless to a terminal."""
    terminal = TerminalText(colours="NO_COLOR" not in os.environ) if sys.stdout.isatty() else None
    empty = True
    for piece in log.pieces(follow):
        empty = False
        click.echo(terminal.feed(piece) if terminal else piece, nl=False, color=True if terminal else None)
    if terminal:
        click.echo(terminal.feed(b"", final=True), nl=False, color=True)
    _tell_collisions(log)
    if empty:
        state = "said nothing" if log.is_over() else "has said nothing yet"
        click.echo(f"{log.key}: {_who(log.what)} {state} ({log.path})", err=True)


def _tell_collisions(log: Log) -> None:
    """Beside what the agent says, so not on the standard output."""
    for event in log.here.session.store.events(ticket=log.ticket):
        if event.kind is EventKind.CLAIM_COLLIDED:
            click.echo(Teller().line(event), err=True)


def _who(what: str) -> str:
    return {"verify": "verification", "setup": "worktree setup"}.get(what, "its agent")
