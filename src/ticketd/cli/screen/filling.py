"""What stands in each pane: lines made of the documents that `--json` prints, each with its ticket. Pure, but for no
Textual: what is shown of a slot here is what `ticketd status` shows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

from ticketd.cli.display import SHOWN
from ticketd.cli.render.console import Room
from ticketd.cli.render.cost import cost_lines
from ticketd.cli.render.layout import Cell, Column, Line, Section, cut, line, table
from ticketd.cli.render.screen import (
    STATE_STYLES,
    header_section,
    landing_section,
    problems_section,
    queue_section,
    slots_section,
    stalled_section,
)
from ticketd.cli.render.words import Document, attempt_name

STALL_LINES = 5


class Pane(StrEnum):
    SLOTS = "slots"
    QUEUE = "queue"
    LANDING = "landing"
    REVIEW = "review"
    ENDED = "failed"
    COST = "cost"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Told:
    """One event in words, over as many lines as it takes."""

    ticket: str | None
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """`tickets`: of each line; None where it is of no one ticket. `count`: of what it is full of."""

    heading: Line | None = None
    lines: tuple[Line, ...] = ()
    tickets: tuple[str | None, ...] = ()
    count: int = 0

    def only(self, words: str) -> Filled:
        """The lines in which that stands."""
        wanted = words.casefold()
        pairs = zip(self.lines, self.tickets, strict=True)
        kept = [(each, of) for each, of in pairs if wanted in each.plain.casefold()]
        return Filled(self.heading, tuple(each for each, _ in kept), tuple(of for _, of in kept), self.count)


REVIEW_COLUMNS = (
    Column("TICKET", "bold", least=16),
    Column("GATE", "magenta"),
    Column("WHY", least=20),
    Column("TITLE", "dim", least=16, drop=1),
)
ENDED_COLUMNS = (
    Column("TICKET", "bold", least=16),
    Column("STATE"),
    Column("REASON", "yellow"),
    Column("DETAIL", "dim", least=20, drop=1),
)


EMPTY = {
    Pane.QUEUE: "nothing waits in the queue",
    Pane.LANDING: "nothing lands just now",
    Pane.REVIEW: "nothing waits for a person",
    Pane.ENDED: "nothing has failed or was skipped",
}


def fill(pane: Pane, document: Document, width: int) -> Filled:
    """A pane of the status; `COST` and `EVENTS` are made of other documents."""
    filled = _filled(pane, document, width)
    if filled.lines or pane not in EMPTY:
        return filled
    return Filled(None, (line((EMPTY[pane], "dim")),), (None,))


def parts_of(pane: Pane, document: Document) -> object:
    """All of the document that stands in the pane: as long as it is the same, so are its lines."""
    match pane:
        case Pane.QUEUE:
            queue, counts = document["queue"], document["counts"]["queued"]
            tells_time = any("until" in on for entry in queue for on in entry["waits_on"])
            return queue, counts, document["at"] if tells_time else None
        case Pane.REVIEW:
            return document["review"], document["counts"]["review"]
        case Pane.ENDED:
            return document["ended"], document["problems"], document["counts"]
        case _:
            return document


def _filled(pane: Pane, document: Document, width: int) -> Filled:
    match pane:
        case Pane.SLOTS:
            busy = [slot["ticket"] for slot in document["slots"] if slot["state"] == "busy"]
            return _of(slots_section(document, width), busy, width)
        case Pane.QUEUE:
            shown = [entry["ticket"] for entry in document["queue"]]
            return _of_many(_of(queue_section(document, width), shown, width), document["counts"]["queued"])
        case Pane.LANDING:
            tickets = [each["ticket"] for each in (*document["collecting"], *document["landing"])]
            return _of(landing_section(document, width), tickets, width)
        case Pane.REVIEW:
            return _of_many(_review(document, width), document["counts"]["review"])
        case Pane.ENDED:
            return _ended(document, width)
        case Pane.COST | Pane.EVENTS:
            return Filled()


def _of_many(some: Filled, count: int) -> Filled:
    """`count`: how many there are; of very many the first stand there, and those with the words that one looks for."""
    if count <= len(some.tickets) or len(some.tickets) < (SHOWN.most or count):
        return Filled(some.heading, some.lines, some.tickets, count)
    more = line((f"… of {count} the first {len(some.tickets)}; / finds others", "dim"))
    return Filled(some.heading, (*some.lines, more), (*some.tickets, None), count)


def _of(section: Section, tickets: Sequence[str], width: int) -> Filled:
    pairs = [(cut(each, width), of) for item, of in zip_longest(section.items, tickets) for each in item]
    return Filled(section.heading, tuple(each for each, _ in pairs), tuple(of for _, of in pairs), len(tickets))


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]], width: int, tickets: list[str]) -> Filled:
    lines = table(columns, rows, width)
    return Filled(lines[0] if lines else None, tuple(lines[1:]), tuple(tickets), len(tickets))


def _review(document: Document, width: int) -> Filled:
    rows = [
        [attempt_name(each["ticket"], each["attempt"]), each["gate"], each["detail"], each["title"]]
        for each in document["review"]
    ]
    return _table(REVIEW_COLUMNS, rows, width, [each["ticket"] for each in document["review"]])


def _ended(document: Document, width: int) -> Filled:
    """With what is wrong with ticket files, which keeps tickets from being there at all."""
    rows = [
        [each["ticket"], Cell(each["state"], STATE_STYLES[each["state"]]), each["reason"] or "", each["detail"]]
        for each in document["ended"]
    ]
    counts = document["counts"]
    ended = _table(ENDED_COLUMNS, rows, width, [each["ticket"] for each in document["ended"]])
    ended = _of_many(ended, counts["failed"] + counts["skipped"])
    wrong = [each for item in problems_section(document, width, 1).items for each in item]
    count = ended.count + len(document["problems"])
    return Filled(ended.heading, (*ended.lines, *wrong), (*ended.tickets, *[None] * len(wrong)), count)


def fill_cost(cost: Document, width: int) -> Filled:
    lines = cost_lines(cost, Room(width))
    tickets = [row["name"] for row in cost["rows"]]
    if not tickets:
        return Filled(None, tuple(lines), (None,) * len(lines))
    rest = [None] * (len(lines) - 1 - len(tickets))
    return Filled(lines[0], tuple(lines[1:]), (*tickets, *rest), cost["count"])


def fill_events(events: Sequence[Told]) -> Filled:
    """The newest first: it is what one looks for."""
    pairs = [(line(each), told.ticket) for told in reversed(events) for each in told.lines]
    return Filled(None, tuple(each for each, _ in pairs), tuple(of for _, of in pairs), len(events))


def head(document: Document, width: int) -> list[Line]:
    """Where, whether a daemon runs, totals and alarms; why nothing goes on where nothing does."""
    lines = [each for item in header_section(document, width).items for each in item]
    if document["stalled"]:
        lines += stalled_section(document, width, 1).lines(STALL_LINES)
    return [cut(each, width) for each in lines]
