"""The heart: observe, decide, act, wait. Nothing here waits for git, a network or an agent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from ticketd.app.act import act
from ticketd.app.observe import snapshot_of
from ticketd.app.session import Works
from ticketd.app.slots import Slots
from ticketd.daemon.chores import Chores
from ticketd.daemon.lanes import LaneThread
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.pool import Stop
from ticketd.domain.queue import decide
from ticketd.domain.schedule import PreemptAttempt, Schedule, Snapshot, Start
from ticketd.domain.settings import Settings
from ticketd.errors import StoreTrouble
from ticketd.ports import Alive, Board, Exited, LostRun, NeverStarted, Pulse

log = logging.getLogger("ticketd")

LONGEST_WAIT_S = 1.0
PULSE_EVERY_S = 2.0
DECIDE_EVERY_S = 5.0


class Ending(StrEnum):
    """Why the loop ended."""

    IDLE = "idle"
    STOPPED = "stopped"
    ABORTED = "aborted"


@dataclass(slots=True)
class Loop:
    """One tick after the other until there is a reason to end. `look_again`: have ticket files changed just now?
    `asked_to_stop`: by a signal; commands write to the store themselves."""

    works: Works
    slots: Slots
    chores: Chores
    landing: LaneThread
    until_idle: bool
    look_again: Callable[[], bool]
    asked_to_stop: Callable[[], Stop | None]
    _pulsed_at: float = 0.0
    _stop_noted: Stop | None = None
    _decided_on: tuple[int, Settings] | None = None
    _decide_at: float = 0.0
    _asked_to_end: set[AttemptKey] = field(default_factory=set)

    def run(self) -> Ending:
        while (ending := self._try_tick()) is None:
            self.works.bell.wait(LONGEST_WAIT_S)
        return ending

    def _try_tick(self) -> Ending | None:
        """A store that is locked or has no room ends nothing: the next tick finds all as it was."""
        try:
            return self.tick()
        except (StoreTrouble, OSError) as error:
            log.warning("a tick was put off: %s", error)
            return None

    def tick(self) -> Ending | None:
        """One pass. Level-triggered: what an earlier tick missed, this one sees.

        The queue is gone through only when something has happened that can change who may run.
        """
        store, now = self.works.session.store, self.works.session.clock.monotonic()
        self._note_stop()
        self._note_exits(store.live_attempts())
        self._hand_out(store.live_attempts())
        settings, moves = self.works.settings(), store.moves()
        if (moves, settings) == self._decided_on and now < self._decide_at:
            return None
        self._decided_on, self._decide_at = (moves, settings), now + DECIDE_EVERY_S
        return self._decide(settings)

    def _decide(self, settings: Settings) -> Ending | None:
        now = self.works.session.clock.now()
        board = self.works.session.store.board()
        self._end_those_asked(board)
        snapshot = snapshot_of(board, settings)
        schedule = decide(snapshot, now)
        if schedule.next_at is not None:
            due = self.works.session.clock.monotonic() + schedule.next_at - now
            self._decide_at = min(self._decide_at, due)
        return None if self._act(schedule, snapshot, board) else self._ending(board, schedule)

    def _note_exits(self, attempts: tuple[Attempt, ...]) -> None:
        pulses: dict[AttemptKey, Pulse] = {}
        for attempt in attempts:
            if attempt.state is not AttemptState.RUNNING:
                continue
            match self.works.engine.look(self.works.session.places.run_dir(attempt.key)):
                case Alive(pulse=pulse):
                    if pulse is not None:
                        pulses[attempt.key] = pulse
                case Exited() | LostRun() | NeverStarted() as over:
                    self.slots.over(attempt.key, over)
        self._pulse(pulses)

    def _note_stop(self) -> None:
        asked = self.asked_to_stop()
        if asked is not None and asked is not self._stop_noted:
            self._stop_noted = asked
            self.works.session.store.ask_stop(asked, self.works.session.clock.now())

    def _pulse(self, pulses: dict[AttemptKey, Pulse]) -> None:
        now = self.works.session.clock.monotonic()
        if pulses and now - self._pulsed_at >= PULSE_EVERY_S:
            self._pulsed_at = now
            self.works.session.store.pulse(pulses)

    def _hand_out(self, attempts: tuple[Attempt, ...]) -> None:
        """Give what takes its time to those who may wait."""
        for attempt in attempts:
            if attempt.state is AttemptState.PREPARING:
                self.chores.take(attempt.key, self.slots.launch)
            elif attempt.state is AttemptState.COLLECTING:
                self.chores.take(attempt.key, self.slots.collect)
        if self.works.session.store.landings():
            self.landing.wake()

    def _end_those_asked(self, board: Board) -> None:
        """Agents whose ticket was cancelled, or all of them when the daemon is to stop now. Each is asked once."""
        for attempt in board.attempts:
            cancelled = board.tickets[attempt.key.ticket].cancel_requested
            wanted = cancelled or board.pool.stop is Stop.NOW
            if wanted and attempt.state is AttemptState.RUNNING and attempt.key not in self._asked_to_end:
                self._asked_to_end.add(attempt.key)
                run_dir = self.works.session.places.run_dir(attempt.key)
                self.works.engine.end(run_dir, self.works.settings().limits.grace_s)

    def _act(self, schedule: Schedule, snapshot: Snapshot, board: Board) -> bool:
        """Whether anything was done."""
        acted = False
        for decision in schedule.decisions:
            if isinstance(decision, Start) and (board.target is None or board.target.sha is None):
                continue
            base = (board.target and board.target.sha) or ""
            if isinstance(decision, PreemptAttempt):
                continue
            record = snapshot.tickets[decision.ticket]
            launched = act(self.works, decision, record, base, snapshot.settings, board.newest)
            if launched is not None:
                self.chores.take(launched, self.slots.launch)
            acted = acted or launched is not None or not isinstance(decision, Start)
        return acted

    def _ending(self, board: Board, schedule: Schedule) -> Ending | None:
        if board.attempts:
            return None
        if board.pool.stop is Stop.NOW:
            return Ending.STOPPED
        if board.landings:
            return None
        if board.pool.stop is Stop.DRAIN:
            return Ending.ABORTED if board.pool.aborted else Ending.STOPPED
        if not self.until_idle or schedule.next_at is not None or schedule.decisions:
            return None
        if self.look_again():
            return None
        return Ending.IDLE
