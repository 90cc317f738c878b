"""The run directory as the daemon sees it: its files, and the lock that says whether a run is alive.

What is read here was written by another process, maybe by an agent that meddles: sizes are capped, links are not
followed, and a file that is not what it should be counts as absent.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

from ticketd import failpoints
from ticketd.app.places import make_private
from ticketd.engines.supervisor.cgroups import CGROUPS, OWN_CGROUP
from ticketd.engines.supervisor.processes import boot_id
from ticketd.engines.supervisor.records import READ_LIMIT, SPEC_LIMIT, read_small
from ticketd.ports import Exited, Pulse, RunSpec

HELD_UP_CHARS = 300
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Started:
    """`started.json`. The start times are in clock ticks since boot, None without /proc; like the pids they mean
    something only within the same boot. `cgroup`: the run's own, if it has one."""

    pid: int
    started_at: float
    supervisor_pid: int
    supervisor_start: int | None
    pid_start: int | None = None
    boot_id: str | None = None
    cgroup: str | None = None

    @property
    def is_of_this_boot(self) -> bool:
        """What cannot be told is taken to be: then it is marks and numbers that decide, each for itself."""
        return self.boot_id is None or boot_id() in (None, self.boot_id)


@dataclass(frozen=True, slots=True)
class Ran:
    """What `spec.json` says of where it ran, and by which mark its processes are known (empty: by none)."""

    cwd: Path
    mark: str


def make_directory(run_dir: Path) -> None:
    """The private directory of one run; OSError if it cannot be, or if it stands there and is somebody else's."""
    make_private(run_dir)
    found = run_dir.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{run_dir} is not a directory of this user")
    run_dir.chmod(0o700)


def write_spec(spec: RunSpec, heartbeat_s: float) -> None:
    """FileExistsError if this directory has been used for a run before."""
    record = {
        "argv": list(spec.argv),
        "cwd": str(spec.cwd.absolute()),
        "env": dict(spec.env),
        "stdin": str(spec.stdin.absolute()) if spec.stdin else None,
        "log": str(spec.log.absolute()),
        "timeout_s": spec.timeout_s,
        "grace_s": spec.grace_s,
        "mark": spec.mark,
        "doorbell": str(spec.doorbell) if spec.doorbell else None,
        "log_limit": spec.log_limit,
        "die_with_parent": spec.die_with_parent,
        "heartbeat_s": heartbeat_s,
    }
    _write_new(spec.run_dir / "spec.json", record)
    failpoints.hit("run/spec")


def write_end(run_dir: Path, grace_s: float) -> None:
    """The request to end; replaces an earlier one at once."""
    draft = run_dir / f"end.{uuid4().hex}"
    _write_new(draft, {"grace_s": grace_s})
    draft.rename(run_dir / "end")
    failpoints.hit("run/end")


def forget_environment(run_dir: Path) -> None:
    """Of a run that is over: keys are in it, and the rest of its records stays."""
    path = run_dir / "spec.json"
    match record := _read(path, SPEC_LIMIT):
        case {"env": dict(given)} if given:
            draft = run_dir / f"spec.{uuid4().hex}"
            _write_new(draft, {**record, "env": {}})
            draft.rename(path)
            failpoints.hit("run/forgotten")


def void(run_dir: Path) -> None:
    """Call only with the lock held."""
    (run_dir / "void").touch(mode=0o600)
    failpoints.hit("run/void")


def is_void(run_dir: Path) -> bool:
    return os.path.lexists(run_dir / "void")


def has_begun(run_dir: Path) -> bool:
    return os.path.lexists(run_dir / "started.json") or os.path.lexists(run_dir / "exit.json")


def is_held(run_dir: Path) -> bool:
    """Whether another process holds the lock. A shared lock asks: two that look at once do not mistake each other for
    a supervisor, and a supervisor that comes meanwhile waits for them."""
    try:
        fd = os.open(run_dir / "lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


@contextmanager
def locked(run_dir: Path) -> Iterator[bool]:
    """Hold the lock for a moment, without waiting for it; False if it was not to be had."""
    fd = os.open(run_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def read_started(run_dir: Path) -> Started | None:
    match _read(run_dir / "started.json"):
        case {"pid": int(pid), "started_at": float(at), "supervisor_pid": int(supervisor_pid), **rest} if pid > 0:
            return Started(
                pid,
                at,
                supervisor_pid,
                _whole(rest.get("supervisor_start")),
                _whole(rest.get("pid_start")),
                _text(rest.get("boot_id")),
                _own_cgroup(rest.get("cgroup")),
            )
        case _:
            return None


def read_pulse(run_dir: Path) -> Pulse | None:
    match _read(run_dir / "heartbeat.json"):
        case {"at": float(at), "log_bytes": int(size), **rest}:
            log_at, cpu_s, rss = rest.get("log_at"), rest.get("cpu_s"), rest.get("rss_bytes")
            held_up = "".join(c for c in _text(rest.get("held_up")) or "" if c.isprintable())[:HELD_UP_CHARS]
            return Pulse(at, size, _number(log_at), _number(cpu_s), _whole(rss), held_up)
        case _:
            return None


def read_exit(run_dir: Path) -> Exited | None:
    match _read(run_dir / "exit.json"):
        case {
            "code": int() | None as code,
            "signal": int() | None as number,
            "reason": "exited"
            | "timeout"
            | "ended"
            | "log-limit"
            | "cannot-run"
            | "no-capacity"
            | "spawn-failed" as reason,
            "detail": str(detail),
            "started_at": float() | None as started_at,
            "ended_at": float(ended_at),
            "cpu_s": float() | None as cpu_s,
            "max_rss_bytes": int() | None as rss,
            "stragglers": int(stragglers),
        }:
            return Exited(code, number, reason, detail, started_at, ended_at, cpu_s, rss, stragglers)
        case _:
            return None


def read_spec(run_dir: Path) -> Ran | None:
    match _read(run_dir / "spec.json", SPEC_LIMIT):
        case {"mark": str(mark), "cwd": str(cwd)} if cwd.startswith("/"):
            return Ran(Path(cwd), mark)
        case _:
            return None


def read_kin(run_dir: Path) -> dict[int, int]:
    """Pid and start of each process that lived at the last heartbeat."""
    match _read(run_dir / "heartbeat.json"):
        case {"kin": str(kin)}:
            pairs = [each.partition(":") for each in kin.split()]
            return {int(pid): int(start) for pid, _, start in pairs if pid.isdecimal() and start.isdecimal()}
        case _:
            return {}


def read_environment(run_dir: Path) -> Mapping[str, str]:
    """What the run was given; nothing if that is forgotten, or its spec gone or unreadable."""
    match _read(run_dir / "spec.json", SPEC_LIMIT):
        case {"env": dict(given)}:
            return {name: value for name, value in given.items() if isinstance(value, str)}
        case _:
            return {}


def last_words(run_dir: Path) -> str:
    """The last line that a supervisor wrote to its standard error, at most 300 characters; usually none."""
    text = (read_small(str(run_dir / "supervisor.err")) or b"").decode("utf-8", "replace")
    return next((line.strip()[:300] for line in reversed(text.splitlines()) if line.strip()), "")


def _read(path: Path, limit: int = READ_LIMIT) -> Any:
    try:
        return json.loads(read_small(str(path), limit) or b"null")
    except (ValueError, RecursionError):
        return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _own_cgroup(value: object) -> str | None:
    """Only one of a name that a supervisor gives, in the kernel's file system: all that is in it will be killed."""
    path = PurePosixPath(value) if isinstance(value, str) else PurePosixPath()
    below = any(path.is_relative_to(mount) for mount in CGROUPS)
    own = re.fullmatch(OWN_CGROUP + "[0-9a-f]{16}", path.name)
    return str(path) if below and own and ".." not in path.parts else None


def _write_new(path: Path, record: dict[str, Any]) -> None:
    with os.fdopen(os.open(path, NEW, 0o600), "w", encoding="ascii") as file:
        json.dump(record, file)
