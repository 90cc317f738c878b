"""What an opened ticket shows: its agent's log as it grows, its change, what waits for a word, all about it. Each is
made on a thread of its own, piece by piece."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from ticketd.app import closeup
from ticketd.cli.diff import shown, text_of
from ticketd.cli.logs import Log
from ticketd.cli.render.layout import Line, line
from ticketd.cli.render.tickets import ticket_lines
from ticketd.cli.repository import View
from ticketd.cli.review import MOST_SHOWN, to_approve
from ticketd.cli.show import known
from ticketd.cli.speech import Speech, Spoken
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.ticket import TicketRecord
from ticketd.ports.agents import SaidKind

MOST_LINES = 5000
STYLES = {SaidKind.ACTION: "cyan", SaidKind.RESULT: "dim", SaidKind.TROUBLE: "yellow"}
OF_DIFF = {"+": "green", "-": "red", "@": "cyan", "d": "bold"}


class Kind(StrEnum):
    LOG = "log"
    DIFF = "diff"
    ABOUT = "about"
    REVIEW = "review"


OF_AN_ATTEMPT = (Kind.LOG, Kind.DIFF)


@dataclass(frozen=True, slots=True)
class Piece:
    """`commit`: what a word of approval is about, once all of this has been shown."""

    lines: list[Line]
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """`back`: how many attempts before the newest; before the first comes the newest again."""

    here: View
    ticket: str
    width: int
    enough: threading.Event
    back: int = 0


def pieces(kind: Kind, asked: Asked) -> Iterator[Piece]:
    """Raises:
    TicketdError: there is nothing of that kind to show.
    """
    yield from MADE_BY[kind](asked)


def _log(asked: Asked) -> Iterator[Piece]:
    record = known(asked.here, asked.ticket)
    if not record.attempts:
        yield Piece([line((f"{asked.ticket} has not run yet", "dim"))])
        return
    asked.here.opened.secrets.learn(asked.here.session.places, asked.here.session.store)
    number = _number(asked, record)
    log = Log(asked.here, asked.ticket, AttemptKey(asked.ticket, number), "agent")
    speech = Speech(log.speaker())
    if number != record.attempts:
        yield Piece([line((f"(attempt {number} of {record.attempts})", "dim"))])
    for news in log.looks(True, asked.enough):
        if lines := [_said(each) for each in chain.from_iterable(map(speech.feed, news))]:
            yield Piece(lines[-MOST_LINES:])
    last = [_said(each) for each in speech.feed(b"", final=True)]
    yield Piece([*last, line((f"(the agent of attempt {number} has ended)", "dim"))])


def _number(asked: Asked, record: TicketRecord) -> int:
    return record.attempts - asked.back % max(record.attempts, 1)


def _said(each: Spoken) -> Line:
    style = STYLES.get(each.kind, "") if each.kind else ""
    return line((each.text, "red" if each.failed else style))


def _diff(asked: Asked) -> Iterator[Piece]:
    record = known(asked.here, asked.ticket)
    number = _number(asked, record)
    # The newest is not asked for by its number: of what has landed all is shown, whichever attempts it is of.
    with shown(asked.here, record, number if number != record.attempts else None) as found:
        text = text_of(found)
    yield Piece([line((f"{found.state}, attempt {found.attempt or '-'}", "dim")), *_coloured(text)])


def _coloured(text: str) -> list[Line]:
    left = len(text) - MOST_SHOWN
    lines = [line((each.expandtabs(4), OF_DIFF.get(each[:1], ""))) for each in text[:MOST_SHOWN].split("\n")]
    return [*lines, line((f"and {left} more characters", "dim"))] if left > 0 else lines


def _about(asked: Asked) -> Iterator[Piece]:
    document = closeup.ticket(asked.here.session, asked.here.settings, known(asked.here, asked.ticket))
    yield Piece(ticket_lines(document, asked.width))


def _review(asked: Asked) -> Iterator[Piece]:
    session = asked.here.session
    commit, text = to_approve(asked.here, asked.ticket)
    session.store.note_shown(asked.ticket, commit, session.clock.now())
    yield Piece(_coloured(text), commit)


MADE_BY: dict[Kind, Callable[[Asked], Iterator[Piece]]] = {
    Kind.LOG: _log,
    Kind.DIFF: _diff,
    Kind.ABOUT: _about,
    Kind.REVIEW: _review,
}
