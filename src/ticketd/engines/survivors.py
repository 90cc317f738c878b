"""What a killed supervisor leaves: which processes are the run's, and their end.

A process is the run's if one of these says so, asked again once its number can no longer pass to another:

- it is in the run's control group
- the run's mark stands in its environment
- the last heartbeat names it, with the same start
- it is in the session of the agent, at work in the agent's directory, and nobody else has the agent's number by now
- it has come of one of them

No name, no age and no working directory alone makes it so: a person's shell that stands in a worktree is left alone,
and named. After a restart of the machine nothing is the run's: all of it is gone, and every number is somebody else's.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ticketd.engines import run
from ticketd.engines.supervisor import processes
from ticketd.engines.supervisor.cgroups import kill_cgroup, remove_cgroup
from ticketd.engines.supervisor.records import read_small

SWEEP_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Remains:
    """`left`: the run's own processes that could not be ended, empty if there are none; `doubts`: what a person should
    know of others, empty likewise."""

    left: str = ""
    doubts: str = ""


def end_survivors(run_dir: Path, mark: str = "") -> Remains:
    """Call only with the run's lock held, for a run of this boot that has begun and is lost. `mark`: the run's, where
    its records do not tell it any more."""
    if not processes.everyone():
        return Remains(doubts="without /proc nobody can look for what it left")
    spec, started = run.read_spec(run_dir), run.read_started(run_dir)
    is_own = _ownership(spec, started, run.read_kin(run_dir), spec.mark if spec else mark)
    give_up_at, pause_s = time.monotonic() + SWEEP_LIMIT_S, 0.002
    while (found := _with_offspring(is_own)) and time.monotonic() < give_up_at:
        kill_cgroup(started.cgroup if started else None)
        for pid in found:
            processes.strike(pid, signal.SIGKILL, _still(pid, found[pid]))
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.2)
    remove_cgroup(started.cgroup if started else None)
    at_work = processes.named(pid for pid in _processes() if pid not in found and spec and _works_in(pid, spec.cwd))
    alone = f"still in its worktree and not known to be its own, so left alone: {at_work}"
    return Remains(processes.named(found), alone if at_work else "")


def _ownership(
    spec: run.Ran | None, started: run.Started | None, kin: dict[int, int], mark: str
) -> Callable[[int, int], bool]:
    grouped = f"/{Path(started.cgroup).name}" if started and started.cgroup else None

    def is_own(pid: int, start: int) -> bool:
        if grouped and grouped in _cgroup_of(pid):
            return True
        if mark and processes.has_mark(pid, mark):
            return True
        return kin.get(pid) == start or bool(spec and started and _is_in_session(pid, started, spec.cwd))

    return is_own


def _with_offspring(is_own: Callable[[int, int], bool]) -> dict[int, int]:
    """The run's processes with their starts, and all that has come of them; zombies are over."""
    own = {pid: start for pid in _processes() if (start := processes.start_of(pid)) is not None and is_own(pid, start)}
    for root in list(own):
        for pid, _ in processes.family(root):
            if pid != os.getpid() and (start := processes.start_of(pid)) is not None:
                own[pid] = start
    return own


def _processes() -> Iterator[int]:
    """All but this one and the dead."""
    for pid in processes.everyone():
        if pid != os.getpid() and processes.stat(pid)[:1] not in ([], [b"Z"], [b"X"]):
            yield pid


def _still(pid: int, start: int) -> Callable[[int], bool]:
    return lambda _: processes.start_of(pid) == start


def _is_in_session(pid: int, started: run.Started, cwd: Path) -> bool:
    """As long as a session has a member, the kernel gives its number to nobody; once it had none, the number may lead
    another's."""
    fields = processes.stat(pid)
    if not fields or int(fields[3]) != started.pid or processes.start_of(started.pid) not in (None, started.pid_start):
        return False
    return started.pid_start is not None and int(fields[19]) >= started.pid_start and _works_in(pid, cwd)


def _works_in(pid: int, directory: Path) -> bool:
    try:
        return (Path(f"/proc/{pid}/cwd").readlink()).is_relative_to(directory)
    except OSError:
        return False


def _cgroup_of(pid: int) -> str:
    return (read_small(f"/proc/{pid}/cgroup") or b"").decode("utf-8", "replace")
