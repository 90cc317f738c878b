"""`ticketd list` and `ticketd show`."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.text import Text

from ticketd.cli.render.console import console, room, show
from ticketd.cli.render.layout import Cell, Column, Row, line, packed, table, wrapped
from ticketd.cli.render.screen import PRIORITY_STYLES, STATE_STYLES
from ticketd.cli.render.words import (
    TOKENS,
    Document,
    count,
    duration,
    moment,
    money,
    one_wait,
    plural,
    repair_words,
    roughly,
    safe,
    seconds_between,
    short,
)
from ticketd.domain.budget import dollars
from ticketd.domain.ticket import FINAL

LIST_COLUMNS = (
    Column("TICKET", "bold", least=16),
    Column("STATE"),
    Column("PRIORITY", drop=2),
    Column("SCOPE", "dim", least=8, drop=4),
    Column("TRIES", "dim", right=True, drop=3),
    Column("LANDED", "green", drop=1),
    Column("WHY", least=12),
    Column("TITLE", "dim", least=16, drop=5),
)
ATTEMPT_COLUMNS = (
    Column("ATTEMPT", right=True),
    Column("STATE"),
    Column("MENDS", drop=5),
    Column("AGENT", drop=3),
    Column("BASE", "dim", drop=2),
    Column("STARTED", drop=4),
    Column("TIME", right=True),
    Column("EXIT", right=True),
    Column("COST", right=True, drop=1),
    Column("REASON", "red"),
)
LABEL = 12
DETAIL_LINES = 20


def show_tickets(document: Document) -> None:
    on = console()
    show(table(LIST_COLUMNS, [_listed(ticket) for ticket in document["tickets"]], room(on).width), on)


def _listed(ticket: Document) -> Row:
    state, priority = ticket["state"], ticket["priority"]
    why = ticket["reason"] or ("held" if ticket["held"] else "")
    return [
        ticket["id"],
        Cell(state, STATE_STYLES[state]),
        Cell(priority, PRIORITY_STYLES.get(priority, "dim")),
        ticket["scope"],
        str(ticket["attempts"]),
        short(ticket["landed_sha"]) if ticket["landed_sha"] else "",
        why,
        ticket["title"],
    ]


def show_ticket(document: Document) -> None:
    on = console()
    show(ticket_lines(document, room(on).width), on)


def ticket_lines(document: Document, width: int) -> list[Text]:
    now = datetime.now(UTC).isoformat()
    lines = [*_head(document, width), *_facts(document, width), *_why(document, width, now)]
    return [*lines, *_attempts(document, width, now), *_work(document, width), *_body(document)]


def _head(ticket: Document, width: int) -> list[Text]:
    state = ticket["state"]
    reason = f": {ticket['reason']}" if ticket["reason"] else ""
    title = wrapped(ticket["title"], width, "", 3) if ticket["title"] != ticket["id"] else []
    return [line((ticket["id"], "bold"), "  ", (state + reason, STATE_STYLES[state])), *title]


def _facts(ticket: Document, width: int) -> list[Text]:
    facts = {
        "file": ticket["path"],
        "priority": f"{ticket['priority']}, size {ticket['size']}, scope {ticket['scope']}",
        "touches": ", ".join(ticket["touches"]),
        "depends on": ", ".join(ticket["depends_on"]),
        "gate": ticket["gate"] or "",
        "limits": _limits(ticket),
        "expected": "" if ticket["state"] in FINAL else _expected(ticket["estimate_s"]),
        "verify": " ".join(ticket["verify"]),
        "cost": _cost(ticket),
        "labels": ", ".join(ticket["labels"]),
        "landed as": ticket["landed_sha"] or "",
    }
    return [each for name, text in facts.items() if text for each in _fact(name, text, width)]


def _limits(ticket: Document) -> str:
    budget = f", {money(ticket['budget_usd'])}" if ticket["budget_usd"] is not None else ""
    return f"{duration(ticket['timeout_s'])} an attempt, {ticket['retries']} retries{budget}"


def _cost(ticket: Document) -> str:
    """`$1.26: 1.0k tokens in, 4.20M from the cache, 520 out`"""
    used = {kind: sum(each["tokens"][kind] for each in ticket["attempt_list"]) for kind in TOKENS}
    sent = used["input"] + used["cache_write"]
    tokens = f"{count(sent)} tokens in, {count(used['cache_read'])} from the cache, {count(used['output'])} out"
    if not ticket["cost_usd"]:
        return f"unknown: {tokens}" if any(used.values()) else ""
    return f"{dollars(ticket['cost_usd'])}: {tokens}"


def _expected(estimate: Document) -> str:
    """`9 min (6 to 15), learned from 23 attempts`"""
    low, likely, high = (roughly(estimate[key]) for key in ("low", "likely", "high"))
    # The unit once, where it is the same.
    if low.rpartition(" ")[2] == high.rpartition(" ")[2] and low.count(" ") == high.count(" ") == 1:
        low, high = low.split()[0], high.split()[0]
    told = f"learned from {plural(estimate['from'], 'attempt')}" if estimate["from"] else "going by its size alone"
    return f"{likely} ({low} to {high}), {told}"


def _fact(name: str, text: str, width: int) -> list[Text]:
    first, *rest = wrapped(text, width, " " * LABEL, DETAIL_LINES)
    return [line((f"{name:<{LABEL}}", "dim"), first.plain[LABEL:]), *rest]


def _why(ticket: Document, width: int, now: str) -> list[Text]:
    """What it waits on or what went wrong, and what to do."""
    lines = [each for on in ticket["waits_on"] for each in _fact("waits", one_wait(on, now), width)]
    if ticket["state"] == "review":
        lines += _fact("decide", f"ticketd review show {ticket['id']}; ticketd review approve {ticket['id']}", width)
    for each in ticket["collides_with"]:
        lines += _fact("collides", f"with {each['ticket']} on {each['path']}", width)
    if ticket["repair"]:
        lines += _fact("mends", repair_words(ticket["repair"]), width)
    if ticket["detail"]:
        lines += _fact("detail", ticket["detail"], width)
    if ticket["mend"]:
        first, *rest = packed(ticket["mend"], width, " " * LABEL, "cyan")
        lines += [line((f"{'mend':<{LABEL}}", "dim"), (first.plain[LABEL:], "cyan")), *rest]
    return lines


def _attempts(ticket: Document, width: int, now: str) -> list[Text]:
    attempts = ticket["attempt_list"]
    rows = [_attempt(attempt, now) for attempt in attempts]
    lines = [Text(), *table(ATTEMPT_COLUMNS, rows, width)] if rows else []
    for attempt in attempts:
        if said := attempt["detail"] or attempt["held_up"]:
            lines += wrapped(f"{attempt['attempt']}: {said}", width, "  ", DETAIL_LINES, "dim")
    return lines


def _attempt(attempt: Document, now: str) -> Row:
    took = seconds_between(attempt["started_at"], attempt["ended_at"] or now)
    return [
        str(attempt["attempt"]),
        attempt["state"],
        attempt["mends"] or "",
        attempt["agent"],
        short(attempt["base"]),
        moment(attempt["started_at"]),
        duration(took) if took is not None else "-",
        "" if attempt["exit_code"] is None else str(attempt["exit_code"]),
        "" if attempt["cost_usd"] is None else dollars(attempt["cost_usd"]),
        attempt["reason"] or "",
    ]


def _work(ticket: Document, width: int) -> list[Text]:
    """Where what the attempts left is, and how to get at it. Paths are not cut: they are there to be copied."""
    lines: list[Text] = []
    for attempt in ticket["attempt_list"]:
        number = attempt["attempt"]
        lines.append(line((f"{f'log {number}':<{LABEL}}", "dim"), attempt["log"]))
        if attempt["ref"]:
            kept = f"{attempt['ref']} @ {short(attempt['tip'])}"
            lines.append(line((f"{f'kept {number}':<{LABEL}}", "dim"), kept))
    if not lines:
        return []
    ways = [f"ticketd logs {ticket['id']}"]
    ways += [f"ticketd checkout {ticket['id']}"] if any(a["ref"] for a in ticket["attempt_list"]) else []
    return [Text(), *lines, *packed(ways, width, " " * LABEL, "cyan")]


def _body(ticket: Document) -> list[Text]:
    body = safe(ticket["body"].strip("\n"), keep="\n\t")
    return [Text(), *(Text(each) for each in body.split("\n"))] if body else []
