"""The start of the agent: on record before its program is executed, or not at all."""

from __future__ import annotations

import errno
import os
import time

from .cgroups import volunteer, write_control
from .processes import MARK, PR_SET_PDEATHSIG, boot_id, passed, prctl, signal, start_of
from .records import PRIVATE, READ_LIMIT, SPEC_LIMIT, dump, parse, read_small, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

READY = b"!"
SHORT = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
LASTING = {
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR, errno.E2BIG, errno.EINVAL),
    *(errno.ELOOP, errno.ENAMETOOLONG),
}


class Spec:
    """`spec.json`; KeyError, TypeError or ValueError if it is not one."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.argv: list[str] = [str(arg) for arg in raw["argv"]]
        self.cwd: str = raw["cwd"]
        self.env: dict[str, str] = dict(raw["env"])
        self.stdin: str = raw["stdin"] or os.devnull
        self.log: str = raw["log"]
        self.timeout_s = None if raw["timeout_s"] is None else float(raw["timeout_s"])
        self.grace_s = float(raw["grace_s"])
        self.mark: str = raw["mark"]
        self.doorbell: str | None = raw["doorbell"]
        self.log_limit = int(raw["log_limit"])
        self.die_with_parent = bool(raw["die_with_parent"])
        self.heartbeat_s = float(raw["heartbeat_s"])
        if self.mark:
            self.env[MARK] = self.mark


def load_spec() -> Spec:
    data = read_small("spec.json", SPEC_LIMIT)
    if data is None:
        raise ValueError("spec.json is missing or too large")
    try:
        return Spec(parse(data.decode("utf-8")))
    except (KeyError, TypeError, ValueError) as err:
        raise ValueError(f"spec.json is malformed: {err!r}") from err


def open_log(path: str) -> int:
    """An agent could have planted a link or a pipe where its next log goes: neither is followed, neither blocks."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | PRIVATE, 0o600)
    if os.fstat(fd).st_mode & 0o170000 != 0o100000:
        os.close(fd)
        raise ValueError(f"log {path!r} is not a regular file")
    os.set_blocking(fd, True)
    return fd


def open_stdin(path: str) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(fd, True)
    return fd


class NotRun(Exception):
    """The agent's program has not been executed: why, as an exit record's reason and detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def why_not_run(err: BaseException, executing: bool) -> str:
    """no-capacity: nothing is wrong with the command. cannot-run: it stays so until somebody mends the command. What
    comes before its execution (the directory, the log) is never the command's fault."""
    number = getattr(err, "errno", None)
    if number in SHORT:
        return "no-capacity"
    lasting = number in LASTING or isinstance(err, ValueError)  # ValueError: what no program can be given
    return "cannot-run" if executing and lasting else "spawn-failed"


def launch(spec: Spec, log: int, lock: int, umask: int, cgroup: str | None) -> tuple[int, float]:
    """The agent's pid and start (epoch seconds), its program executing. OSError or NotRun: nothing has run."""
    stdin = open_stdin(spec.stdin)
    gate, opener = os.pipe()
    trouble, teller = os.pipe()
    supervisor, started_at = os.getpid(), time.time()
    pid = os.fork()
    if pid == 0:
        os.close(lock)
        os.close(opener)
        become_agent(spec, supervisor, gate, teller, (stdin, log, log), umask, cgroup)
    for fd in (stdin, gate, teller):
        os.close(fd)
    try:
        record_start(pid, started_at, cgroup)
        os.write(opener, READY)
        passed("supervisor/gate")
    finally:  # closed without a word, the gate lets nobody through
        os.close(opener)
        said = os.read(trouble, READ_LIMIT)
        os.close(trouble)
        if said:
            os.waitpid(pid, 0)
    if said:
        reason, _, detail = said.decode("utf-8", "replace").partition(" ")
        raise NotRun(reason, detail)
    return pid, started_at


def record_start(pid: int, started_at: float, cgroup: str | None) -> None:
    me = os.getpid()
    record = {"pid": pid, "pid_start": start_of(pid), "boot_id": boot_id(), "started_at": started_at, "cgroup": cgroup}
    replace("started.json", dump(record | {"supervisor_pid": me, "supervisor_start": start_of(me)}), durable=True)
    passed("supervisor/started")


def join(cgroup: str | None) -> None:
    if cgroup is not None:
        write_control(f"{cgroup}/cgroup.procs", b"0")
    volunteer()


def become_agent(
    spec: Spec,
    supervisor: int,
    gate: int,
    teller: int,
    stdio: tuple[int, int, int],
    umask: int,
    cgroup: str | None,
) -> NoReturn:
    """The child's side of `launch`: waits at the gate, then becomes the program or says through `teller` why not."""
    step, executing = "cannot prepare", False
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        join(cgroup)
        if os.getppid() != supervisor or os.read(gate, 1) != READY:
            raise OSError("the supervisor is gone or could not record the start")
        restore_signals()
        os.umask(umask)
        for target, fd in enumerate(stdio):
            os.dup2(fd, target)
        step = f"cannot enter {spec.cwd!r}"
        os.chdir(spec.cwd)
        step, executing = f"cannot run {spec.argv[0]!r}", True
        os.execvpe(spec.argv[0], spec.argv, spec.env)
    except BaseException as err:
        reason = getattr(err, "strerror", None) or str(err)
        os.write(teller, f"{why_not_run(err, executing)} {step}: {reason}".encode("utf-8", "replace"))
    finally:
        os._exit(127)


def restore_signals() -> None:
    """An ignored or blocked signal would stay so across exec."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
