"""A run from the supervisor's first step to its last."""

from __future__ import annotations

import fcntl
import os
import time

from .cgroups import make_cgroup, remove_cgroup
from .launching import READY, NotRun, launch, load_spec, open_log, why_not_run
from .processes import PR_SET_CHILD_SUBREAPER, passed, prctl
from .records import PRIVATE, dump, sync_directory, write_whole
from .watching import Bedside, Run, reaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .launching import Spec
    from .records import Record

VOIDED = 75  # exit status: told never to begin, or has begun before
SLIP_BYTES = 4096
DETAIL_CHARS = 300  # at most 12 bytes each once escaped: fits the slip


class Slip:
    """The exit record's room on disk, taken before anything runs."""

    def __init__(self) -> None:
        self.fd = os.open("exit.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | PRIVATE, 0o600)
        write_whole(self.fd, b" " * SLIP_BYTES)

    def hand_in(self, record: Record) -> None:
        try:
            os.pwrite(self.fd, dump(record), 0)
            os.fsync(self.fd)
        finally:  # what could not be synced is still worth its name
            os.rename("exit.tmp", "exit.json")
            passed("supervisor/exit")
        sync_directory()


def begin(run_dir: str) -> NoReturn:
    """The interpreter's own clearing up takes 2 ms, and the daemon waits for this exit."""
    os._exit(main(run_dir))


def main(run_dir: str) -> int:
    """0 once exit.json is written; VOIDED if the run may not begin."""
    umask = os.umask(0o077)
    os.closerange(3, 65536)
    try:
        os.setsid()
    except PermissionError:  # leads a session already
        pass
    os.chdir(run_dir)
    lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    passed("supervisor/lock")
    if any(map(os.path.lexists, ("void", "started.json", "exit.json"))):
        return VOIDED
    slip, bedside = Slip(), Bedside()
    passed("supervisor/slip")
    try:
        spec = load_spec()
    except ValueError as err:
        slip.hand_in(outcome("spawn-failed", str(err)))
        return 0
    slip.hand_in(conduct(spec, bedside, lock, umask))
    ring(spec.doorbell, os.path.basename(run_dir))
    return 0


def conduct(spec: Spec, bedside: Bedside, lock: int, umask: int) -> Record:
    """The run from its start to the end of its last process, as an exit record."""
    subreaper, cgroup = prctl(PR_SET_CHILD_SUBREAPER, 1), make_cgroup()
    try:
        return conduct_in(cgroup, spec, bedside, lock, umask, subreaper)
    finally:
        remove_cgroup(cgroup)


def conduct_in(cgroup: str | None, spec: Spec, bedside: Bedside, lock: int, umask: int, subreaper: bool) -> Record:
    try:
        log = open_log(spec.log)
        passed("supervisor/log")
        pid, started_at = launch(spec, log, lock, umask, cgroup)
    except NotRun as err:
        return outcome(err.reason, err.detail)
    except (OSError, ValueError) as err:
        return outcome(why_not_run(err, executing=False), str(err))
    run = Run(spec, bedside, log, subreaper, pid, cgroup)
    bedside.asked_to_end = os.path.lexists("end")  # asked before there was a pid to signal
    if spec.die_with_parent:
        bedside.watch_lifeline()
    report_ready()
    passed("supervisor/ready")
    status = run.stay()
    passed("supervisor/ended")
    cpu_s, rss = reaped()
    record = outcome(run.reason, run.detail, started_at)
    record |= {"cpu_s": cpu_s, "max_rss_bytes": max(rss, run.peak_rss), "stragglers": len(run.ended - {pid})}
    return record | ({"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"code": os.WEXITSTATUS(status)})


def outcome(reason: str, detail: str, started_at: float | None = None) -> Record:
    return {
        "code": None,
        "signal": None,
        "reason": reason,
        "detail": detail[:DETAIL_CHARS],
        "started_at": started_at,
        "ended_at": time.time(),
        "cpu_s": None,
        "max_rss_bytes": None,
        "stragglers": 0,
    }


def report_ready() -> None:
    """Standard output is the pipe on which the daemon waits; from here on nobody listens."""
    try:
        os.write(1, READY)
    except OSError:  # the daemon is gone: the run goes on without it
        pass
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def ring(doorbell: str | None, message: str) -> None:
    if doorbell is None:
        return
    import _socket

    bell = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    try:
        bell.setblocking(False)
        bell.sendto(message.encode("utf-8", "replace"), doorbell)
    except OSError:  # nobody at home, or too many rings: the daemon looks by itself too
        pass
