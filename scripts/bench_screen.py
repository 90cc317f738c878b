"""Eyes on many tickets: the screen (`ticketd status --watch`) and commands that only look, on a store of a thousand
and on one of a hundred thousand, a tenth of them landed or failed, with what they have cost.

A real terminal of 80x24, no daemon. Seconds and percents are of processor time. Prints a row for each: what, of the
smaller, of the larger, bound of the larger, larger over bound (above 1 it is broken). Exit codes: 0 all within bounds;
1 not.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import resource
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from many_tickets import make_yard

from ticketd.app.session import Session
from ticketd.boot.session import open_session

SMALL, LARGE = 1_000, 100_000
IDLE_S, BUSY_S, KEYS = 20.0, 20.0, 20
CHANGES_A_SECOND = 10
QUIET_S = 0.2
"""The terminal has had all of an answer when nothing more has come for so long."""
COMMANDS = {
    "cost": (1.0, ("cost",)),
    "cost --by day": (1.0, ("cost", "--by", "day")),
    "events": (None, ("events",)),
    "status": (None, ("status",)),
    "status --json": (None, ("status", "--json")),
    "list": (None, ("list",)),
    "review list": (None, ("review", "list")),
    "explain": (None, ("explain", "{last}")),
    "show": (None, ("show", "{last}")),
    "hold": (None, ("hold", "{last}")),
    "doctor": (None, ("doctor",)),
}
"""Bounds in seconds of processor time, of 100,000 tickets; without one it is only told."""


Measures = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=SMALL, help="tickets of the smaller store (%(default)s)")
    parser.add_argument("--large", type=int, default=LARGE, help="tickets of the larger store (%(default)s)")
    parser.add_argument("--keep", type=Path, help="where the stores are made, or are from another time")
    parser.add_argument("--only", nargs="*", help="of the commands only these; none without names")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ticketd-bench-") as scratch:
        yard = options.keep or Path(scratch)
        names = COMMANDS if options.only is None else options.only
        small, large = (measure(yard / str(count), count, names) for count in (options.small, options.large))
    bounds = {"screen idle (% of a processor)": 2.0, "a key, idle (ms)": 100.0, "a key, busy (ms)": 100.0}
    bounds |= {f"{name} (s)": bound for name, (bound, _) in COMMANDS.items() if bound is not None}
    print(f"{'what':<34}{options.small:>12,}{options.large:>12,}{'bound':>10}{'ratio':>8}")
    broken = False
    for what, measured in large.items():
        bound = bounds.get(what)
        told = f"{bound:>10,.1f}{measured / bound:>8.2f}" if bound is not None else ""
        broken = broken or (bound is not None and measured > bound)
        print(f"{what:<34}{small[what]:>12,.2f}{measured:>12,.2f}{told}".rstrip())
    return 1 if broken else 0


def measure(yard: Path, count: int, names: object) -> Measures:
    session = session_of(yard, count)
    measures = dict(of_screen(yard, session))
    assert hasattr(names, "__iter__")
    last = list(session.store.board().tickets)[-1]
    for name in names:
        arguments = [argument.format(last=last) for argument in COMMANDS[name][1]]
        seconds, megabytes = of_command(yard, arguments)
        measures |= {f"{name} (s)": seconds, f"{name} (MB)": megabytes}
    return measures


def session_of(yard: Path, count: int) -> Session:
    if (yard / "shop").is_dir():
        return open_session(yard / "shop", environment(yard)).session
    yard.mkdir(parents=True, exist_ok=True)
    return make_yard(yard, count)


def environment(yard: Path) -> dict[str, str]:
    return {"HOME": str(yard), "XDG_STATE_HOME": str(yard / "state")}


# --- commands -------------------------------------------------------------------------------------------------------


def of_command(yard: Path, arguments: list[str]) -> tuple[float, float]:
    """Seconds of processor time, and megabytes."""
    process = subprocess.Popen(command(yard, *arguments), stdout=subprocess.DEVNULL, env=with_path(yard))
    usage: resource.struct_rusage = os.wait4(process.pid, 0)[2]
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def command(yard: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "ticketd", "--repo", str(yard / "shop"), *arguments]


def with_path(yard: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment(yard)}


# --- the screen -----------------------------------------------------------------------------------------------------


def of_screen(yard: Path, session: Session) -> Iterator[tuple[str, float]]:
    ids = list(session.store.board().tickets)[-CHANGES_A_SECOND:]
    with screen(yard) as (pid, terminal):
        read_until(terminal, b"RANK")
        yield "screen there after (s)", cpu_of(pid)
        drain(terminal, 5.0)
        yield "screen idle (% of a processor)", percent(pid, lambda: drain(terminal, IDLE_S))
        yield "a key, idle (ms)", median_of_keys(terminal)
        turns = iter(range(10**6))
        yield "screen busy (% of a processor)", percent(pid, lambda: busy(session, ids, terminal, turns, BUSY_S))
        yield "a key, busy (ms)", median_of_keys(terminal, lambda: change(session, ids, next(turns)))
        yield "screen (MB)", memory_of(pid)


def change(session: Session, ids: list[str], turn: int) -> None:
    for id_ in ids:
        session.store.hold(id_, turn % 2 == 0, session.clock.now())


def busy(session: Session, ids: list[str], terminal: int, turns: Iterator[int], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        change(session, ids, next(turns))
        drain(terminal, max(1.0 - (time.monotonic() - begun), 0.0))


def median_of_keys(terminal: int, before: Callable[[], object] = lambda: None) -> float:
    """Milliseconds until the terminal has the first of what comes of a key. The queue goes up and down by a line."""
    os.write(terminal, b"2")
    times = []
    for number in range(KEYS):
        before()
        drain(terminal, 0.5)
        begun = time.monotonic()
        os.write(terminal, b"jk"[number % 2 :][:1])
        select.select([terminal], [], [], 60.0)
        times.append(1000 * (time.monotonic() - begun))
        drain(terminal, QUIET_S)
    return statistics.median(times)


@contextmanager
def screen(yard: Path) -> Iterator[tuple[int, int]]:
    """Its process, and the other end of its terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, command(yard, "status", "--watch"), with_path(yard))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    try:
        yield pid, terminal
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def read_until(terminal: int, text: bytes) -> None:
    seen = b""
    while text not in seen:
        seen = seen[-1000:] + os.read(terminal, 1 << 16)


def drain(terminal: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            os.read(terminal, 1 << 16)


def percent(pid: int, act: Callable[[], object]) -> float:
    begun, used = time.monotonic(), cpu_of(pid)
    act()
    return 100 * (cpu_of(pid) - used) / (time.monotonic() - begun)


def cpu_of(pid: int) -> float:
    """Seconds of processor time, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
