"""`ticketd plan`."""

from __future__ import annotations

from rich.text import Text

from ticketd.cli.render.console import Room, console, is_terminal, room, show
from ticketd.cli.render.gantt import gantt
from ticketd.cli.render.layout import Column, line, table, wrapped
from ticketd.cli.render.words import Document, plural, roughly

LEVEL_LINES = 4
OVERLAPS_SHOWN = 30
SLOTS_SHOWN = 32
"""On a terminal; a pipe and `--json` get all."""

PIPE_COLUMNS = 100
"""Of the chart where there is no terminal."""

OVERLAP_COLUMNS = (
    Column("OVERLAP", "bold", least=16),
    Column("WITH", "bold", least=16),
    Column("ON", least=16),
)
STUCK_COLUMNS = (Column("", "bold", least=16), Column("", least=16))


def show_plan(document: Document) -> None:
    on = console()
    place = room(on)
    parts = (_summary, _chart, _levels, _stuck, _over_budget, _overlaps)
    show([each for part in parts for each in part(document, place)], on)


def _summary(document: Document, place: Room) -> list[Text]:
    if not document["tickets"]:
        return [line("nothing to run")]
    low, likely, high = (roughly(document["makespan_s"][key]) for key in ("low", "likely", "high"))
    ceiling = document["ceiling"]
    slots = "slot" if ceiling["mean"] == 1 else "slots"
    use = f"could use {ceiling['mean']:g} {slots} in the mean, {ceiling['at_once']} at one moment"
    lines = [
        line((plural(document["tickets"], "ticket"), "bold"), f", {plural(document['slots'], 'slot')}"),
        line("takes about ", (likely, "bold"), f" ({low} to {high})"),
        *wrapped(f"{use}; one more would gain {_gain(document['one_more_slot_s'])}", place.width, "", 2),
        *_chain("longest chain", document["critical_path_s"], document["critical_path"], place),
    ]
    if ceiling["chain_s"] > document["critical_path_s"]:
        lines += _chain("with overlaps", ceiling["chain_s"], ceiling["chain"], place)
    return lines


def _gain(seconds: float) -> str:
    return roughly(seconds) if seconds >= 1 else "nothing"


def _chain(name: str, seconds: float, tickets: list[str], place: Room) -> list[Text]:
    most = LEVEL_LINES if is_terminal() else 1
    return wrapped(f"{name}, {roughly(seconds)}: {' → '.join(tickets)}", place.width, "", most)


def _chart(document: Document, place: Room) -> list[Text]:
    terminal = is_terminal()
    width = place.width if terminal else PIPE_COLUMNS
    most = SLOTS_SHOWN if terminal else document["slots"]
    lines = gantt(document["gantt"], frozenset(document["ceiling"]["chain"]), width, most)
    return [Text(), *lines] if lines else []


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


def _over_budget(document: Document, place: Room) -> list[Text]:
    together: dict[str, list[str]] = {}
    for each in document["over_budget"]:
        together.setdefault(each["why"], []).append(each["ticket"])
    told = (f"{why}: {', '.join(tickets)}" for why, tickets in together.items())
    lines = [each for text in told for each in wrapped(text, place.width, "  ", LEVEL_LINES)]
    head = line(("held by a budget of the day, of which these times know nothing", "yellow"))
    return [Text(), head, *lines] if lines else []


def _overlaps(document: Document, place: Room) -> list[Text]:
    overlaps = document["overlaps"]
    shown = overlaps[:OVERLAPS_SHOWN] if is_terminal() else overlaps
    lines = table(OVERLAP_COLUMNS, [[each["a"], each["b"], each["path"]] for each in shown], place.width)
    if len(shown) < len(overlaps):
        lines.append(line((f"… and {len(overlaps) - len(shown)} more (`ticketd plan --json` has all)", "dim")))
    return [Text(), *lines] if lines else []
