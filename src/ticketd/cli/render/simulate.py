"""`ticketd simulate`: a table of policies."""

from __future__ import annotations

from rich.text import Text

from ticketd.cli.render.console import console, room, show
from ticketd.cli.render.layout import Cell, Column, Row, line, table, wrapped
from ticketd.cli.render.words import Document, duration, plural, roughly

COLUMNS = (
    Column("POLICY", "bold"),
    Column("MAKESPAN", right=True),
    Column("RANGE", "dim", right=True, drop=3),
    Column("BOUND", right=True, drop=2),
    Column("RATIO", right=True),
    Column("SLOTS USED", right=True, drop=1),
    Column("BLOCKED", right=True, drop=4),
)
NEAR, FAR = 1.05, 1.25
"""Of the bound: good, and worth a look."""

SOURCES = {"queue": "current", "trace": "traced", "history": "recorded"}


def show_simulation(document: Document) -> None:
    on = console()
    show(lines(document, room(on).width), on)


def lines(document: Document, width: int) -> list[Text]:
    if not document["tickets"]:
        return [line("nothing to simulate")]
    runs = f", {document['runs']} runs with seed {document['seed']}" if document["runs"] > 1 else ""
    tickets = plural(document["tickets"], f"{SOURCES[document['source']]} ticket")
    head = f"{tickets}, {plural(document['slots'], 'slot')}"
    policies = document["policies"]
    return [
        line((head, "bold"), runs),
        Text(),
        *table(COLUMNS, [_row(policy) for policy in policies], width),
        Text(),
        *_waits(policies, width),
        *_left(policies, width),
    ]


def _row(policy: Document) -> Row:
    makespan, ratio = policy["makespan_s"], policy["ratio"]
    style = "green" if ratio <= NEAR else "red" if ratio > FAR else ""
    spread = f"{roughly(makespan['low'])} - {roughly(makespan['high'])}"
    return [
        policy["policy"],
        roughly(makespan["likely"]),
        spread if makespan["low"] != makespan["high"] else "",
        roughly(policy["lower_bound_s"]) + (" chain" if policy["bound_is_chain"] else ""),
        Cell(f"{ratio:.2f}", style),
        f"{policy['utilisation']:.0%}",
        roughly(policy["overlap_blocked_s"]),
    ]


def _waits(policies: list[Document], width: int) -> list[Text]:
    """How long tickets wait once they are ready: the mean, and what nine in ten do not exceed."""
    priorities = list(dict.fromkeys(priority for policy in policies for priority in policy["waiting_s"]))
    columns = [
        Column("WAITS (MEAN, P90)", "bold"),
        *(Column(priority.upper(), right=True, drop=drop) for drop, priority in enumerate(priorities)),
    ]
    rows = [[policy["policy"], *(_wait(policy["waiting_s"], each) for each in priorities)] for policy in policies]
    return table(columns, rows, width) if priorities else []


def _wait(waits: Document, priority: str) -> str:
    wait = waits.get(priority)
    return f"{duration(wait['mean'])}, {duration(wait['p90'])}" if wait else "-"


def _left(policies: list[Document], width: int) -> list[Text]:
    """Tickets that did not land."""
    made: list[Text] = []
    for policy in policies:
        if left := policy["left"]:
            made += wrapped(f"{policy['policy']}: {len(left)} did not land: {', '.join(left)}", width, "", 2, "yellow")
    return [Text(), *made] if made else []
