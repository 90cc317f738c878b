"""How an agent is told to mend its own work: what it finds in its tree, and what kept that from landing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ticketd.domain.quoting import cut_front, fenced, one_line, size_of
from ticketd.domain.repair import Repair, RepairKind

MOST_PATHS = 100
LOG_BYTES = 16 * 2**10


@dataclass(frozen=True, slots=True)
class Mending:
    """`merges`: whether the target's commit was merged into its tree before it begins; `conflicts`: the paths that are
    in conflict there; `tail`: the end of the output of a verification that failed."""

    repair: Repair
    merges: bool = False
    conflicts: tuple[str, ...] = ()
    tail: str = ""


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


def render_mending(mending: Mending, branch: str, room: int) -> str:
    """What is quoted gives way where there is no room (in bytes)."""
    repair = mending.repair
    own = [_what(mending, branch)]
    if repair.fault:
        own.append(f"An earlier repair could not be taken: {one_line(repair.fault)}.")
    room -= sum(size_of(each) + 2 for each in own)
    return "\n\n".join([own[0], *_quoted(mending, room), *own[1:]])


def _what(mending: Mending, branch: str) -> str:
    repair = mending.repair
    said = {"told": one_line(repair.told), "commit": repair.base[:12], "branch": branch}
    if repair.kind is RepairKind.VERIFY:
        return VERIFY.format(**said)
    merge = MERGED if not mending.merges else UNDER_WAY if mending.conflicts else WITHOUT
    return CONFLICT.format(merge=merge.format(**said), **said)


def _quoted(mending: Mending, room: int) -> Iterator[str]:
    if mending.repair.kind is RepairKind.CONFLICT:
        shown = "\n".join([*map(one_line, mending.conflicts[:MOST_PATHS]), *map(one_line, mending.repair.messages)])
        told = fenced(shown, "conflicts") if shown else ""
    else:
        tail = cut_front(mending.tail, min(LOG_BYTES, room // 2))
        told = LOG.format(log=mending.repair.log, tail=fenced(tail, "log")) if mending.tail else ""
    if told and size_of(told) + 2 <= room:
        yield told
