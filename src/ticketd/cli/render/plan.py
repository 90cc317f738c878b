"""`ticketd plan`."""

from __future__ import annotations

from rich.text import Text

from ticketd.cli.render.console import Room, console, is_terminal, room, show
from ticketd.cli.render.layout import Column, line, table, wrapped
from ticketd.cli.render.words import Document, plural, roughly

LEVEL_LINES = 4
OVERLAPS_SHOWN = 30
"""On a terminal; a pipe and `--json` get all."""

OVERLAP_COLUMNS = (
    Column("OVERLAP", "bold", least=16),
    Column("WITH", "bold", least=16),
    Column("ON", least=16),
)
STUCK_COLUMNS = (Column("", "bold", least=16), Column("", least=16))


def show_plan(document: Document) -> None:
    on = console()
    place = room(on)
    show(
        [*_summary(document, place), *_levels(document, place), *_stuck(document, place), *_overlaps(document, place)],
        on,
    )


def _summary(document: Document, place: Room) -> list[Text]:
    if not document["tickets"]:
        return [line("nothing to run")]
    low, likely, high = (roughly(document["makespan_s"][key]) for key in ("low", "likely", "high"))
    chain = " → ".join(document["critical_path"])
    return [
        line((plural(document["tickets"], "ticket"), "bold"), f", {plural(document['slots'], 'slot')}"),
        line("takes about ", (likely, "bold"), f" ({low} to {high})"),
        *wrapped(
            f"longest chain, {roughly(document['critical_path_s'])}: {chain}",
            place.width,
            "",
            LEVEL_LINES if is_terminal() else 1,
        ),
    ]


def _levels(document: Document, place: Room) -> list[Text]:
    lines: list[Text] = []
    for number, tickets in enumerate(document["levels"], start=1):
        head = f"level {number} ({len(tickets)}): "
        first, *rest = wrapped(", ".join(tickets), place.width, " " * len(head), LEVEL_LINES)
        lines += [line((head, "dim"), first.plain[len(head) :]), *rest]
    return [Text(), *lines] if lines else []


def _stuck(document: Document, place: Room) -> list[Text]:
    rows = [[each["ticket"], each["why"]] for each in document["stuck"]]
    return (
        [Text(), line(("cannot run as it stands", "yellow")), *table(STUCK_COLUMNS, rows, place.width, False)]
        if rows
        else []
    )


def _overlaps(document: Document, place: Room) -> list[Text]:
    overlaps = document["overlaps"]
    shown = overlaps[:OVERLAPS_SHOWN] if is_terminal() else overlaps
    lines = table(OVERLAP_COLUMNS, [[each["a"], each["b"], each["path"]] for each in shown], place.width)
    if len(shown) < len(overlaps):
        lines.append(line((f"… and {len(overlaps) - len(shown)} more (`ticketd plan --json` has all)", "dim")))
    return [Text(), *lines] if lines else []
