"""The control group of a run, and what else the kernel is told of it."""

from __future__ import annotations

import os

from .records import read_small

CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
OWN_CGROUP = "ticketd-"
OOM_STEP = 300  # of 1000: as if the agent used so much more of the memory


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
