"""The process beside each agent: starts it, outlives the daemon, ends what it leaves behind, records how it went.

Runs alone, as `python -I -S supervisor.py RUN_DIR`, and imports nothing of ticketd: it must come up in milliseconds
and must not change under a run when ticketd is upgraded. That is also why it keeps to C modules: `json`, `signal`,
`socket`, `contextlib` and `dataclasses` cost 5 to 10 ms each (they bring `re` or `enum`), `ctypes` 3.

Files in the run directory (mode 0700, files 0600); the daemon's side of them is in `run.py`:

spec.json       what to run; written by the daemon, once
lock            flocked by the supervisor for its whole life: whether a run lives is asked of this lock, never of a pid
void            written by the daemon under the lock: this run must never begin
started.json    durable before the agent's program is executed
heartbeat.json  replaced every `heartbeat_s`; names all that lives of the run, for whoever finds the supervisor killed
end             written by the daemon, then SIGTERM: end the tree with this grace. Either alone does too, so that a
                daemon that cannot be sure of the supervisor's pid need not signal it
exit.json       a preallocated slip (exit.tmp) overwritten in place and renamed: a full disk cannot lose the exit code

A process tree is held by being its subreaper (Linux): whatever loses its parent becomes a child of the supervisor, in
whatever session it hides, and `wait` answers ECHILD only when nothing is left. Only then is the exit handed in: what
no signal ends (it hangs in the kernel, or is another user's) keeps the run alive, and the heartbeat names it. Where
control groups (v2) may be written, the run has one too, which ends what forks faster than it can be counted. Should the
supervisor be killed, the agent dies with it (parent-death signal); what else is left is found by the control group, by
the heartbeat and by the run's mark in its environment: `survivors.py`. Without a subreaper, the mark and the process
group are all there is. Where memory runs out, the kernel takes the agent before supervisor and daemon.
"""
# ruff: noqa: SIM105, PTH102, PTH104, PTH106, PTH109, PTH110, PTH115, PTH119, PTH208 - no contextlib or pathlib here, see above

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, NoReturn, TypeAlias

    Record: TypeAlias = dict[str, int | float | str | None]
else:
    try:
        import _signal as signal
    except ImportError:
        import signal

VOIDED = 75  # exit status: told never to begin, or has begun before
READY = b"!"
READ_LIMIT = 64 * 1024
SPEC_LIMIT = 8 * 1024 * 1024
SLIP_BYTES = 4096
DETAIL_CHARS = 300  # at most 12 bytes each once escaped: fits the slip
TICK_S = 1.0  # how often the log's size is looked at
STRAGGLER_GRACE_S = 0.2
HELD_UP_S = 2.0  # a process that SIGKILL has not ended by then is in the kernel's hands, or another user's
GIVE_UP_S = 10.0  # how long a run that is to die with the daemon waits for such a one
OOM_STEP = 300  # of 1000: as if the agent used so much more of the memory
CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
OWN_CGROUP = "ticketd-"
MOST_KIN = 1000  # at most 28 bytes each: the heartbeat stays within READ_LIMIT
SHOWN = 3
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PRIVATE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
MARK = "TICKETD_RUN"
SHORT = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
LASTING = {
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR, errno.E2BIG, errno.EINVAL),
    *(errno.ELOOP, errno.ENAMETOOLONG),
}


# Where a test has it die, as `ticketd.failpoints` has the daemon: NAME[:N] is for the supervisor of an Nth attempt.
_POINT, _, _NUMBER = os.environ.get("TICKETD_FAILPOINT", "").partition(":")


def passed(name: str) -> None:
    if name == _POINT and os.path.basename(os.getcwd()) == (_NUMBER or "1"):
        os.write(2, f"killed at the failpoint {name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)


# --- records ---------------------------------------------------------------------------------------------------------


def read_small(path: str, limit: int = READ_LIMIT) -> bytes | None:
    """A whole small file; None when it is missing, longer than `limit` bytes, a link or unreadable."""
    try:
        fd = os.open(path, os.O_RDONLY | PRIVATE)
    except OSError:
        return None
    try:
        data = os.read(fd, limit + 1)
    except OSError:
        return None
    finally:
        os.close(fd)
    return data if len(data) <= limit else None


def parse(text: str) -> Any:
    """JSON without the `json` package, whose import takes longer than all else here. ValueError if malformed."""
    try:
        from _json import make_scanner

        return make_scanner(_Reading)(text, 0)[0]  # type: ignore[arg-type]
    except (ImportError, AttributeError, TypeError):
        import json

        return json.loads(text)
    except (StopIteration, RecursionError, SystemError) as err:  # SystemError: its JSONDecodeError is not imported
        raise ValueError("malformed JSON") from err


class _Reading:
    """What the C scanner asks of a decoder."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int, parse_constant = float, int, float
    memo: dict[str, str] = {}


def dump(record: Mapping[str, int | float | str | None]) -> bytes:
    """A flat record as one line of ASCII JSON."""
    return ("{" + ", ".join(f'"{key}": {_literal(value)}' for key, value in record.items()) + "}\n").encode("ascii")


def _literal(value: int | float | str | None) -> str:
    if value is None:
        return "null"
    if not isinstance(value, str):
        return repr(value)
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json import dumps

        return dumps(value)
    return encode_basestring_ascii(value)


def replace(name: str, data: bytes, durable: bool) -> None:
    """Put a whole file in its place at once; `durable`: it and its name survive a power cut. OSError if it cannot."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | PRIVATE
    fd = os.open(f"{name}.tmp", flags, 0o600)
    try:
        write_whole(fd, data)
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(f"{name}.tmp", name)
    if durable:
        sync_directory()


def write_whole(fd: int, data: bytes) -> None:
    """A disk may have room for a part; half a record is none."""
    if os.write(fd, data) != len(data):
        raise OSError(28, "No space left on device")


def sync_directory() -> None:
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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


# --- processes -------------------------------------------------------------------------------------------------------


def prctl(option: int, value: int) -> bool:
    """Whether the kernel took the setting; False where there is no prctl."""
    if sys.platform != "linux":
        return False
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def stat(pid: int) -> list[bytes]:
    """Fields of /proc/PID/stat from the state on (state, parent, group, …); empty if there is no such process."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return os.read(fd, 4096).rpartition(b")")[2].split()
    except OSError:
        return []
    finally:
        os.close(fd)


def start_of(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; with the boot's id this tells it from a later one of the same
    number. None without /proc."""
    fields = stat(pid)
    return int(fields[19]) if fields else None


def parent_of(pid: int) -> int | None:
    fields = stat(pid)
    return int(fields[1]) if fields else None


def boot_id() -> str | None:
    """Within which pids and start times mean something: the kernel's boot, and the namespace of its pids. A container
    that is begun anew is a machine begun anew. None where that cannot be known."""
    data = read_small("/proc/sys/kernel/random/boot_id")
    try:
        return f"{data.decode('ascii').strip()} {os.readlink('/proc/self/ns/pid')}" if data else None
    except OSError:
        return None


def family(root: int) -> Iterator[tuple[int, int]]:
    """(pid, parent) of every descendant that is not a zombie, parents first. A fork meanwhile may be missed."""
    waiting = [root]
    while waiting:
        parent = waiting.pop(0)
        for pid in children(parent):
            waiting.append(pid)
            if stat(pid)[:1] not in ([], [b"Z"]):
                yield pid, parent


def children(parent: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{parent}/task")
    except OSError:
        return []
    lists = [read_small(f"/proc/{parent}/task/{thread}/children") for thread in threads]
    if any(lists) or os.path.lexists("/proc/thread-self/children"):
        return [int(pid) for text in lists if text for pid in text.split()]
    return [pid for pid in everyone() if parent_of(pid) == parent]  # a kernel without CONFIG_PROC_CHILDREN


def everyone() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def has_mark(pid: int, mark: str) -> bool:
    environment = read_small(f"/proc/{pid}/environ", SPEC_LIMIT)
    return environment is not None and f"{MARK}={mark}".encode() in environment.split(b"\0")


def marked(mark: str) -> list[int]:
    """Every process but this one that carries the run's mark; Linux only, nothing elsewhere or for an empty mark."""
    return [pid for pid in everyone() if pid != os.getpid() and has_mark(pid, mark)] if mark else []


def child_of(*parents: int) -> Callable[[int], bool]:
    return lambda pid: parent_of(pid) in parents


def carrier_of(mark: str) -> Callable[[int], bool]:
    return lambda pid: has_mark(pid, mark)


def strike(pid: int, number: int, ours: Callable[[int], bool]) -> None:
    """Signal a process, if it is still `ours` once its number can no longer pass to another."""
    try:
        fd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        return
    except OSError:  # a kernel before 5.3, or a sandbox that forbids it
        fd = None
    try:
        if not ours(pid):
            return
        if fd is None:
            os.kill(pid, number)
        else:
            signal.pidfd_send_signal(fd, number)
    except OSError:  # gone meanwhile, or not ours to signal
        pass
    finally:
        if fd is not None:
            os.close(fd)


def named(pids: Iterable[int]) -> str:
    """Processes as a person would look for them: the first of them, and how many more there are."""
    told, some = [], sorted(set(pids))
    for pid in some[:SHOWN]:
        name = (read_small(f"/proc/{pid}/comm") or b"?").decode("utf-8", "replace").strip()
        told.append(f"{pid} ({''.join(each for each in name if each.isprintable())})")
    return ", ".join(told) + (f" and {len(some) - SHOWN} more" if len(some) > SHOWN else "")


def make_cgroup() -> str | None:
    """A control group below our own; None where we may not make one, or the kernel (before 5.14) cannot end one."""
    lines = (read_small("/proc/self/cgroup") or b"").decode("utf-8", "replace").splitlines()
    own = next((line[3:].rstrip("/") for line in lines if line.startswith("0::/")), None)
    if own is None:
        return None
    for mount in CGROUPS:
        made = f"{mount}{own}/{OWN_CGROUP}{os.urandom(8).hex()}"
        try:
            os.mkdir(made, 0o755)
        except OSError:
            continue
        if os.path.exists(f"{made}/cgroup.kill"):
            return made
        remove_cgroup(made)
    return None


def write_control(path: str, text: bytes) -> None:
    """Into a file of the kernel's; where it does not take it, nothing is lost but one net of several."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, text)
    except OSError:
        pass
    finally:
        os.close(fd)


def kill_cgroup(cgroup: str | None) -> None:
    if cgroup is not None:
        write_control(f"{cgroup}/cgroup.kill", b"1")


def remove_cgroup(cgroup: str | None) -> None:
    """An empty one goes at once; one that is not stays, and does no harm."""
    try:
        if cgroup is not None:
            os.rmdir(cgroup)
    except OSError:
        pass


def volunteer() -> None:
    """To be raised the score needs no privilege, and what comes of this process inherits it."""
    score = read_small("/proc/self/oom_score_adj")
    if score is not None:
        write_control("/proc/self/oom_score_adj", b"%d" % min(1000, int(score) + OOM_STEP))


def reap_any() -> bool:
    """Take every ended child; True if there is no child left at all."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


# --- starting --------------------------------------------------------------------------------------------------------


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


# --- supervising -----------------------------------------------------------------------------------------------------


class Bedside:
    """What wakes the supervisor: a signal, the daemon's death where the run is to die with it, or a time."""

    def __init__(self) -> None:
        self.inbox, outbox = os.pipe()
        for fd in (self.inbox, outbox):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(outbox, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)
        self.poll = select.poll()
        self.poll.register(self.inbox, select.POLLIN)
        self.asked_to_end = False
        self.orphaned = False

    def watch_lifeline(self) -> None:
        """Standard input is a pipe whose other end only the daemon holds."""
        self.poll.register(0, select.POLLIN | select.POLLHUP)

    def wait(self, timeout_s: float) -> None:
        for fd, _ in self.poll.poll(max(0, int(timeout_s * 1000) + 1)):
            if fd == 0:
                self.orphaned = True
                self.poll.unregister(0)
            elif signal.SIGTERM in os.read(self.inbox, 4096):
                self.asked_to_end = True


class Run:
    """One agent under way. Times without a name are CLOCK_MONOTONIC seconds, so a clock that jumps ends nothing."""

    def __init__(self, spec: Spec, bedside: Bedside, log: int, subreaper: bool, pid: int, cgroup: str | None) -> None:
        self.spec, self.bedside, self.log, self.subreaper, self.pid = spec, bedside, log, subreaper, pid
        self.cgroup = cgroup
        now = time.monotonic()
        self.deadline = now + spec.timeout_s if spec.timeout_s is not None else None
        self.kill_at: float | None = None
        self.killed_at: float | None = None
        self.end_seen: tuple[int, int] | None = None
        self.status: int | None = None
        self.next_pulse = now + spec.heartbeat_s
        self.reason, self.detail = "exited", ""
        self.ended: set[int] = set()
        self.peak_rss = 0

    def stay(self) -> int:
        """Until the agent's main process has ended and nothing of it is left; its wait status."""
        try:
            while not self.agent_has_ended():
                self.decide(time.monotonic())
                self.bedside.wait(self.patience())
            status = self.clear_up()
            if status and self.bedside.asked_to_end and self.reason == "exited":
                # A shutdown signals everybody at once: the agent may be gone before the request has been looked at.
                self.reason, self.detail = "ended", "asked to end"
            return status
        except BaseException:  # a fault in here: better a lost run than one that nobody watches
            self.signal_all(signal.SIGKILL)
            raise

    def agent_has_ended(self) -> bool:
        """Takes orphans that ended, but leaves the agent itself a zombie: that pins the number of its group."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
            return bool(pid)
        while (child := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if child.si_pid == self.pid:
                return True
            os.waitpid(child.si_pid, 0)
        return False

    def patience(self) -> float:
        now = time.monotonic()
        times = [now + TICK_S, self.next_pulse, self.kill_at if self.kill_at is not None else self.deadline]
        return max(0.0, min(at for at in times if at is not None) - now)

    def decide(self, now: float) -> None:
        if self.bedside.asked_to_end or self.is_asked_by_file():
            self.bedside.asked_to_end = False
            self.begin_end("ended", "asked to end", self.asked_grace())
        elif self.bedside.orphaned and self.kill_at is None:
            self.begin_end("ended", "the daemon it was to die with is gone", self.spec.grace_s)
        elif self.deadline is not None and now >= self.deadline and self.kill_at is None:
            self.begin_end("timeout", f"ran longer than {self.spec.timeout_s:g} s", self.spec.grace_s)
        elif not os.path.lexists("lock") and self.kill_at is None:
            # By whoever has deleted them; the daemon, which finds nothing, will begin the ticket again.
            self.begin_end("ended", "its records are gone", 0.0)
        elif os.fstat(self.log).st_size > self.spec.log_limit and self.kill_at is None:
            self.begin_end("log-limit", f"its log passed {self.spec.log_limit} bytes", self.spec.grace_s)
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = now + self.kill_again_s(now)
            self.signal_all(signal.SIGKILL)
        self.pulse_when_due(now)

    def is_asked_by_file(self) -> bool:
        """Whether there is a request that has not been looked at yet: its signal may never come, the daemon sends none
        to a pid that it cannot verify."""
        try:
            found = os.lstat("end")
        except OSError:
            return False
        before, self.end_seen = self.end_seen, (found.st_ino, found.st_mtime_ns)
        return before != self.end_seen

    def kill_again_s(self, now: float) -> float:
        """Often while it may help, for what is just being born; then now and again."""
        if self.killed_at is None:
            self.killed_at = now
        return 0.01 if now < self.killed_at + HELD_UP_S else 0.5

    def begin_end(self, reason: str, detail: str, grace_s: float) -> None:
        """Asks politely, once; a later call can only shorten the grace. One that somebody has stopped is let go on, or
        it could not answer."""
        kill_at = time.monotonic() + grace_s
        if self.kill_at is None:
            self.reason, self.detail, self.kill_at = reason, detail, kill_at
            self.signal_group(signal.SIGTERM)
            self.signal_group(signal.SIGCONT)
        self.kill_at = min(self.kill_at, kill_at)

    def asked_grace(self) -> float:
        data = read_small("end")
        try:
            return max(0.0, float(parse(data.decode("ascii"))["grace_s"])) if data else self.spec.grace_s
        except (KeyError, TypeError, ValueError):
            return self.spec.grace_s

    def clear_up(self) -> int:
        """End what the agent left alive; its wait status."""
        left = {pid for pid, _ in family(os.getpid())}
        if left or not self.subreaper:
            self.signal_group(signal.SIGTERM)
        status = os.waitpid(self.pid, 0)[1] if self.status is None else self.status
        self.ended |= left
        if not self.nothing_left():
            self.end_leftovers()
        return status

    def end_leftovers(self) -> None:
        kill_at = time.monotonic() + (0 if self.killed_at is not None else STRAGGLER_GRACE_S)
        give_up_at = kill_at + GIVE_UP_S if self.spec.die_with_parent else None
        self.signal_all(signal.SIGTERM)
        while not self.nothing_left():
            now = time.monotonic()
            if give_up_at is not None and now >= give_up_at:
                self.detail = f"{self.detail}; processes it left could not be ended".lstrip("; ")
                return
            if now >= kill_at:
                kill_at = now + self.kill_again_s(now)
                self.signal_all(signal.SIGKILL)
            self.pulse_when_due(now)
            self.bedside.wait(kill_at - now)

    def nothing_left(self) -> bool:
        childless = reap_any()
        if self.subreaper:
            return childless
        return childless and not self.group_lives() and not marked(self.spec.mark)

    def group_lives(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except OSError:
            return False
        return True

    def signal_group(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except OSError:
            pass

    def signal_all(self, number: int) -> None:
        me = os.getpid()
        kin = list(family(me))
        if number == signal.SIGKILL:
            kill_cgroup(self.cgroup)
        for pid, parent in kin:
            strike(pid, number, child_of(parent, me))
            self.ended.add(pid)
        if not self.subreaper:
            self.signal_group(number)
            for pid in marked(self.spec.mark):
                strike(pid, number, carrier_of(self.spec.mark))
                self.ended.add(pid)

    def pulse_when_due(self, now: float) -> None:
        if now >= self.next_pulse:
            self.next_pulse = now + self.spec.heartbeat_s
            self.pulse()

    def pulse(self) -> None:
        """A lost heartbeat harms nobody; a supervisor that dies of a full disk would."""
        log = os.fstat(self.log)
        kin = {pid: fields for pid, _ in family(os.getpid()) if (fields := stat(pid))}
        cpu_s, rss = self.usage(kin.values())
        record: Record = {"at": time.time(), "log_bytes": log.st_size, "log_at": log.st_mtime}
        record |= {"cpu_s": cpu_s, "rss_bytes": rss, "held_up": self.held_up(kin)}
        record["kin"] = " ".join(f"{pid}:{int(fields[19])}" for pid, fields in list(kin.items())[:MOST_KIN])
        try:
            replace("heartbeat.json", dump(record), durable=False)
        except OSError:
            pass

    def usage(self, kin: Iterable[list[bytes]]) -> tuple[float | None, int | None]:
        """Seconds of CPU so far and bytes of memory now of the whole tree (shared pages count once a process)."""
        if not os.path.exists("/proc/self/stat"):
            return None, None
        ticks = pages = 0
        for fields in kin:
            ticks += sum(map(int, fields[11:15]))
            pages += int(fields[21])
        rss = pages * resource.getpagesize()
        self.peak_rss = max(self.peak_rss, rss)
        return ticks / os.sysconf("SC_CLK_TCK") + reaped()[0], rss

    def held_up(self, kin: Mapping[int, list[bytes]]) -> str:
        """Why it does not come to an end, or does not go on, where a person may have to help; else empty."""
        if self.killed_at is not None and time.monotonic() >= self.killed_at + HELD_UP_S:
            return f"cannot be ended: {named(kin)}" if kin else ""
        if kin.get(self.pid, [b""])[0] in (b"T", b"t"):
            return f"stopped by a signal: {named([self.pid])}; `kill -CONT {self.pid}` lets it go on"
        return ""


def reaped() -> tuple[float, int]:
    """Seconds of CPU of all that has been waited for, and bytes of its largest process."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# --- the whole -------------------------------------------------------------------------------------------------------


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


if __name__ == "__main__":
    os._exit(main(sys.argv[1]))  # the interpreter's own clearing up takes 2 ms, and the daemon waits for this exit
