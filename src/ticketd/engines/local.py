"""Runs on this machine: one supervisor process beside each agent, found again through its run directory.

The engine keeps nothing that matters in memory. Any other instance, in any later process, can look at, end or wait for
a run that this one started.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock

from ticketd import failpoints
from ticketd.engines import run
from ticketd.engines.supervisor.launching import why_not_run
from ticketd.engines.supervisor.processes import start_of, strike
from ticketd.engines.survivors import end_survivors
from ticketd.ports import Alive, Exited, LostRun, NeverStarted, NoCapacity, Pulse, RunSpec, RunState

NO_RECORD = "it runs, but its record of the start cannot be read"
SETTLE_LIMIT_S = 5.0  # how long a supervisor may be between its lock and its first record before it counts as alive
SILENT_S = 30.0  # after so long without a heartbeat a supervisor may have been stopped
WAIT_SLICE_S = 3600.0  # poll takes milliseconds in an int
POLL_S = 0.05  # where there is no pidfd to wait on
SUPERVISOR_IN = Path(__file__).parent
# Appended: nothing that lies beside it may stand in for a module of the standard library.
SUPERVISE = "import sys; sys.path.append(sys.argv[1]); from supervisor.conducting import begin; begin(sys.argv[2])"


class LocalEngine:
    """Satisfies `ports.Engine`; safe to use from several threads.

    Runs with `die_with_parent` end when the process that holds this engine does.
    """

    name = "local"

    def __init__(self, heartbeat_s: float = 5.0, start_limit_s: float = 30.0) -> None:
        self._heartbeat_s = heartbeat_s
        self._start_limit_s = start_limit_s
        self._mutex = Lock()
        self._supervisors: dict[int, int | None] = {}  # children not yet reaped, and the lifeline each hangs on

    def start(self, spec: RunSpec) -> Alive | Exited | NoCapacity:
        """Begin a run in a run directory that has seen none. Trouble is an `Exited` of `cannot-run` or `spawn-failed`;
        a lack of processes, memory or descriptors, for the supervisor or for the agent, is `NoCapacity`. One that has
        begun and is lost already was `Alive`: the next look says so."""
        match self._start(spec):
            case Exited(reason="no-capacity", detail=detail):
                return NoCapacity(detail)
            case state:
                return state

    def _start(self, spec: RunSpec) -> Alive | Exited:
        run_dir = spec.run_dir.absolute()
        try:
            run.make_directory(run_dir)
            run.write_spec(spec, self._heartbeat_s)
            pid, begun = self._spawn(run_dir, spec.die_with_parent)
            if not begun:
                self._dismiss(pid)
                return self._not_begun(run_dir)
        except FileExistsError:
            return _spawn_failed(f"{run_dir} has been used for a run before")
        except (OSError, ValueError) as err:
            return _not_run(why_not_run(err, executing=False), str(err))
        failpoints.hit("run/begun")
        state = self.look(run_dir)
        return state if isinstance(state, Alive | Exited) else self._not_begun(run_dir)

    def look(self, run_dir: Path) -> RunState:
        """What is known now; changes nothing. `NeverStarted` is final only from `settle`; an `Alive` with pid 0 has a
        supervisor that is about to begin."""
        self._reap()
        if (exited := run.read_exit(run_dir)) is not None:
            return exited
        if run.is_held(run_dir):
            return _alive(run_dir)
        # The supervisor may have ended between the two questions.
        return run.read_exit(run_dir) or _dead(run_dir)

    def settle(self, run_dir: Path, begun_as: str = "") -> RunState:
        """The state to build on after a crash. A run that has not begun is voided and never will; of a lost one, all
        that is known to be its own is killed (`survivors.py`); one that lives is left alone. With `begun_as` its mark,
        one that has no records is lost, too."""
        run.make_directory(run_dir)
        give_up_at = time.monotonic() + SETTLE_LIMIT_S
        while True:
            with run.locked(run_dir) as held:
                if held:
                    return self._close(run_dir, begun_as)
            match self.look(run_dir):
                case Exited() as state:
                    return state
                case Alive() as state if state.pid or time.monotonic() >= give_up_at:
                    return state
            time.sleep(0.005)

    def end(self, run_dir: Path, grace_s: float) -> None:
        """Ask the supervisor to end the tree: SIGTERM, then after `grace_s` SIGKILL. Nothing happens if it is over; a
        second call can shorten the grace."""
        if run.read_exit(run_dir) is not None or not run_dir.is_dir():
            return
        with suppress(OSError):  # on a full disk the run's own grace applies
            run.write_end(run_dir, grace_s)
        started = run.read_started(run_dir)
        if started is not None:
            for number in (signal.SIGTERM, signal.SIGCONT):
                strike(started.supervisor_pid, number, lambda _: _supervises(run_dir, started))

    def wait(self, run_dir: Path, timeout_s: float | None) -> RunState:
        """Until the run is no longer alive, or `timeout_s` seconds have passed: then it is still `Alive`."""
        give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
        while isinstance(state := self.look(run_dir), Alive):
            left = None if give_up_at is None else give_up_at - time.monotonic()
            if left is not None and left <= 0:
                break
            _wait_for_change(run_dir, left)
        return state

    def forget(self, run_dir: Path) -> None:
        """OSError if it cannot be written."""
        if isinstance(self.look(run_dir), Exited | LostRun):
            run.forget_environment(run_dir)

    def _spawn(self, run_dir: Path, die_with_parent: bool) -> tuple[int, bool]:
        """The supervisor's pid, and whether the agent is under way. False: it has ended, or is taking too long."""
        listening, ready = os.pipe()
        lifeline, hold = os.pipe() if die_with_parent else (os.open(os.devnull, os.O_RDONLY), None)
        try:
            with self._mutex:
                pid = _spawn_supervisor(run_dir, lifeline, ready)
                self._supervisors[pid] = hold
            failpoints.hit("run/supervisor")
        except BaseException:
            os.close(listening)
            if hold is not None:
                os.close(hold)
            raise
        finally:
            os.close(ready)
            os.close(lifeline)
        with os.fdopen(listening, "rb", buffering=0) as pipe:
            poll = select.poll()
            poll.register(pipe, select.POLLIN | select.POLLHUP)
            return pid, bool(poll.poll(self._start_limit_s * 1000) and pipe.read(1))

    def _dismiss(self, pid: int) -> None:
        """A supervisor that did not begin in time must not begin later; its agent, still at the gate, goes with it."""
        with self._mutex:
            if pid in self._supervisors:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                self._forget(pid)

    def _not_begun(self, run_dir: Path) -> Alive | Exited:
        state = self.settle(run_dir)
        if isinstance(state, Exited):
            return state
        if (started := run.read_started(run_dir)) is not None:
            return Alive(started.pid, started.started_at, None)
        return _spawn_failed(run.last_words(run_dir) or "the supervisor did not begin, or was told not to")

    def _reap(self) -> None:
        with self._mutex:
            for pid in list(self._supervisors):
                try:
                    over = os.waitpid(pid, os.WNOHANG)[0] != 0
                except ChildProcessError:  # this process forked, or somebody waits for every child
                    over = True
                if over:
                    self._forget(pid)

    def _forget(self, pid: int) -> None:
        hold = self._supervisors.pop(pid)
        if hold is not None:
            os.close(hold)

    def _close(self, run_dir: Path, begun_as: str) -> RunState:
        """The lock is held: nothing is alive, nothing can begin meanwhile."""
        self._reap()
        if not run.has_begun(run_dir):
            run.void(run_dir)
        state = run.read_exit(run_dir) or _dead(run_dir)
        if begun_as and isinstance(state, NeverStarted):
            state = LostRun("its records have been deleted")
        if isinstance(state, LostRun) and not state.with_machine:
            remains = end_survivors(run_dir, begun_as)
            detail = f"{state.detail}; {remains.doubts}" if remains.doubts else state.detail
            return replace(state, left=remains.left, detail=detail)
        return state


def _spawn_supervisor(run_dir: Path, stdin: int, stdout: int) -> int:
    errors = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return os.posix_spawn(
        sys.executable,
        command(run_dir),
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (os.POSIX_SPAWN_OPEN, 2, str(run_dir / "supervisor.err"), errors, 0o600),
        ],
        setsid=sys.platform == "linux",  # elsewhere the supervisor does it: not every libc can
        setsigmask=(),
        setsigdef=(signal.SIGCHLD, signal.SIGTERM),
    )


def command(run_dir: Path) -> list[str]:
    """Not by the path of a script, which would be compiled anew at each start, nor by that of a directory, which brings
    `runpy`: either takes longer than all that the supervisor does."""
    return [sys.executable, "-I", "-S", "-c", SUPERVISE, str(SUPERVISOR_IN), str(run_dir)]


def _alive(run_dir: Path) -> Alive:
    started, pulse = run.read_started(run_dir), run.read_pulse(run_dir)
    if started is None:
        at = (run_dir / "lock").stat().st_mtime
        return Alive(0, at, Pulse(at, 0, None, None, None, NO_RECORD) if run.has_begun(run_dir) else pulse)
    if (pulse.at if pulse else started.started_at) + SILENT_S < time.time():
        strike(started.supervisor_pid, signal.SIGCONT, lambda _: _supervises(run_dir, started))
    return Alive(started.pid, started.started_at, _doubted(pulse, started))


def _doubted(pulse: Pulse | None, started: run.Started) -> Pulse | None:
    """With a word if it runs, but not under the pid that it has recorded (in another container, say): it does what it
    is asked by file, and is sent no signal."""
    if started.supervisor_start in (None, start_of(started.supervisor_pid)):
        return pulse
    plain = pulse or Pulse(started.started_at, 0, None, None, None)
    return replace(plain, held_up=plain.held_up or f"pid {started.supervisor_pid} is not its supervisor's here")


def _dead(run_dir: Path) -> NeverStarted | LostRun:
    if not run.has_begun(run_dir):
        return NeverStarted()
    started = run.read_started(run_dir)
    if started is not None and not started.is_of_this_boot:
        return LostRun("the machine went down while it ran", with_machine=True)
    if run.is_void(run_dir):
        return LostRun("voided, yet it has records of a start")
    if (run_dir / "exit.json").exists():
        return LostRun("its exit record is unreadable")
    return LostRun(run.last_words(run_dir) or "its supervisor is gone and recorded no exit")


def _supervises(run_dir: Path, started: run.Started) -> bool:
    """The lock alone would do, but for the moment in which another engine holds it to settle."""
    return run.is_held(run_dir) and start_of(started.supervisor_pid) == started.supervisor_start


def _wait_for_change(run_dir: Path, timeout_s: float | None) -> None:
    """Until the supervisor has ended where that can be waited for, else a moment."""
    started = run.read_started(run_dir)
    if started is None or not _wait_for_end(run_dir, started, timeout_s):
        time.sleep(POLL_S if timeout_s is None else min(POLL_S, timeout_s))


def _wait_for_end(run_dir: Path, started: run.Started, timeout_s: float | None) -> bool:
    """False if this system, or this moment, has no pidfd to wait on."""
    try:
        pidfd = os.pidfd_open(started.supervisor_pid)
    except (OSError, AttributeError):
        return False
    try:
        if not _supervises(run_dir, started):
            return False
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(1000 * min(WAIT_SLICE_S, timeout_s if timeout_s is not None else WAIT_SLICE_S))
        return True
    finally:
        os.close(pidfd)


def _spawn_failed(detail: str) -> Exited:
    return _not_run("spawn-failed", detail)


def _not_run(reason: str, detail: str) -> Exited:
    return Exited(None, None, reason, detail, None, time.time(), None, None, 0)
