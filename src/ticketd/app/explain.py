"""Why a ticket has not started or landed, all the way down, and what would have to happen."""

from __future__ import annotations

from typing import Any

from ticketd.app.observe import snapshot_of
from ticketd.app.outlook import causes_of, outlook_of
from ticketd.app.queries import SCHEMA, iso
from ticketd.app.session import Session
from ticketd.domain.backfill import FOREVER, remaining
from ticketd.domain.causes import Because, Root
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord, TicketState

Document = dict[str, Any]


def explain(session: Session, settings: Settings, record: TicketRecord) -> Document:
    """`because`: what it waits on, as one reads a tree (`depth`), each before what lies under it; where there is a
    `root` it ends. `roots`: where the waiting ends, those that need a person first; `left_s`: seconds until it is
    expected to pass, where that can be told. `starts`: whether nothing is in its way."""
    board, now = session.store.board(), session.clock.now()
    outlook = outlook_of(board, settings, session.is_running(), now)
    causes = causes_of(board, outlook)
    left = remaining(snapshot_of(board, settings), now)
    queued = record.state is TicketState.QUEUED
    roots = causes.roots(record.id) or (() if queued else (causes.root_of(record),))
    return {
        "schema": SCHEMA,
        "at": iso(now),
        "ticket": record.id,
        "title": record.ticket.title,
        "state": record.state,
        "reason": record.reason,
        "detail": record.detail,
        "rank": outlook.order.index(record.id) + 1 if queued else None,
        "queued": len(outlook.order),
        "starts": queued and not outlook.waits[record.id],
        "because": [_because(each) for each in causes.of(record.id)],
        "roots": [_root(root, left.get(root.ticket)) for root in roots],
    }


def _because(because: Because) -> Document:
    on = because.on
    said = {"path": on.path, "detail": on.detail, "until": iso(on.until), "root": because.root and because.root.what}
    document = {"depth": because.depth, "ticket": because.ticket, "kind": on.kind, "on": on.ticket}
    return document | {key: value for key, value in said.items() if value}


def _root(root: Root, left_s: int | None) -> Document:
    document = {"ticket": root.ticket, "what": root.what, "mend": root.mend, "passes": root.passes}
    return document if left_s is None or left_s >= FOREVER or not root.passes else document | {"left_s": left_s}
