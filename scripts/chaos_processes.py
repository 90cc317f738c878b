"""What chaos does to processes: kills them one by one, in groups and all at once, holds them up, asks them to end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from chaos_aim import Blow, below, kill, one_of
from chaos_scene import Ground, wait
from left_behind import runs, words_of


def kill_daemon(ground: Ground, blow: Blow) -> str:
    if ground.daemon is None or ground.daemon.poll() is not None:
        return "none runs"
    ground.daemon.kill()
    ground.daemon.wait()
    time.sleep(blow.hold * (blow.pick < 0.5))
    return f"pid {ground.daemon.pid}"


def kill_group(ground: Ground, blow: Blow) -> str:
    """The daemon and all that it has started itself, but for supervisors."""
    if ground.daemon is None or ground.daemon.poll() is not None:
        return "none runs"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(ground.daemon.pid, signal.SIGKILL)
    ground.daemon.wait()
    return f"group {ground.daemon.pid}"


def kill_all(ground: Ground, blow: Blow) -> str:
    """As if the machine had gone: everything of this state directory at once."""
    if ground.daemon is not None:
        ground.daemon.kill()
    pids = [pid for pid in below(ground, "any") if pid != os.getpid()]
    pids = sorted({*pids, *runs(ground.scene)})
    for pid in pids:
        kill(pid)
    if ground.daemon is not None:
        ground.daemon.wait()
    wait(lambda: not [p for p in pids if Path(f"/proc/{p}").exists()], 5)
    return f"{len(pids)} processes"


def killer(name: str) -> Callable[[Ground, Blow], str]:
    def kill_one(ground: Ground, blow: Blow) -> str:
        give_up_at, pid = time.monotonic() + 1.0, None
        while pid is None and time.monotonic() < give_up_at:
            pid = one_of(below(ground, name), blow.pick)
        if pid is None:
            return "none there"
        told = words_of(pid)
        kill(pid)
        return f"pid {pid}: {told[-90:]}"

    return kill_one


def stop_and_go(ground: Ground, blow: Blow) -> str:
    name = ("agent", "supervisor", "daemon")[int(blow.pick * 3)]
    runs_one = ground.daemon is not None and ground.daemon.poll() is None
    pid = (
        (ground.daemon.pid if ground.daemon and runs_one else None)
        if name == "daemon"
        else one_of(below(ground, name), 0)
    )
    if pid is None:
        return "none there"
    kill(pid, signal.SIGSTOP)
    time.sleep(blow.hold)
    kill(pid, signal.SIGCONT)
    return f"{name} {pid} for {blow.hold:.1f} s"


def ask_to_stop(ground: Ground, blow: Blow) -> str:
    if ground.daemon is None or ground.daemon.poll() is not None:
        return "none runs"
    now = ["--now"] if blow.pick < 0.7 else []
    try:
        done = ground.ticketd("stop", *now, limit_s=90)
    except subprocess.TimeoutExpired:
        return "it did not stop within 90 s"
    if done.returncode == 0:
        ground.daemon.wait()
    return f"{' '.join(now)} exit {done.returncode}: {done.stdout.decode()[-60:].strip()}"


def second_daemon(ground: Ground, blow: Blow) -> str:
    """Of two at once one says that the other runs; where none did, one of both does."""
    if ground.daemon is None or ground.daemon.poll() is not None:
        return "none runs"
    try:
        done = ground.ticketd("start", "--until-idle", limit_s=30)
    except subprocess.TimeoutExpired:
        return "both ran"
    return f"exit {done.returncode}"
