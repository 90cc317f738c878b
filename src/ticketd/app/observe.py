"""From the store to the snapshot that decisions are made from."""

from __future__ import annotations

from ticketd.domain.scheduler.schedule import Snapshot
from ticketd.domain.settings import Settings
from ticketd.ports import Board


def snapshot_of(board: Board, settings: Settings) -> Snapshot:
    return Snapshot(
        tickets=board.tickets,
        claims=board.claims,
        attempts=board.attempts,
        slots=board.pool.slots or settings.slots,
        settings=settings,
        throttles=board.throttles,
        estimates=board.estimates,
        spent=board.spent,
        paused=board.pool.paused,
        stopping=board.pool.stop is not None,
        short=board.pool.short,
    )
