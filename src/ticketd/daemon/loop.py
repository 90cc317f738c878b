"""The heart: observe, decide, act, wait. Nothing here waits for git, a network or an agent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ticketd.app.act import act
from ticketd.app.outlook import outlook_of, stalled
from ticketd.app.session import Works
from ticketd.app.slots import Slots
from ticketd.daemon.chores import Chores
from ticketd.daemon.lanes import LaneThread
from ticketd.daemon.scheduling import Decided, Scheduling, started
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.events import EventKind
from ticketd.domain.pool import Stop
from ticketd.domain.scheduler.schedule import Start
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
    `asked_to_stop`: by a signal; commands write to the store themselves. `stillness`: that an agent shows no sign of
    progress, in words."""

    works: Works
    slots: Slots
    chores: Chores
    landing: LaneThread
    until_idle: bool
    look_again: Callable[[], bool]
    asked_to_stop: Callable[[], Stop | None]
    scheduling: Scheduling
    stillness: Callable[[AttemptKey], str] = lambda key: ""
    _pulsed_at: float = 0.0
    _stop_noted: Stop | None = None
    _decided_on: tuple[int, Settings] | None = None
    _decide_at: float = 0.0
    _shadow_told: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    _stall_told: list[dict[str, str]] = field(default_factory=list)
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
        live = store.live_attempts()
        self._hand_out(live, AttemptState.PREPARING, self.slots.launch)
        settings, moves, ending = self.works.settings(), store.moves(), None
        if (moves, settings) != self._decided_on or now >= self._decide_at:
            self._decided_on, self._decide_at = (moves, settings), now + DECIDE_EVERY_S
            ending = self._decide(settings)
        # Last: keeping work takes a processor from the agent that comes next, and nobody waits for it.
        self._hand_out(live, AttemptState.COLLECTING, self.slots.collect)
        if store.landings():
            self.landing.wake()
        return ending

    def _decide(self, settings: Settings) -> Ending | None:
        now = self.works.session.clock.now()
        decided = self.scheduling.look(settings, now)
        self._end_those_asked(decided.board)
        if decided.next_at is not None:
            due = self.works.session.clock.monotonic() + decided.next_at - now
            self._decide_at = min(self._decide_at, due)
        self._note_shadow(decided, now)
        self._note_stall(decided, now)
        return None if self._act(decided) else self._ending(decided)

    def _note_exits(self, attempts: tuple[Attempt, ...]) -> None:
        pulses: dict[AttemptKey, Pulse] = {}
        for attempt in attempts:
            if attempt.state is not AttemptState.RUNNING:
                continue
            match self.works.engine.look(self.works.session.places.run_dir(attempt.key)):
                case Alive(pulse=pulse):
                    if pulse is not None:
                        held_up = pulse.held_up or self.stillness(attempt.key)
                        pulses[attempt.key] = replace(pulse, held_up=held_up)
                case Exited() as over:
                    self.slots.over(attempt.key, over)
                case LostRun() | NeverStarted():
                    self.chores.take(attempt.key, self.slots.lost)
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

    def _hand_out(
        self, attempts: tuple[Attempt, ...], state: AttemptState, chore: Callable[[AttemptKey], None]
    ) -> None:
        """Give what takes its time to those who may wait."""
        for attempt in attempts:
            if attempt.state is state:
                self.chores.take(attempt.key, chore)

    def _end_those_asked(self, board: Board) -> None:
        """Agents whose ticket was cancelled, has to make way or begins anew, and those that are ended for good; all
        when the daemon stops now. Each is asked once."""
        for attempt in board.attempts:
            cancelled = board.tickets[attempt.key.ticket].cancel_requested
            wanted = cancelled or attempt.is_ending or board.pool.stop is Stop.NOW
            if wanted and attempt.state is AttemptState.RUNNING and attempt.key not in self._asked_to_end:
                self._asked_to_end.add(attempt.key)
                run_dir = self.works.session.places.run_dir(attempt.key)
                self.works.engine.end(run_dir, self.works.settings().limits.grace_s)

    def _act(self, decided: Decided) -> bool:
        """Whether anything was done."""
        acted, board = False, decided.board
        base = (board.target and board.target.sha) or ""
        for decision in decided.decisions:
            if isinstance(decision, Start) and not base:
                continue
            launched = act(self.works, decision, decided.snapshot, base, board.newest)
            if launched is not None:
                self.chores.take(launched, self.slots.launch)
            acted = acted or launched is not None or not isinstance(decision, Start)
        return acted

    def _note_shadow(self, decided: Decided, now: float) -> None:
        """Where the shadow policy would start others; each difference once."""
        told = None if decided.shadow is None else (tuple(started(decided.decisions)), tuple(decided.shadow))
        if told is not None and told != self._shadow_told:
            live, shadow = told
            self.works.session.store.note(EventKind.SHADOW_DIFFERED, now, starts=list(live), shadow=list(shadow))
        self._shadow_told = told

    def _note_stall(self, decided: Decided, now: float) -> None:
        """That nothing runs and nothing can, in full and once. A pool that stops is no riddle."""
        board, settings = decided.board, decided.snapshot.settings
        busy = board.attempts or board.lane or decided.decisions or decided.snapshot.stopping
        at_rest = not busy and decided.next_at is None
        told = list(stalled(board, outlook_of(board, settings, True, now))) if at_rest else []
        if told and told != self._stall_told:
            self.works.session.store.note(EventKind.STALLED, now, tickets=told)
        self._stall_told = told

    def _can_wait(self, attempt: Attempt) -> bool:
        """Whether its agent is gone, and its work cannot be kept just now: the next daemon does."""
        return attempt.state is AttemptState.COLLECTING and self.chores.has_tripped(attempt.key)

    def _ending(self, decided: Decided) -> Ending | None:
        board = decided.board
        if board.pool.stop is Stop.NOW and all(map(self._can_wait, board.attempts)):
            return Ending.STOPPED
        if board.attempts:
            return None
        if board.lane and not board.pool.alarm:
            return None
        if board.pool.stop is Stop.DRAIN:
            return Ending.ABORTED if board.pool.aborted else Ending.STOPPED
        if not self.until_idle or decided.today_at is not None or decided.decisions:
            return None
        if self.look_again():
            self._decided_on = None  # at the next tick, and not only when something has happened
            return None
        return Ending.IDLE
