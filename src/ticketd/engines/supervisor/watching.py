"""The agent under way: what wakes the supervisor, when it ends a run, and how it sees to it that nothing is left."""

from __future__ import annotations

import os
import resource
import select
import sys
import time

from .cgroups import kill_cgroup
from .processes import carrier_of, child_of, family, marked, named, reap_any, signal, stat, strike
from .records import dump, parse, read_small, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .launching import Spec
    from .records import Record

TICK_S = 1.0  # how often the log's size is looked at
STRAGGLER_GRACE_S = 0.2
HELD_UP_S = 2.0  # a process that SIGKILL has not ended by then is in the kernel's hands, or another user's
GIVE_UP_S = 10.0  # how long a run that is to die with the daemon waits for such a one
MOST_KIN = 1000  # at most 28 bytes each: the heartbeat stays within READ_LIMIT


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
