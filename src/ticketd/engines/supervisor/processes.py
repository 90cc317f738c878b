"""Processes: who they are, whose they are, and their end."""

from __future__ import annotations

import os
import sys

from .records import SPEC_LIMIT, read_small

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signal
    from collections.abc import Callable, Iterable, Iterator
else:
    try:
        import _signal as signal
    except ImportError:
        import signal

SHOWN = 3
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MARK = "TICKETD_RUN"

# Where a test has it die, as `ticketd.failpoints` has the daemon: NAME[:N] is for the supervisor of an Nth attempt.
_POINT, _, _NUMBER = os.environ.get("TICKETD_FAILPOINT", "").partition(":")


def passed(name: str) -> None:
    if name == _POINT and os.path.basename(os.getcwd()) == (_NUMBER or "1"):
        os.write(2, f"killed at the failpoint {name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)


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


def reap_any() -> bool:
    """Take every ended child; True if there is no child left at all."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False
