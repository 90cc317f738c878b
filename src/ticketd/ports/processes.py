"""Time, waking, and supervised processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Epoch seconds."""

    def monotonic(self) -> float: ...


class Bell(Protocol):
    """The doorbell: says "look again", never what has happened."""

    def ring(self) -> None: ...

    def wait(self, timeout_s: float | None) -> bool:
        """Until rung or timed out; True if rung. Rings that came before are answered at once, all together."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One supervised process. `run_dir` is where it leaves its records; `mark` goes into its environment."""

    run_dir: Path
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    stdin: Path | None
    log: Path
    timeout_s: float | None
    grace_s: float = 5.0
    mark: str = ""
    doorbell: Path | None = None
    die_with_parent: bool = False
    log_limit: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Pulse:
    """A sign of life. Times are epoch seconds. `held_up`: why it does not go on, or cannot be ended, where a person may
    have to help."""

    at: float
    log_bytes: int
    log_at: float | None
    cpu_s: float | None
    rss_bytes: int | None
    held_up: str = ""


@dataclass(frozen=True, slots=True)
class Alive:
    pid: int
    started_at: float
    pulse: Pulse | None


@dataclass(frozen=True, slots=True)
class Exited:
    """`reason`: exited, timeout, ended (asked to), log-limit; or nothing has run: cannot-run (until somebody mends the
    command), no-capacity, spawn-failed (anything else). `stragglers`: what it had left alive."""

    code: int | None
    signal: int | None
    reason: str
    detail: str
    started_at: float | None
    ended_at: float
    cpu_s: float | None
    max_rss_bytes: int | None
    stragglers: int


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """Nothing ran and nothing will."""


@dataclass(frozen=True, slots=True)
class LostRun:
    """It began, its supervisor is gone, and no exit was recorded. `with_machine`: the machine was started anew since;
    `left`: those of its processes that could not be ended, from `settle`."""

    detail: str
    with_machine: bool = False
    left: str = ""


@dataclass(frozen=True, slots=True)
class NoCapacity:
    """A start was refused for want of processes, memory or descriptors. Nothing ran and nothing will."""

    detail: str


RunState = Alive | Exited | NeverStarted | LostRun


class Engine(Protocol):
    name: str

    def start(self, spec: RunSpec) -> Alive | Exited | NoCapacity:
        """Returns once the process is under way (or over, or could not be begun). After `NoCapacity` the same may be
        asked again, with a run directory that is new."""

    def look(self, run_dir: Path) -> RunState: ...

    def settle(self, run_dir: Path, begun_as: str = "") -> RunState:
        """After a crash: like `look`, but a run that has not begun never will, and what a lost one left is ended. May
        take seconds. `begun_as`: the mark of one that is known to have begun, whatever has become of its records."""

    def end(self, run_dir: Path, grace_s: float) -> None:
        """Asks for the end of the whole process tree; returns at once."""

    def wait(self, run_dir: Path, timeout_s: float | None) -> RunState:
        """Blocks until the run is over."""

    def forget(self, run_dir: Path) -> None:
        """What the run was given in its environment is kept no longer, if it is over."""
