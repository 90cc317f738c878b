"""From the store to the snapshot that decisions are made from."""

from __future__ import annotations

from ticketd.domain.attempt import AttemptState
from ticketd.domain.schedule import Snapshot
from ticketd.domain.settings import Settings
from ticketd.ports import Board

IN_A_SLOT = (AttemptState.PREPARING, AttemptState.RUNNING)


def snapshot_of(board: Board, settings: Settings) -> Snapshot:
    return Snapshot(
        tickets=board.tickets,
        claims=board.claims,
        busy={attempt.slot: attempt.key for attempt in board.attempts if attempt.state in IN_A_SLOT},
        slots=board.pool.slots or settings.slots,
        settings=settings,
        paused=board.pool.paused,
        stopping=board.pool.stop is not None,
    )
