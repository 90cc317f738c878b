"""What an agent is told: the ticket's text, and what it must know beside that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from ticketd.app.session import Works
from ticketd.domain.attempt import Attempt
from ticketd.domain.events import Event, EventKind
from ticketd.domain.repair import Repair, RepairKind
from ticketd.domain.ticket import Reason, TicketRecord

PAGE = 1000
LOG_LINES = 100
LOG_BYTES = 16 * 2**10
MOST_PATHS = 100
MOST_EARLIER = 5
MOST_WORDS = 600
COLOURS = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")

RESUMED = """\
## You have begun this before

An earlier run was broken off, through no fault of its own. What it had done is here: the commits since {base}; what it
had not committed, it may have been in the middle of. Go on from there."""

CONFLICT = """\
## Landing failed: {told}

What was done for this ticket is here. {merge}
Make of each file what both sides want: keep what {branch} has changed, and what was done for this ticket. Never take
one side whole, and leave none of the lines that git has put in (`<<<<<<<`, `=======`, `>>>>>>>`). Where git could not
write both sides into a file (a binary one, one that a side has deleted), say with `git add` or `git rm` what it is to
be. Mend it here. Commit the merge, or leave it uncommitted; do not abort it, and do not push."""

UNDER_WAY = "{commit} of {branch} is being merged into it; the merge has stopped, as `git status` shows."
WITHOUT = (
    "{commit} of {branch} has been merged into it: one by one the commits conflict with it, as a whole they do not."
)
MERGED = "{commit} of {branch} has been merged into it, and not all conflicts are resolved."

VERIFY = """\
## Landing failed: {told}

What was done for this ticket is here, on top of {commit} of {branch}: exactly what was verified. Mend it here so that
this passes. Commit, or leave it uncommitted; do not push."""

LOG = "The end of its output (all of it: {log}):\n\n{tail}"


def brief_of(
    works: Works, record: TicketRecord, attempt: Attempt, conflicts: Sequence[str], follow_up: bool = False
) -> str:
    """The ticket's body; what a person said when rejecting earlier work; and what work there is to go on from, or how
    earlier attempts have failed. `conflicts`: the paths in conflict in the tree."""
    events = list(_events(works, record.id))
    parts = [record.ticket.body or record.ticket.title, *_rejections(events)]
    if attempt.mends is not None and record.repair is not None:
        parts += _to_mend(record.repair, works.settings().target.name, attempt, conflicts)
    elif attempt.resumes is not None:
        parts.append(RESUMED.format(base=attempt.base[:12]))
    else:
        parts += _before(events)
    return "\n\n".join(parts) + "\n"


def _events(works: Works, ticket: str) -> Iterator[Event]:
    last = 0
    while page := works.session.store.events(after=last, ticket=ticket, limit=PAGE):
        yield from page
        last = page[-1].number


def _rejections(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        if event.kind is EventKind.FAILED and event.data.get("reason") == Reason.REJECTED:
            yield f"## A reviewer rejected this before\n\n{event.data.get('detail')}"


def _before(events: Iterable[Event]) -> Iterator[str]:
    """How earlier attempts have failed, the latest last: a line each, so that it cannot be taken for the brief."""
    failed = (event for event in events if event.kind in (EventKind.REQUEUED, EventKind.FAILED))
    told = [
        f"- attempt {event.attempt}: {event.data['reason']}: {_one_line(event.data.get('detail'))}"
        for event in failed
        if event.data.get("reason") not in (None, Reason.REJECTED)
    ]
    if told:
        lines = "\n".join(told[-MOST_EARLIER:])
        yield f"## What happened before\n\nThis is begun afresh, on the newest state of the target.\n\n{lines}"


def _one_line(text: object) -> str:
    words = " ".join(str(text).split())
    return words if len(words) <= MOST_WORDS else f"{words[:MOST_WORDS]}…"


def _to_mend(repair: Repair, branch: str, attempt: Attempt, conflicts: Sequence[str]) -> Iterator[str]:
    commit = repair.base[:12]
    said = {"told": _one_line(repair.told), "commit": commit, "branch": branch}
    if repair.kind is RepairKind.CONFLICT:
        merge = MERGED if not attempt.merges else UNDER_WAY if conflicts else WITHOUT
        yield CONFLICT.format(merge=merge.format(**said), **said)
        if shown := [*conflicts[:MOST_PATHS], *repair.messages]:
            yield fenced("\n".join(shown))
    else:
        yield VERIFY.format(**said)
        if tail := log_tail(Path(repair.log)):
            yield LOG.format(log=repair.log, tail=fenced(tail))
    if repair.fault:
        yield f"An earlier repair could not be taken: {_one_line(repair.fault)}."


def log_tail(log: Path) -> str:
    """The last lines of a log; empty if there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - LOG_BYTES, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    plain = "".join(c for c in COLOURS.sub("", text) if c.isprintable() or c in "\n\t")
    return "\n".join(plain.rstrip().split("\n")[-LOG_LINES:])


def fenced(text: str) -> str:
    """As a quotation that nothing in it can end."""
    longest = max(chain([2], (len(run) for run in re.findall("`+", text))))
    fence = "`" * (longest + 1)
    return f"{fence}\n{text}\n{fence}"
