"""What to do now, from the store as it is; beside it, what another policy would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ticketd.app.observe import snapshot_of
from ticketd.app.sight import brought_up
from ticketd.domain.scheduler.queue import Queue
from ticketd.domain.scheduler.schedule import Decision, Snapshot, Start
from ticketd.domain.settings import Backfill, Settings, Shadow
from ticketd.ports import Board, Store


@dataclass(frozen=True, slots=True)
class Decided:
    """`next_at`: when waiting alone will change something (epoch seconds); `today_at`: likewise, but for what waits for
    another day's budget. `shadow`: the starts of the shadow policy, where they are others; None where they are the same
    or no policy runs beside."""

    board: Board
    snapshot: Snapshot
    decisions: Sequence[Decision]
    next_at: float | None
    today_at: float | None
    shadow: Sequence[str] | None


class Scheduling:
    """Keeps the queue in memory; each look reads only what has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._board: Board | None = None
        self._queue: Queue | None = None
        self._shadow: Queue | None = None

    def look(self, settings: Settings, now: float) -> Decided:
        """`now` in epoch seconds."""
        board = self._store.board(self._board)
        snapshot = snapshot_of(board, settings)
        self._queue = brought_up(self._queue, snapshot, board.changed, now)
        decisions = self._queue.decide(now)
        others = self._others(snapshot, board, decisions, now)
        self._board = board  # only now: what has changed since is what both queues have yet to take in
        next_at, today_at = self._queue.next_at(), self._queue.next_at(today=True)
        return Decided(board, snapshot, decisions, next_at, today_at, others)

    def _others(
        self, snapshot: Snapshot, board: Board, decisions: Sequence[Decision], now: float
    ) -> Sequence[str] | None:
        shadow = snapshot.settings.scheduler.shadow
        if shadow is Shadow.OFF:
            self._shadow = None
            return None
        scheduler = replace(snapshot.settings.scheduler, backfill=Backfill(shadow))
        beside = replace(snapshot, settings=replace(snapshot.settings, scheduler=scheduler))
        self._shadow = brought_up(self._shadow, beside, board.changed, now)
        starts = started(self._shadow.decide(now))
        return None if set(starts) == set(started(decisions)) else starts


def started(decisions: Sequence[Decision]) -> list[str]:
    return [decision.ticket for decision in decisions if isinstance(decision, Start)]
