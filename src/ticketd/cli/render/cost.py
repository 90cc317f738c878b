"""`ticketd cost`."""

from __future__ import annotations

from rich.text import Text

from ticketd.cli.render.console import Room, console, room, show
from ticketd.cli.render.layout import Column, Row, line, table, wrapped
from ticketd.cli.render.words import TOKENS, Document, clock, count, moment, safe
from ticketd.domain.budget import dollars


def show_cost(document: Document) -> None:
    on = console()
    show(cost_lines(document, room(on)), on)


def cost_lines(document: Document, place: Room) -> list[Text]:
    return [each for part in (_sums, _unpriced, _today) for each in part(document, place)]


def _sums(document: Document, place: Room) -> list[Text]:
    since = f" since {moment(document['since'])}" if document["since"] else ""
    if not document["rows"]:
        return [line(f"no agent has run{since}")]
    columns = (
        Column(document["by"].upper(), "bold", least=12),
        Column("ATTEMPTS", right=True, drop=1),
        *(Column(name.upper().replace("_", " "), right=True, drop=4 - at) for at, name in enumerate(TOKENS)),
        Column("COST", right=True),
    )
    rows = [_row(each, safe(each["name"]) or "(not told)") for each in document["rows"]]
    head = [line(f"since {moment(document['since'])}")] if since else []
    return [*head, *table(columns, [*rows, _row(document["total"], "total")], place.width)]


def _row(each: Document, name: str) -> Row:
    return [name, str(each["attempts"]), *(count(each["tokens"][kind]) for kind in TOKENS), cost_words(each)]


def cost_words(each: Document) -> str:
    """With a `+` where more has been spent than anybody knows; nothing where nothing is known at all."""
    if not each["cost_usd"]:
        return "unknown" if each["unpriced"] else "-"
    return dollars(each["cost_usd"]) + ("+" if each["unpriced"] else "")


def _unpriced(document: Document, place: Room) -> list[Text]:
    """Said once, however many attempts used them."""
    models = [model for model in document["unpriced_models"] if model]
    lines = _nameless(place) if "" in document["unpriced_models"] else []
    return [*lines, *_priceless(models, place)] if models else lines


def _nameless(place: Room) -> list[Text]:
    told = "some agents do not tell which model they use, so no sum and no budget has what they cost"
    mend = 'in ticketd.toml: model = "…" in their profile'
    return [Text(), *wrapped(told, place.width, "  ", 4, "yellow"), *wrapped(mend, place.width, "  ", 3, "cyan")]


def _priceless(models: list[str], place: Room) -> list[Text]:
    those = "this model" if len(models) == 1 else "these models"
    told = f"nobody knew what {those} cost, so no sum and no budget has it: {', '.join(map(safe, models))}"
    mend = f'in ticketd.toml: [prices."{safe(models[0])}"] with input and output, USD for a million tokens'
    return [Text(), *wrapped(told, place.width, "  ", 4, "yellow"), *wrapped(mend, place.width, "  ", 3, "cyan")]


def _today(document: Document, place: Room) -> list[Text]:
    day = document["today"]
    of = f" of {dollars(day['budget_usd'])}" if day["budget_usd"] is not None else ""
    head = f"today {dollars(day['cost_usd'])}{of}"
    scopes = [each for each in day["scopes"] if each["budget_usd"] is not None]
    told = [f"{each['scope']} {dollars(each['cost_usd'])} of {dollars(each['budget_usd'])}" for each in scopes]
    limited = of or told
    ends = f"; the day ends at {clock(day['ends_at'])}" if limited else ""
    return [Text(), *wrapped("; ".join([head, *told]) + ends, place.width, "  ", 6)]
