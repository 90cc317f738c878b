"""`ticketd explain`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from ticketd.cli.render.console import console, is_terminal, room, show
from ticketd.cli.render.layout import line, wrapped
from ticketd.cli.render.screen import STATE_STYLES
from ticketd.cli.render.words import (
    Document,
    attempt_words,
    clock,
    duration,
    landing_words,
    moment,
    one_wait,
    problem_where,
    repair_words,
    roughly,
    seconds_between,
    short,
)

DEEPEST = 12
"""Levels that are indented further than the one above."""

SHOWN = 40
"""Reasons, on a terminal; a pipe and `--json` get all."""

SENTENCE = 6
"""Lines."""

BY_ITSELF = "passes by itself"


def show_explanation(document: Document) -> None:
    on = console()
    show(list(explanation(document, room(on).width, is_terminal())), on)


def explanation(document: Document, width: int, cut: bool) -> Iterator[Text]:
    """Lines of at most `width` cells. `cut`: whether a long list of reasons loses its end."""
    yield from _head(document, width)
    for part in (list(_itself(document, width)), list(_why(document, width, cut)), list(_mends(document, width))):
        if part:
            yield Text()
            yield from part


def _head(document: Document, width: int) -> Iterator[Text]:
    state = document["state"]
    rank = f", rank {document['rank']} of {document['queued']}" if document["rank"] else ""
    reason = f": {document['reason']}" if document["reason"] else ""
    yield line((document["ticket"], "bold"), "  ", (f"{state}{reason}", STATE_STYLES[state]), rank)
    if document["title"] != document["ticket"]:
        yield from wrapped(document["title"], width, "", 2, "dim")


def _itself(document: Document, width: int) -> Iterator[Text]:
    """How it stands, whatever others do."""
    said = []
    if document["state"] == "landed":
        said.append(f"it has landed as {short(document['landed_sha'])}")
    if document["starts"]:
        said.append("nothing is in its way: it starts next")
    if document["attempt"]:
        said.append(attempt_words(document["attempt"], document["at"]))
    if document["landing"]:
        said.append(landing_words(document["landing"], document["at"]))
    if document["detail"] and document["state"] not in ("running", "landing"):
        said.append(document["detail"])
    if document["resumes"] and document["state"] == "queued":
        said.append(f"its next attempt goes on from what attempt {document['resumes']} has done")
    if document["repair"] and document["state"] == "queued":
        said.append(f"its next attempt is {repair_words(document['repair'])}")
    said += [f"{problem_where(each)}: {each['what']} ({each['mend']})" for each in document["problems"]]
    for text in said:
        yield from wrapped(text, width, "  ", SENTENCE)


def _why(document: Document, width: int, cut: bool) -> Iterator[Text]:
    reasons: Sequence[Document] = document["because"]
    shown = reasons[:SHOWN] if cut else reasons
    if reasons:
        yield line(("why it waits" if document["state"] == "queued" else "why", "dim"))
    for at, each in enumerate(shown):
        under = reasons[at + 1] if at + 1 < len(reasons) else None
        yield from _reason(each, under, document["at"], width)
    if len(shown) < len(reasons):
        more = f"  … and {len(reasons) - len(shown)} more (`ticketd explain {document['ticket']} | less` has all)"
        yield from wrapped(more, width, "", 2, "dim")


def _reason(each: Document, under: Document | None, now: str, width: int) -> Iterator[Text]:
    # Deep down the indentation no longer grows, so that there is room for words.
    indent = "  " * (min(each["depth"], DEEPEST, width // 8) + 1)
    who = f"{each['ticket']}: " if each["depth"] else ""
    words = one_wait({**each, "ticket": each["on"] or ""}, now)
    goes_on = under is not None and under["depth"] > each["depth"]
    above = ", as above" if each["on"] and "root" not in each and not goes_on else ""
    yield from wrapped(f"{who}{words}{above}", width, indent, SENTENCE)


def _mends(document: Document, width: int) -> Iterator[Text]:
    roots = [root for root in document["roots"] if root["ticket"] != document["ticket"] or _is_open(document, root)]
    if roots:
        yield line(("what has to happen", "dim"))
    for root in roots:
        told = {**root, "detail": ""} if root["ticket"] == document["ticket"] else root
        yield from wrapped(_what(told, document["at"]), width, "  ", SENTENCE)
        for text in (root["mend"], root["hint"]):
            if text:
                yield from wrapped(text, width, "    ", SENTENCE, "cyan")
    for attempt in document["room"]:
        yield from wrapped(f"{attempt['ticket']}: {attempt_words(attempt, document['at'])}", width, "    ", SENTENCE)


def _is_open(document: Document, root: Document) -> bool:
    """Whether there is more to say of the ticket itself than how it stands."""
    return document["state"] == "queued" or bool(root["mend"])


def _what(root: Document, now: str) -> str:
    what = f"{root['what']}: {root['detail']}" if root.get("detail") else root["what"]
    if not root["passes"]:
        return str(what)
    if root.get("until"):
        left = seconds_between(now, root["until"]) or 0.0
        when = moment(root["until"]) if left > 43200 else clock(root["until"])
        return f"{what}; {BY_ITSELF} at {when} (in {duration(left)})"
    if (attempt := root.get("attempt")) is not None:
        what = f"{root['ticket']}: {attempt_words(attempt, now)}"
        left_s = root.get("left_s")
        return f"{what}; landed in about {roughly(left_s)}" if left_s else f"{what}; it lets go once it has landed"
    if (landing := root.get("landing")) is not None:
        return f"{root['ticket']}: {landing_words(landing, now)}; {BY_ITSELF}"
    return f"{what}; {BY_ITSELF}"
