"""One seed from its first ticket to its last, through all the deaths of its daemons; and what must be true of it."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest import mock

from sim_engine import Machine, SimEngine
from sim_invariants import at_any_moment, at_the_end
from sim_kernel import Kernel, Process, SimEvent, SimPool, SimThread, Threading
from sim_repository import SimHistory, SimTarget, SimWorktrees
from sim_store import SimStore, new_store
from sim_world import CALM_AT, WALL, World

from ticketd.agents import agent_of
from ticketd.app import guard, keeping, spare, tracker, trees, verifying
from ticketd.app.keeping import Keeping
from ticketd.app.observe import snapshot_of
from ticketd.app.places import Places
from ticketd.app.session import Session, Works
from ticketd.daemon import chores, lanes, loop
from ticketd.daemon import main as daemon_main
from ticketd.daemon.loop import Ending
from ticketd.daemon.main import Current, Daemon
from ticketd.domain.attempt import AttemptState
from ticketd.domain.pool import Stop
from ticketd.domain.scheduler.queue import Queue
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.ticket import Priority, TicketState
from ticketd.errors import GitFailed, StoreTrouble, TicketdError
from ticketd.ports import Identity, Refused

EXPECTED = (StoreTrouble, GitFailed, OSError)
"""What a chore or a lane may trip over: the weather."""
MOST_LIVES = 30
LONGEST_S = 40_000.0
IDLE_S = 60.0


class SimClock:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self.jumped = kernel, 0.0

    def now(self) -> float:
        return WALL + self._kernel.time + self.jumped

    def monotonic(self) -> float:
        return self._kernel.time


class SimBell:
    def __init__(self, port: Callable[[str], None]) -> None:
        self._rung, self._port = SimEvent(), port

    def ring(self) -> None:
        self._rung.set()

    def wait(self, timeout_s: float | None) -> bool:
        self._port("")
        rung = self._rung.wait(timeout_s)
        self._rung.clear()
        return rung


class Tripped(logging.Handler):
    """What the daemon logs as an exception, and should never meet."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__()
        self._complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, EXPECTED):
            self._complaints.append(f"{record.getMessage()}: {error!r}")


@dataclass(frozen=True)
class Report:
    seed: int
    violations: tuple[str, ...]
    digest: str
    lives: int
    landed: int
    tickets: int
    steps: int
    trace: tuple[str, ...] = ()


@dataclass
class Simulation:
    seed: int
    traced: bool = False
    violations: list[str] = field(default_factory=list)
    lives: int = 0

    def run(self) -> Report:
        self.kernel = Kernel(self.seed, switch=[0.02, 0.1, 0.3, 0.6][self.seed % 4])
        if self.traced:
            self.kernel.trace = []
        self.clock = SimClock(self.kernel)
        self.machine = Machine(self.kernel, self.clock.now)
        with _scratch() as root, _in_virtual_time(self.violations, self._free):
            self.places = Places(root)
            self.store = new_store()
            self.kernel.run(self._live)
        self.violations += [f"{type(error).__name__}: {error}" for error in self.kernel.faults]
        world, store = self.world, self.store
        landed = len(store.landed())
        store.close()
        shown = tuple(self.kernel.trace or ())
        return Report(
            self.seed, tuple(dict.fromkeys(self.violations)), self.kernel.digest(), self.lives, landed,
            len(world.tickets), self.kernel.steps, shown,
        )  # fmt: skip

    # --- the daemons ---

    def _live(self) -> None:
        self.world = World(self.seed, self.kernel, self.machine)
        self.dice = self.world.dice
        self._plan()
        while self.lives < MOST_LIVES:
            self.lives += 1
            ending = self._life()
            self._check(at_any_moment)
            if self.kernel.time > LONGEST_S:
                self.violations.append(f"no end after {LONGEST_S:g} s")
                return
            if ending is Ending.IDLE and self.kernel.time >= CALM_AT and not self._let_all_go():
                break
            if ending is Ending.IDLE:
                self._sleep(max(0.0, CALM_AT - self.kernel.time))
            elif ending is Ending.STOPPED and any(
                attempt.state is not AttemptState.COLLECTING for attempt in self.store.live_attempts()
            ):
                self.violations.append("a daemon has stopped with attempts under way")
            if ending is Ending.ABORTED and self.kernel.time >= CALM_AT:
                break
            self._sleep(self.dice.choice([0.0, 0.1, 5.0, 60.0]))
            if self.kernel.time >= CALM_AT:
                self._let_all_go()
        else:
            self.violations.append(f"no end after {MOST_LIVES} daemons")
        self._check(at_the_end)

    def _life(self) -> Ending | None:
        """One daemon from its start to its end, or its death (None)."""
        process = Process(f"daemon{self.lives}")
        ended: list[Ending] = []
        self._process = process
        thread = SimThread(lambda: self._serve(ended), "loop", process=process)
        calm = self.kernel.time >= CALM_AT
        if not calm and self.dice.random() < 0.7:
            self._doom(process)
        thread.start()
        thread.join()
        while process.threads:  # killed: the others have yet to notice
            next(iter(sorted(process.threads, key=lambda each: each.number))).join()
        self._process = None
        self.machine.daemon_died(process)
        return ended[0] if ended else None

    def _serve(self, ended: list[Ending]) -> None:
        try:
            ended.append(self._daemon().run(self.lives, None, until_idle=True))
        except (TicketdError, OSError) as error:
            self.kernel.tell(f"ended by {error!r}")
            if not isinstance(error, EXPECTED) and "cannot be reached" not in str(error):
                self.violations.append(f"the daemon ended by {error!r}")

    def _doom(self, process: Process) -> None:
        """It will be killed: some time, or at the so-and-so-manieth call of a port."""
        if self.dice.random() < 0.5:
            self.kernel.after(self.dice.uniform(0, 120), lambda: self.kernel.kill(process))
        else:
            self.doomed = (process, self.kernel.steps + self.dice.choice([30, 200, 1000, 4000]))
            left = self.dice.randint(1, self.doomed[1] - self.kernel.steps)
            self.doomed = (process, self.kernel.steps + left)

    doomed: tuple[Process, int] | None = None

    def _port(self, words: str) -> None:
        kernel = self.kernel
        if words and not kernel.current.process.dead:
            kernel.tell(words)
        if self.doomed is not None and kernel.steps >= self.doomed[1]:
            process, self.doomed = self.doomed[0], None
            if kernel.current.process is process:
                kernel.kill(process)
        kernel.pause()

    def _daemon(self) -> Daemon:
        world, port = self.world, self._port
        current = Current(world.settings)
        store = SimStore(self.store, port, lambda: not world.weather.strikes("store"))
        session = Session(
            root=self.places.state / "user",
            places=self.places,
            clock=self.clock,
            store=store,  # type: ignore[arg-type]
            files=world.files,
            ring=lambda: None,
            is_running=lambda: True,
        )
        works = Works(
            session=session,
            bell=SimBell(port),
            engine=SimEngine(self.machine, port, lambda: not world.weather.strikes("room")),
            history=SimHistory(world.disk, port),
            worktrees=SimWorktrees(
                world.disk, self.places.state / "worktrees", port, world.weather.git, self.machine.lives_in
            ),
            target=SimTarget(world.disk, port, world.weather.remote, self._later),
            forge=lambda: Refused("there is no forge here"),
            identity=Identity("Somebody", "somebody@example.com"),
            environ={},
            agent_of=agent_of,
            settings=lambda: current.settings,
            doorbell=self.places.state / "bell",
        )
        return Daemon(works, current, 10.0)

    def _free(self, state: Path) -> tuple[int, None]:
        """Bytes and files that are free on the disk."""
        del state
        return 0 if self.world.weather.strikes("disk") else 10**12, None

    def _later(self, act: Callable[[], None]) -> None:
        self.kernel.after(self.kernel.random.uniform(0.1, 60), act)

    # --- what is planned ---

    def _plan(self) -> None:
        """What happens to the machine, and what people do, at which time."""
        dice, kernel = self.dice, self.kernel
        for _ in range(dice.choice([0, 0, 1, 2])):
            kernel.at(dice.uniform(1, CALM_AT), self._reboot)
        for _ in range(dice.choice([0, 0, 2])):
            kernel.at(dice.uniform(1, CALM_AT), self._kill_a_run)
        for _ in range(dice.choice([0, 2, 6])):
            kernel.at(dice.uniform(1, CALM_AT), self._somebody_acts)
        if dice.random() < 0.2:
            kernel.at(dice.uniform(1, CALM_AT), self._clock_jumps)
        kernel.at(IDLE_S, self._watch_for_idle_slots)
        kernel.at(CALM_AT, self._let_all_go)
        for number in range(1, 40):  # people who look now and then, and decide
            kernel.at(CALM_AT + 200.0 * number, self._let_all_go)

    def _watch_for_idle_slots(self) -> None:
        """What can start must have started before the next time that this looks, as long as the same daemon lives and
        nothing fails. One that has run in between may be about to start again."""
        self.kernel.after(IDLE_S, self._watch_for_idle_slots)
        before, self._startable = self._startable, set()
        process = self._process
        if process is None or process.dead or self.world.weather.spoils(self.kernel.time - IDLE_S, self.kernel.time):
            return
        board, now = self.store.board(), self.clock.now()
        decisions = Queue(snapshot_of(board, self.world.settings), now).decide(now)
        starts = [each.ticket for each in decisions if isinstance(each, Start)]
        self._startable = {(process.name, ticket, board.tickets[ticket].attempts) for ticket in starts}
        for name, ticket, _ in sorted(before & self._startable):
            self.violations.append(f"{name} does not start {ticket}, though nothing keeps it")

    _startable: set[tuple[str, str, int]] = field(default_factory=set)
    _process: Process | None = None

    def _reboot(self) -> None:
        self.machine.reboot()
        for process in {thread.process for thread in self._living_threads()}:
            self.kernel.kill(process)

    def _living_threads(self) -> list[SimThread]:
        return [t for t in (self.kernel.current,) if t.process.name.startswith("daemon")]

    def _kill_a_run(self) -> None:
        living = self.machine.living()
        if living:
            self.machine.lose(self.dice.choice(living))

    def _clock_jumps(self) -> None:
        self.clock.jumped += self.dice.choice([-86_400.0, -3_600.0, 3_600.0, 86_400.0])

    def _somebody_acts(self) -> None:
        dice, store, now = self.dice, self.store, self.clock.now()
        id_ = dice.choice(self.world.tickets)
        acts: list[Callable[[], object]] = [
            lambda: store.cancel(id_, now),
            lambda: store.hold(id_, True, now),
            lambda: store.retry(id_, now),
            lambda: store.bump(id_, dice.choice(list(Priority)), now),
            lambda: store.pause("a person has paused it", now),
            lambda: store.set_slots(dice.choice([1, 2, 5]), now),
            lambda: store.ask_stop(dice.choice(list(Stop)), now),
            lambda: store.land_ahead(id_, now),
            lambda: self.world.files.delete(id_),
            lambda: self.world.files.write(id_, self.world._ticket(id_)),
            lambda: setattr(self.world.files, "broken", True),
        ]
        number = dice.randrange(len(acts))
        self.kernel.tell(f"somebody does {number} with {id_}")
        self._said(acts[number])

    def _said(self, act: Callable[[], object]) -> None:
        try:
            act()
        except TicketdError as error:
            self.kernel.tell(f"refused: {error.what}")

    def _let_all_go(self) -> bool:
        """A person who approves of everything. Whether that changes anything."""
        store, now = self.store, self.clock.now()
        before = store.moves()
        self.world.files.broken = False
        pool = store.pool()
        if pool.paused or pool.alarm:
            store.resume(now)
        board = store.board()
        for id_, record in board.tickets.items():
            if record.held:
                self._said(lambda id_=id_: store.hold(id_, False, now))
            if record.state is TicketState.REVIEW:
                self._said(lambda id_=id_: store.approve(id_, now))
        return store.moves() != before

    def _sleep(self, seconds: float) -> None:
        self.kernel.wait(seconds)

    def _check(self, invariants: Callable[[World, object], Iterator[str]]) -> None:
        self.violations += self.world.disk.violations + self.world.complaints
        self.violations += invariants(self.world, self.store)


@contextmanager
def _scratch() -> Iterator[Path]:
    shared = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(prefix="ticketd-sim-", dir=shared if shared.is_dir() else None))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _in_virtual_time(complaints: list[str], free: Callable[[Path], tuple[int, None]]) -> Iterator[None]:
    """The daemon's modules find our threads where they look for the system's; and they look up seldom, since each look
    costs real time, and nothing may depend on it."""
    log, handler = logging.getLogger("ticketd"), Tripped(complaints)
    before = log.propagate
    log.propagate = False
    log.addHandler(handler)
    waiting = (lanes, chores, trees, tracker, verifying, guard)
    patches = [mock.patch.object(each, "threading", Threading) for each in waiting]
    patches += [mock.patch.object(each, "ThreadPoolExecutor", SimPool) for each in (chores, daemon_main)]
    patches += [
        mock.patch.object(daemon_main, "Keeping", partial(Keeping, free=free)),
        mock.patch.object(keeping, "REST_S", 20.0),
        mock.patch.object(spare, "REST_S", 5.0),
        mock.patch.object(spare, "IDLE_REST_S", 20.0),
        mock.patch.object(loop, "LONGEST_WAIT_S", 20.0),
        mock.patch.object(daemon_main, "FILES_EVERY_S", 10.0),
        mock.patch.object(daemon_main, "TARGET_EVERY_S", 10.0),
    ]
    try:
        for patch in patches:
            patch.start()
        yield
    finally:
        for patch in patches:
            patch.stop()
        log.removeHandler(handler)
        log.propagate = before


def simulate(seed: int, traced: bool = False) -> Report:
    """All of one seed. With `traced` the report holds every call of a port."""
    return Simulation(seed, traced).run()
