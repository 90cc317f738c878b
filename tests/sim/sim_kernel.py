"""Virtual time and deterministic threads: of all threads one runs at a time, and a seed decides which.

The daemon is the real one, with its threads, locks and events; only that these are ours. A thread may lose its turn
at every call of a port, and nowhere else, so a seed names one interleaving and replays it exactly. When every thread
waits, time jumps to the next thing that is due. Modelled on FoundationDB's simulation and on Rust's `loom`.
"""

from __future__ import annotations

import heapq
import random
import threading as real
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any


class Killed(BaseException):
    """The process that this thread is of has been killed: nothing it still does counts."""


class Stuck(BaseException):
    """Nothing will ever happen again, or too much does. Nothing in the daemon is to catch it."""


@dataclass(eq=False)
class Process:
    """One life of the daemon: its threads die together."""

    name: str
    dead: bool = False
    threads: set[SimThread] = field(default_factory=set)


class SimThread:
    """A real thread that runs only when it is its turn. Stands in for `threading.Thread`."""

    def __init__(
        self,
        target: Callable[..., object] = lambda: None,
        name: str = "",
        daemon: bool = True,
        args: tuple[Any, ...] = (),
        process: Process | None = None,
    ) -> None:
        kernel = Kernel.now_running
        assert kernel is not None
        self.kernel, self.name, self._target, self._args = kernel, name, target, args
        self.process = process or kernel.current.process
        self.turn = real.Lock()
        self.turn.acquire()
        self.ready = False
        self.over = False
        self.number = 0
        self._joining: list[SimThread] = []
        self._thread = real.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self.process.threads.add(self)
        self.kernel.enter(self)
        self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        me = self.kernel.current
        if not self.over:
            self._joining.append(me)
            self.kernel.wait(timeout)

    def finished(self) -> bool:
        return self.over

    def _run(self) -> None:
        self.turn.acquire()
        try:
            if not self.process.dead:
                self._target(*self._args)
        except Killed:
            pass
        except Stuck as error:
            self.kernel.faults.append(error)
            self.kernel.end()
            return
        except BaseException as error:
            self.kernel.faults.append(error)
        self.over = True
        self.process.threads.discard(self)
        for thread in self._joining:
            self.kernel.make_ready(thread)
        self.kernel.leave()


@dataclass(order=True)
class _Due:
    at: float
    number: int
    act: Callable[[], None] | None = field(compare=False)


class Kernel:
    """`switch`: how likely a thread is to lose its turn at a port. Times are seconds of virtual monotonic time."""

    now_running: Kernel | None = None
    MOST_STEPS = 30_000

    def __init__(self, seed: int, switch: float) -> None:
        self.random = random.Random(f"kernel {seed}")
        self.switch = switch
        self.time = 0.0
        self.steps = 0
        self.faults: list[BaseException] = []
        self._ready: list[SimThread] = []
        self._due: list[_Due] = []
        self._numbers = 0
        self._digest = blake2b(digest_size=8)
        self._over = real.Event()
        self.trace: list[str] | None = None
        self.current: SimThread = None  # type: ignore[assignment]
        Kernel.now_running = self

    def run(self, main: Callable[[], None]) -> None:
        """Run `main` as the first thread, until it ends. Whatever is left then is killed."""
        nobody = Process("the test")
        self.current = SimThread(process=nobody)
        SimThread(lambda: self._last(main), "main", process=nobody).start()
        self.leave()
        self._over.wait()
        Kernel.now_running = None

    def _last(self, main: Callable[[], None]) -> None:
        try:
            main()
        finally:
            self.end()

    def end(self) -> None:
        """Nobody has a turn any more."""
        self._over.set()

    # --- what is said of it ---

    def tell(self, words: str) -> None:
        self._digest.update(words.encode(errors="backslashreplace"))
        if self.trace is not None:
            self.trace.append(f"{self.time:10.3f} {self.current.process.name} {self.current.name:14} {words}")

    def digest(self) -> str:
        """Of all that was told: the same for the same seed."""
        return self._digest.hexdigest()

    # --- turns ---

    def enter(self, thread: SimThread) -> None:
        self._numbers += 1
        thread.number = self._numbers
        self.make_ready(thread)

    def make_ready(self, thread: SimThread) -> None:
        if not thread.ready and not thread.over:
            thread.ready = True
            self._ready.append(thread)

    def pause(self) -> None:
        """At a port: here others may come first, and here a process may be killed."""
        self.steps += 1
        if self.steps > self.MOST_STEPS:
            self.steps = 0
            raise Stuck(f"no end after {self.MOST_STEPS} steps")
        me = self.current
        if self._due and self._due[0].at <= self.time:
            self._act()
        if me.process.dead:
            raise Killed
        if self._ready and self.random.random() < self.switch:
            self.make_ready(me)
            self._switch(me)

    def wait(self, timeout: float | None) -> None:
        """Until somebody makes this thread ready, or so many seconds have passed."""
        me = self.current
        if me.process.dead:
            raise Killed
        due = None if timeout is None else self.at(self.time + timeout, lambda: self.make_ready(me))
        self._switch(me)
        if due is not None:
            due.act = None

    def leave(self) -> None:
        """The thread is over: somebody else's turn."""
        if self._over.is_set():
            return
        following = self._next()
        if following is None:
            self.faults.append(Stuck("all threads are over, or wait for nothing"))
            self.end()
        else:
            self._give(following)

    def _switch(self, me: SimThread) -> None:
        following = self._next(me)
        if following is None:
            raise Stuck("nobody can go on, and nothing is due")
        if following is not me:
            self._give(following)
            me.turn.acquire()
        if me.process.dead:
            raise Killed

    def _give(self, thread: SimThread) -> None:
        self.current = thread
        thread.turn.release()

    def _next(self, before: SimThread | None = None) -> SimThread | None:
        """`before`: who gives up its turn. Until somebody has the turn it is still the current one, which a kill takes
        for one that will notice by itself."""
        while not self._ready:
            if not self._due:
                return None
            self._act()
            if before is not None and before.process.dead:
                self.make_ready(before)
        thread = self._ready.pop(self.random.randrange(len(self._ready)))
        thread.ready = False
        return thread

    # --- time ---

    def at(self, time: float, act: Callable[[], None]) -> _Due:
        self._numbers += 1
        due = _Due(max(time, self.time), self._numbers, act)
        heapq.heappush(self._due, due)
        return due

    def after(self, seconds: float, act: Callable[[], None]) -> _Due:
        return self.at(self.time + seconds, act)

    def _act(self) -> None:
        due = heapq.heappop(self._due)
        if due.act is not None:
            self.time = max(self.time, due.at)
            due.act()

    # --- death ---

    def kill(self, process: Process) -> None:
        """As by SIGKILL. Its threads come to their ends without another word to the world."""
        if process.dead:
            return
        process.dead = True
        self.tell(f"KILLED {process.name}")
        for thread in sorted(process.threads, key=lambda each: each.number):
            if thread is not self.current:
                self.make_ready(thread)


# --- what the daemon's modules find under the name `threading` ------------------------------------------------------


def _kernel() -> Kernel:
    assert Kernel.now_running is not None
    return Kernel.now_running


class SimLock:
    """Reentrant where asked. A killed process's locks mean nothing to anybody."""

    def __init__(self, reentrant: bool = False) -> None:
        self._reentrant = reentrant
        self._owner: SimThread | None = None
        self._depth = 0
        self._waiting: list[SimThread] = []

    def acquire(self) -> bool:
        me = _kernel().current
        if self._reentrant and self._owner is me:
            self._depth += 1
            return True
        while self._owner is not None:
            self._waiting.append(me)
            _kernel().wait(None)
        self._owner, self._depth = me, 1
        return True

    def release(self) -> None:
        me = _kernel().current
        if me.process.dead:
            return
        assert self._owner is me, "released by another"
        self._depth -= 1
        if not self._depth:
            self._owner = None
            waiting, self._waiting = self._waiting, []
            for thread in waiting:
                _kernel().make_ready(thread)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class SimEvent:
    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[SimThread] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        waiting, self._waiting = self._waiting, []
        for thread in waiting:
            _kernel().make_ready(thread)

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            me = _kernel().current
            self._waiting.append(me)
            _kernel().wait(timeout)
            if me in self._waiting:
                self._waiting.remove(me)
        return self._is_set


class SimCondition(SimLock):
    def __init__(self) -> None:
        super().__init__(reentrant=True)
        self._changed = SimEvent()

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        while not predicate():
            self._changed.clear()
            self.release()
            self._changed.wait(timeout)
            self.acquire()
        return True

    def notify_all(self) -> None:
        self._changed.set()


class SimFuture:
    def __init__(self) -> None:
        self._then: list[Callable[[SimFuture], object]] = []
        self._over = False

    def add_done_callback(self, then: Callable[[SimFuture], object]) -> None:
        if self._over:
            then(self)
        else:
            self._then.append(then)

    def finish(self) -> None:
        self._over = True
        for then in self._then:
            then(self)


class SimPool:
    """Stands in for `ThreadPoolExecutor`."""

    def __init__(self, max_workers: int, thread_name_prefix: str = "") -> None:
        self._most, self._name = max_workers, thread_name_prefix
        self._work: list[tuple[SimFuture, Callable[..., object], tuple[Any, ...]]] = []
        self._idle: list[SimEvent] = []
        self._threads: list[SimThread] = []
        self._closed = False

    def submit(self, work: Callable[..., object], *args: Any) -> SimFuture:
        future = SimFuture()
        self._work.append((future, work, args))
        if self._idle:
            self._idle.pop(0).set()
        elif len(self._threads) < self._most:
            thread = SimThread(self._serve, f"{self._name}-{len(self._threads)}")
            self._threads.append(thread)
            thread.start()
        return future

    def _serve(self) -> None:
        while True:
            while self._work:
                future, work, args = self._work.pop(0)
                try:
                    work(*args)
                except Exception as error:
                    _kernel().faults.append(error)
                future.finish()
            if self._closed:
                return
            event = SimEvent()
            self._idle.append(event)
            event.wait()

    def shutdown(self, wait: bool = True) -> None:
        self._closed = True
        for event in self._idle:
            event.set()
        if wait:
            for thread in self._threads:
                thread.join()


class Threading:
    """The names of `threading` that the daemon's modules use."""

    Thread, Event, Condition = SimThread, SimEvent, SimCondition
    Lock = SimLock

    @staticmethod
    def RLock() -> SimLock:  # as in `threading`
        return SimLock(reentrant=True)
