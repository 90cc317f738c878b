"""`ticketd logs`."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import click

from ticketd.app.leaks import open_log
from ticketd.app.queries import SCHEMA
from ticketd.cli.render.raw import TerminalText
from ticketd.cli.render.told import Teller
from ticketd.cli.repository import View, view
from ticketd.cli.show import known
from ticketd.cli.speech import Speech, speaker, styled
from ticketd.domain.attempt import AttemptKey, AttemptState
from ticketd.domain.events import EventKind
from ticketd.domain.secrets import Secrets
from ticketd.errors import BadInput
from ticketd.ports import Agent

LOOK_EVERY_S = 0.2
PIECE = 1 << 16


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Stay until the attempt is over.")
@click.option("--attempt", "number", type=click.IntRange(1), help="Which attempt (default: the last).")
@click.option("--verify", "what", flag_value="verify", help="What the checks before landing said, not the agent.")
@click.option("--setup", "what", flag_value="setup", help="What the setup of its worktree said.")
@click.option("--raw", is_flag=True, help="What the agent printed, to the byte, not what it said and did.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document; its text is the raw one.")
@click.pass_context
def logs(
    ctx: click.Context, id_: str, follow: bool, number: int | None, what: str | None, raw: bool, as_json: bool
) -> None:
    """What an attempt's agent said and did, or the commands run for it."""
    if follow and as_json:
        raise BadInput("--follow and --json do not go together", mend="Leave out one of them.")
    here = view(ctx)
    log = _log(here, id_, number, what or "agent")
    if as_json:
        click.echo(json.dumps(log.document()))
    elif log.key is None:
        click.echo(f"{id_} has not run yet; `ticketd show {id_}` says what it waits on", err=True)
    elif not raw and (agent := log.speaker()):
        _print_speech(log, agent, follow)
    else:
        _print(log, follow)


def _log(here: View, id_: str, number: int | None, what: str) -> Log:
    record = known(here, id_)
    here.opened.secrets.learn(here.session.places, here.session.store)
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
            "text": b"".join(self.pieces(follow=False)).decode("utf-8", "replace") if there else None,
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
                landing = any(each.key == self.key for each in self.here.session.store.landings())
                return attempt.state is AttemptState.ENDED and not landing
            case _:
                return attempt.state in (AttemptState.COLLECTING, AttemptState.ENDED)

    def pieces(self, follow: bool) -> Iterator[bytes]:
        """What has been written, and with `follow` what is still being written, until it is over."""
        return chain.from_iterable(self.looks(follow, threading.Event()))

    def looks(self, follow: bool, enough: threading.Event) -> Iterator[Iterator[bytes]]:
        """At each look what is new, first all that is there; until it is over or `enough` is set. Without secrets: no
        longer than a piece of one could be the beginning of a secret is it kept back."""
        assert self.path is not None
        with closing(Reading(self.path, self.here.session.secrets())) as reading:
            while True:
                # Asked before reading: what was written before it was over is then surely read.
                last = not follow or self.is_over()
                yield reading.news(last)
                if last or enough.wait(LOOK_EVERY_S):
                    return

    def speaker(self) -> Agent | None:
        """Who can read it; None where nothing is to be read but the lines themselves."""
        attempt = self.here.session.store.attempt(self.key) if self.key and self.what == "agent" else None
        return speaker(attempt, self.here.settings) if attempt else None


class Reading:
    """A log as it grows. Once it is over it is written anew without secrets, and another run for the same attempt may
    add to that: so what has been shown, and not what has been read, is what a new file is begun after."""

    def __init__(self, path: Path, secrets: Secrets) -> None:
        self._path = path
        self._secrets = secrets
        self._redaction = secrets.stream()
        self._file: BinaryIO | None = None
        self._shown = 0

    def news(self, last: bool) -> Iterator[bytes]:
        yield from self._read(last and not self._is_replaced())
        if self._is_replaced():
            self._redaction = self._secrets.stream()
            self.close()
            yield from self._read(last)

    def _read(self, last: bool) -> Iterator[bytes]:
        if self._file is None and (file := open_log(self._path)) is not None:
            self._file = file
            file.seek(self._shown)
        while self._file is not None and (piece := self._file.read(PIECE)):
            yield from self._show(self._redaction.feed(piece))
        if last:
            yield from self._show(self._redaction.feed(b"", final=True))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _show(self, piece: bytes) -> Iterator[bytes]:
        self._shown += len(piece)
        if piece:
            yield piece

    def _is_replaced(self) -> bool:
        if self._file is None:
            return False
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        return now.st_ino != os.fstat(self._file.fileno()).st_ino


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


def _print_speech(log: Log, agent: Agent, follow: bool) -> None:
    speech, silent = Speech(agent), True
    for piece in chain(log.pieces(follow), (None,)):
        for line in speech.feed(piece or b"", final=piece is None):
            silent = False
            click.echo(styled(line))
    _tell_collisions(log)
    if silent:
        mend = f"`ticketd logs {log.ticket} --raw` shows all that it printed"
        click.echo(f"{log.key}: nothing in its log is a word or an action of the agent; {mend}", err=True)


def _tell_collisions(log: Log) -> None:
    """Beside what the agent says, so not on the standard output."""
    for event in log.here.session.store.events(ticket=log.ticket):
        if event.kind is EventKind.CLAIM_COLLIDED:
            click.echo(Teller().line(event), err=True)


def _who(what: str) -> str:
    return {"verify": "verification", "setup": "worktree setup"}.get(what, "its agent")
