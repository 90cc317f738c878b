"""What eyes that look again and again keep: each look reads only what has changed since the one before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ticketd.app.outlook import Outlook, outlook_on, seen_by_eyes
from ticketd.domain.scheduler.queue import Queue
from ticketd.domain.scheduler.schedule import Snapshot
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord, TicketState
from ticketd.ports import Board, Store

AGAIN_S = 60.0
"""What passes with time and is not told beforehand, like the rise of a ticket that has waited long, may be seen so
much later."""


@dataclass(frozen=True, slots=True)
class Look:
    """`by_state`: the tickets, of each state the oldest first. The outlook is good until the next look."""

    board: Board
    outlook: Outlook
    by_state: Mapping[TicketState, list[TicketRecord]]


@dataclass(frozen=True, slots=True)
class _Thought:
    """`of`: the newest event, the settings, whether a daemon ran."""

    of: tuple[int, Settings, bool]
    queue: Queue
    outlook: Outlook
    by_state: Mapping[TicketState, list[TicketRecord]]
    next_at: float


class Sight:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._board: Board | None = None
        self._last: _Thought | None = None

    def look(self, settings: Settings, running: bool, now: float) -> Look:
        """`running`: whether a daemon does."""
        board = self._store.board(self._board)
        last = self._last
        if last is None or last.of != (board.newest, settings, running) or now >= last.next_at:
            self._last = None  # should this break off, the queue may be half brought up
            last = self._last = _thought(last.queue if last else None, board, settings, running, now)
        self._board = board
        return Look(board, last.outlook, last.by_state)


def _thought(queue: Queue | None, board: Board, settings: Settings, running: bool, now: float) -> _Thought:
    snapshot = seen_by_eyes(board, settings, running)
    queue = brought_up(queue, snapshot, board.changed, now)
    outlook = outlook_on(queue, board, snapshot, running, now)
    next_at = queue.next_at()
    latest = now + AGAIN_S
    of = (board.newest, settings, running)
    return _Thought(of, queue, outlook, _by_state(board), min(next_at or latest, latest))


def _by_state(board: Board) -> dict[TicketState, list[TicketRecord]]:
    found: dict[TicketState, list[TicketRecord]] = {state: [] for state in TicketState}
    for record in board.tickets.values():
        found[record.state].append(record)
    return found


def brought_up(queue: Queue | None, snapshot: Snapshot, changed: Collection[str] | None, now: float) -> Queue:
    """`changed`: the tickets that may differ from the queue's last snapshot; None if all may."""
    if queue is None or changed is None:
        return Queue(snapshot, now)
    queue.update(snapshot, changed, now)
    return queue
