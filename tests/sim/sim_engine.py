"""Runs that live outside the daemon, in virtual time. Satisfies `ports.Engine`; what a run does the world says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from sim_kernel import Kernel, Process, SimThread

from ticketd.ports import Alive, Exited, LostRun, NeverStarted, NoCapacity, Pulse, RunSpec, RunState


class Life(Enum):
    """`COMING`: its supervisor is there and has recorded nothing yet."""

    COMING = auto()
    ALIVE = auto()
    OVER = auto()
    LOST = auto()
    VOID = auto()


@dataclass(eq=False)
class Run:
    spec: RunSpec
    daemon: Process
    number: int
    life: Life = Life.COMING
    started_at: float = 0.0
    exited: Exited | None = None
    asked_to_end: bool = False
    waiting: list[SimThread] = field(default_factory=list)

    @property
    def name(self) -> str:
        return "/".join(self.spec.run_dir.parts[-2:])


@dataclass
class Machine:
    """All runs there are; it outlives every daemon, and dies at a `reboot`. `on_start` is told of each run that begins;
    whoever plays it calls `over`."""

    kernel: Kernel
    wall: Callable[[], float]
    on_start: Callable[[Run], None] = lambda run: None
    on_lost: Callable[[Run], None] = lambda run: None
    runs: dict[Path, Run] = field(default_factory=dict)

    def living(self) -> list[Run]:
        return [run for run in self.runs.values() if run.life in (Life.COMING, Life.ALIVE)]

    def lives_in(self, tree: Path) -> str:
        return next((run.name for run in self.living() if run.life is Life.ALIVE and run.spec.cwd == tree), "")

    def begin(self, run: Run) -> None:
        if run.life is Life.COMING:
            run.life, run.started_at = Life.ALIVE, self.wall()
            self.kernel.tell(f"begins {run.name}")
            self.on_start(run)
            if run.asked_to_end:
                self.over(run, None, 15, "ended", "asked to end")
            self._wake(run)

    def over(
        self, run: Run, code: int | None, signal: int | None = None, reason: str = "exited", why: str = ""
    ) -> None:
        if run.life is not Life.ALIVE:
            return
        run.life = Life.OVER
        run.exited = Exited(code, signal, reason, why, run.started_at, self.wall(), 1.0, 1, 0)
        self.kernel.tell(f"over {run.name} {code} {reason}")
        self._wake(run)

    def lose(self, run: Run) -> None:
        """Its supervisor is killed, and it with it."""
        if run.life in (Life.COMING, Life.ALIVE):
            began = run.life is Life.ALIVE
            run.life = Life.LOST if began else Life.VOID
            self.kernel.tell(f"lost {run.name}")
            self._wake(run)
            if began:
                self.on_lost(run)

    def daemon_died(self, process: Process) -> None:
        for run in self.living():
            if run.daemon is process and run.spec.die_with_parent:
                self.lose(run)

    def reboot(self) -> None:
        self.kernel.tell("REBOOT")
        for run in self.living():
            self.lose(run)

    def _wake(self, run: Run) -> None:
        waiting, run.waiting = run.waiting, []
        for thread in waiting:
            self.kernel.make_ready(thread)


class SimEngine:
    name = "simulated"

    def __init__(self, machine: Machine, port: Callable[[str], None], has_room: Callable[[], bool]) -> None:
        self._machine, self._port, self._has_room = machine, port, has_room

    def start(self, spec: RunSpec) -> Alive | Exited | NoCapacity:
        machine, kernel = self._machine, self._machine.kernel
        self._port(f"start {spec.run_dir.name}")
        if not self._has_room():
            return NoCapacity("no process is to be had")
        if spec.run_dir in machine.runs:
            return Exited(None, None, "spawn-failed", "used before", None, machine.wall(), None, None, 0)
        run = Run(spec, kernel.current.process, len(machine.runs))
        machine.runs[spec.run_dir] = run
        if kernel.random.random() < 0.4:  # its supervisor takes its time
            kernel.after(kernel.random.uniform(0.01, 10), lambda: machine.begin(run))
            while run.life is Life.COMING:
                self._wait_for(run, None)
        else:
            machine.begin(run)
        self._port(f"started {spec.run_dir.name}")
        return Alive(run.number + 1000, run.started_at, None)

    def look(self, run_dir: Path) -> RunState:
        self._port("look")
        return self._state(run_dir)

    def _state(self, run_dir: Path) -> RunState:
        run = self._machine.runs.get(run_dir)
        match run.life if run else None:
            case None | Life.VOID:
                return NeverStarted()
            case Life.COMING:
                return Alive(0, self._machine.wall(), None)
            case Life.ALIVE:
                assert run is not None
                now = self._machine.wall()
                # It works all the time.
                return Alive(run.number + 1000, run.started_at, Pulse(now, 10, None, now - run.started_at, 1))
            case Life.OVER:
                assert run is not None and run.exited is not None
                return run.exited
            case Life.LOST:
                return LostRun("its supervisor is gone and recorded no exit")

    def settle(self, run_dir: Path, begun_as: str = "") -> RunState:
        del begun_as
        self._port(f"settle {run_dir.name}")
        run = self._machine.runs.get(run_dir)
        if run is not None and run.life is Life.COMING:
            run.life = Life.VOID
        self._port("settled")
        return self._state(run_dir)

    def end(self, run_dir: Path, grace_s: float) -> None:
        self._port(f"end {run_dir.name}")
        run, kernel = self._machine.runs.get(run_dir), self._machine.kernel
        if run is None or run.asked_to_end:
            return
        run.asked_to_end = True
        if run.life is Life.ALIVE:
            after = kernel.random.choice([0.0, kernel.random.uniform(0, grace_s), grace_s])
            kernel.after(after, lambda: self._machine.over(run, None, 15, "ended", "asked to end"))

    def wait(self, run_dir: Path, timeout_s: float | None) -> RunState:
        self._port("wait")
        run = self._machine.runs.get(run_dir)
        if run is not None and run.life in (Life.COMING, Life.ALIVE):
            self._wait_for(run, timeout_s)
        return self._state(run_dir)

    def forget(self, run_dir: Path) -> None:
        pass  # nothing of it is on any disk

    def _wait_for(self, run: Run, timeout_s: float | None) -> None:
        kernel = self._machine.kernel
        me = kernel.current
        run.waiting.append(me)
        kernel.wait(timeout_s)
        if me in run.waiting:
            run.waiting.remove(me)
