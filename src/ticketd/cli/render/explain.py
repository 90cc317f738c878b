"""`ticketd explain` in lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from ticketd.cli.render.words import Document, one_wait, roughly, safe

STANDS = {
    "queued": "is queued",
    "running": "is running",
    "review": "is in review",
    "landing": "is landing",
    "landed": "has landed",
    "failed": "has failed",
    "skipped": "was skipped",
    "cancelled": "was cancelled",
}


def explanation(document: Document) -> Iterator[str]:
    id_, because, roots = safe(document["ticket"]), document["because"], document["roots"]
    rank = f", rank {document['rank']} of {document['queued']}" if document["rank"] else ""
    reason = f" ({document['reason']})" if document["reason"] else ""
    yield f"{id_} {STANDS[document['state']]}{reason}{rank}: {safe(document['title'])}"
    if document["detail"] and not because:
        yield f"  {safe(document['detail'])}"
    if document["starts"]:
        yield "  nothing is in its way: it starts next"
    for each in because:
        yield from _reason(each, document["at"])
    mends = [root for root in roots if not root["passes"]]
    passing = [root for root in roots if root["passes"] and document["state"] not in ("landed", "running")]
    if mends or passing:
        yield ""
        yield "What has to happen:"
    for root in mends:
        yield f"  {safe(root['what'])}"
        yield f"    {safe(root['mend'])}"
    for root in passing:
        left = f", about {roughly(root['left_s'])} left" if root.get("left_s") else ""
        yield f"  {safe(root['what'])}{left}; it passes by itself"


def _reason(each: Document, now: str) -> Iterator[str]:
    indent = "  " * (each["depth"] + 1)
    on = {"kind": each["kind"], "ticket": each["on"] or "", **each}
    words = one_wait({**on, "ticket": each["on"] or ""}, now)
    yield f"{indent}{safe(each['ticket'])}: {words}"
    if "root" in each and each["on"]:
        yield f"{indent}  {safe(each['root'])}"
