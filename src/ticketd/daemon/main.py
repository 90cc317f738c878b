"""The daemon: the loop and its lanes, from taking up what an earlier one left to the last thing it does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from ticketd.app.drift import DriftWatch
from ticketd.app.guard import Guard
from ticketd.app.keeping import Keeping
from ticketd.app.lane import Lane
from ticketd.app.liveness import Liveness
from ticketd.app.proposals import Follower
from ticketd.app.recovering import Recovering, recovering_of
from ticketd.app.session import Works
from ticketd.app.sessions import kept
from ticketd.app.slots import Slots
from ticketd.app.spare import Spare
from ticketd.app.spending import Spending
from ticketd.app.steps import end_left
from ticketd.app.tickets import Intake
from ticketd.app.tracker import Tracker
from ticketd.app.trees import Trees
from ticketd.daemon.chores import Chores
from ticketd.daemon.lanes import LaneThread
from ticketd.daemon.loop import Ending, Loop
from ticketd.daemon.scheduling import Scheduling
from ticketd.domain.pool import DaemonRecord, Stop
from ticketd.domain.settings import Settings
from ticketd.domain.settingsfile import MAX_LANES
from ticketd.errors import TicketdError
from ticketd.ports import Unreachable

log = logging.getLogger("ticketd")

FILES_EVERY_S = 1.0
# How many times as long as a look at the files took the lane rests: 100,000 files take 0.7 s, also when none changes.
FILES_REST = 9.0
TARGET_EVERY_S = 1.0
LOOK_EVERY_S = 5.0
MOST_CHORES = 32
LAST_PUSH_S = 180.0
# A pull request is asked for each third time that the target is: forges count questions.
FOLLOW_EVERY = 3
LAST_CHECKOUT_S = 30.0
FIRST_ANSWER_S = 5.0
BACK_UP_EVERY_S = 3600.0


@dataclass(slots=True)
class Current:
    """The settings in force: the last good ones."""

    settings: Settings
    broken: str = ""


@dataclass(slots=True)
class Daemon:
    """`poll_s`: how often the target is asked for, in seconds."""

    works: Works
    current: Current
    poll_s: float
    tracker: Tracker = field(init=False)
    watch: DriftWatch = field(init=False)
    intake: Intake = field(init=False)
    recovering: Recovering = field(init=False)
    asked: Stop | None = None
    _asked_at: float = 0.0
    _looked_at: float = 0.0
    _watch_not_before: float = 0.0
    _drift_of: str | None = None
    _seen: Settings | None = None

    def __post_init__(self) -> None:
        target = self.current.settings.target
        self.intake = Intake(self.works.session)
        self.tracker = Tracker(self.works, target.remote, target.branch)
        self.recovering = recovering_of(self.works)
        self.watch = DriftWatch(self.works, f"origin/{target.branch}")

    def run(self, pid: int, slots: int | None, until_idle: bool) -> Ending:
        """Until told to stop, or until nothing can run any more.

        Raises:
            TicketdError: the target was never reached.
        """
        session = self.works.session
        session.store.daemon_started(DaemonRecord(pid, session.clock.now(), self.works.engine.name, slots))
        try:
            end_left(self.works)
            self._prepare()
            return self._run(until_idle)
        finally:
            # First, and whatever became of the file: what was written last may be in no other place.
            with suppress(TicketdError, OSError):
                self._back_up()
            session.store.daemon_stopped(session.clock.now())

    def stop(self, how: Stop) -> None:
        """As `ticketd stop` would. For signal handlers: they may come in the middle of a write to the store, so the
        loop writes it down."""
        self.asked = how
        self.works.bell.ring()

    def _prepare(self) -> None:
        """Take up what an earlier daemon left, and learn where the target stands."""
        self.recovering.mend(self.recovering.look(at_rest=True))
        self.intake.sync(self.current.settings)
        known = self.tracker.known()
        if known is not None and known.sha is not None:
            self._ask_without_waiting_long()
        elif isinstance(tip := self.tracker.ask(), Unreachable):
            raise TicketdError(
                f"the target cannot be reached: {tip.detail}",
                mend="Mend the remote, or `[target]` in ticketd.toml; `ticketd doctor` looks closer.",
            )

    def _ask_without_waiting_long(self) -> None:
        """Agents of an earlier daemon wait to be taken up, whatever the remote does; its answer may come later."""

        def ask() -> float:
            self.tracker.ask()
            asking.stop()
            return 0.0

        asking = LaneThread("first question", ask)
        asking.start()
        asking.join(FIRST_ANSWER_S)

    def _run(self, until_idle: bool) -> Ending:
        chores = Chores(self.works.bell, self.works.session.clock, MOST_CHORES)
        verifications = ThreadPoolExecutor(max_workers=MAX_LANES, thread_name_prefix="verification")
        lane = Lane(self.works, self.tracker, lambda run: self._beside(verifications, run, landing))
        follower = Follower(self.works, self.tracker, FOLLOW_EVERY * self.poll_s)
        target = LaneThread("target", self._watch_target)
        trees = self._trees()
        spare = LaneThread("spare", Spare(self.works, trees).step)
        keep = Keeping(self.works, trees, self.recovering)
        keeping = LaneThread("keeping", keep.step)
        landing = LaneThread("landing", lambda: self._land(lane, target))
        proposals = LaneThread("proposals", follower.step)
        files = LaneThread("files", self._watch_files)
        liveness = Liveness(self.works, Spending(self.works).exceeded)
        alive = LaneThread("liveness", liveness.step)
        loop = Loop(
            works=self.works,
            slots=Slots(self.works, trees, Guard(self.works)),
            chores=chores,
            landing=landing,
            until_idle=until_idle,
            look_again=lambda: self._look_again() or follower.is_behind(),
            asked_to_stop=lambda: self.asked,
            scheduling=Scheduling(self.works.session.store),
            stillness=liveness.words,
        )
        backups = LaneThread("backups", self._back_up)
        keep.see_to_room()
        threads = (target, landing, proposals, files, spare, backups, keeping, alive)
        for thread in threads:
            thread.start()
        try:
            return loop.run()
        finally:
            for thread in threads:
                thread.stop()
            chores.close()
            spare.join(LAST_CHECKOUT_S)
            keeping.join(LAST_CHECKOUT_S)
            landing.join(LAST_PUSH_S)
            verifications.shutdown(wait=True)

    def _trees(self) -> Trees:
        store = self.works.session.store
        taken = {attempt.worktree for attempt in store.live_attempts() if attempt.worktree}
        known = {name for name in store.worktree_setups() if name.isdigit()}
        return Trees(
            free=known - taken,
            taken=taken,
            used_names=store.worktree_names(),
            kept=lambda: kept(self.works),
            most=self._most_trees,
        )

    def _most_trees(self) -> int:
        """Past so many, a spare among them, whoever finds no other takes one that is kept."""
        return 2 * (self.works.session.store.pool().slots or self.works.settings().slots) + 1

    def _back_up(self) -> float:
        self.works.session.store.back_up(self.works.session.clock.now())
        return BACK_UP_EVERY_S

    def _look_again(self) -> bool:
        return self.intake.sync(self.current.settings)

    def _watch_files(self) -> float:
        clock = self.works.session.clock
        began = clock.monotonic()
        self._reload()
        if self.intake.sync(self.current.settings):
            self.works.bell.ring()
        return max(FILES_EVERY_S, FILES_REST * (clock.monotonic() - began))

    def _reload(self) -> None:
        """A broken `ticketd.toml` changes nothing: the last good one stays in force, and status says so."""
        parsed = self.works.session.files.settings()
        broken = "" if parsed.settings else "\n".join(map(str, parsed.problems))
        if broken and broken != self.current.broken:
            log.warning("ticketd.toml cannot be used, the last good one stays:\n%s", broken)
        self.current.broken = broken
        # Seen twice: what an editor is just writing may be half of it, or empty, by which nothing would be verified.
        if parsed.settings not in (None, self.current.settings) and parsed.settings == self._seen:
            self.current.settings = parsed.settings
            self.works.bell.ring()
        self._seen = parsed.settings

    def _watch_target(self) -> float:
        clock = self.works.session.clock
        if clock.monotonic() - self._asked_at >= self.poll_s:
            self.tracker.ask()
            self._asked_at = clock.monotonic()
        self._watch_attempts()
        self.works.bell.ring()
        return min(self.poll_s, TARGET_EVERY_S)

    def _watch_attempts(self) -> None:
        """At each move of the target, and with a whole look now and again since agents go on writing; for no more than
        a quarter of the time: in trees with thousands of new files a look takes seconds."""
        target, now = self.works.session.store.target(), self.works.session.clock.monotonic()
        tip, due = target.sha if target else None, now >= self._looked_at + LOOK_EVERY_S
        if not (due or tip != self._drift_of) or now < self._watch_not_before:
            return
        self._drift_of = tip
        if due:
            self._looked_at = now
            self.watch.look()
        else:
            self.watch.follow()
        ended = self.works.session.clock.monotonic()
        self._watch_not_before = ended + 3 * (ended - now)

    def _beside(self, threads: ThreadPoolExecutor, run: Callable[[], None], lane: LaneThread) -> None:
        threads.submit(run).add_done_callback(lambda _: lane.wake())

    def _land(self, lane: Lane, target: LaneThread) -> float:
        """The bell is rung for news only: the loop wakes the lane at each of its ticks."""
        store = self.works.session.store
        before = store.moves()
        lane.turn()
        if store.moves() != before:
            self.works.bell.ring()
            target.wake()
        return FILES_EVERY_S
