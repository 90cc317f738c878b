"""What chaos does to a run. Each fault is one function: it does its worst, holds it for a while, and undoes it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chaos_scene import Ground, script, wait
from invariants import runs, words_of

from ticketd.store import open_store

KILLED_AFTER_TAKING = "#!/bin/sh\nkill -9 $PPID\n"
REFUSING = "#!/bin/sh\necho not today >&2\nexit 1\n"
SLOW = "#!/bin/sh\nsleep {seconds}\n"


@dataclass(frozen=True, slots=True)
class Blow:
    """`pick` chooses among those whom it may hit (0 to 1), `hold` is for how long (seconds)."""

    kind: str
    pick: float
    hold: float


def strike(ground: Ground, blow: Blow) -> str:
    """What it has come to, in words."""
    return FAULTS[blow.kind](ground, blow)


def below(ground: Ground, name: str) -> list[int]:
    """Processes of this state directory by what they are: never by a name alone, always with our directory in their
    arguments, environment or working directory."""
    mark, found = os.fsencode(ground.root), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (process / "cmdline").read_bytes()
            where = os.fsencode((process / "cwd").readlink())
            if (process / "stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z":
                continue
            ours = any(mark in text for text in (told, where, (process / "environ").read_bytes()))
            if ours and _is(name, told):
                found.append(int(process.name))
    return sorted(found)


def _is(name: str, told: bytes) -> bool:
    words = told.split(b"\0")
    match name:
        case "supervisor":
            return any(b"engines/" in word and b"supervisor" in word for word in words[:5])
        case "agent":
            return any(word.endswith(b"chaos_agent.py") for word in words)
        case "git":
            return words[0].rpartition(b"/")[2].startswith(b"git")
        case _:
            return True


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def one_of(pids: list[int], pick: float) -> int | None:
    return pids[int(pick * len(pids))] if pids else None


# --- processes ---


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


def _killer(name: str) -> Callable[[Ground, Blow], str]:
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


# --- the disk, the store, the remote ---


def fill_disk(ground: Ground, blow: Blow) -> str:
    """To the last byte, or but for a few pages."""
    if not ground.mounted:
        return "skipped: the state directory is no file system of its own here"
    ballast = ground.root / "state" / "ballast"
    size = 0
    with ballast.open("wb", buffering=0) as out:
        try:
            while True:
                size += out.write(b"x" * 65536)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        with contextlib.suppress(OSError):
            while True:
                size += out.write(b"x" * 512)
    if blow.pick > 0.5:
        os.truncate(ballast, max(0, size - int(blow.pick * 40) * 4096))
    time.sleep(blow.hold)
    ballast.unlink()
    return f"{size // 1024} KiB for {blow.hold:.1f} s"


def lock_store(ground: Ground, blow: Blow) -> str:
    path = ground.scene.state / "store.db"
    if not path.exists():
        return "no store yet"
    db = sqlite3.connect(path, timeout=5, isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE")
        time.sleep(blow.hold * 3)
        db.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return str(error)
    finally:
        db.close()
    return f"for {blow.hold * 3:.1f} s"


def take_remote(ground: Ground, blow: Blow) -> str:
    away = ground.root / "away.git"
    ground.origin.rename(away)
    time.sleep(blow.hold)
    away.rename(ground.origin)
    return f"for {blow.hold:.1f} s"


def _hook(name: str, text: str) -> Callable[[Ground, Blow], str]:
    def put_hook(ground: Ground, blow: Blow) -> str:
        hook = ground.origin / "hooks" / name
        script(hook, text.format(seconds=blow.hold))
        time.sleep(blow.hold)
        hook.unlink()
        return f"for {blow.hold:.1f} s"

    return put_hook


# --- people ---


def push_by_hand(ground: Ground, blow: Blow) -> str:
    ground.push_by_hand()
    return "by hand"


def delete_tree(ground: Ground, blow: Blow) -> str:
    """One that no attempt has: in another, work that is nowhere else would be lost. Without a daemon, which could hand
    it out meanwhile."""
    kill_daemon(ground, Blow(blow.kind, 1.0, 0.0))
    if not (ground.scene.state / "store.db").exists():
        return "no store yet"
    store = open_store(ground.scene.state / "store.db")
    taken = {attempt.worktree for attempt in store.live_attempts()}
    store.close()
    home = ground.scene.state / "worktrees"
    free = sorted(each for each in home.glob("[0-9]*") if each.name not in taken)
    if not free:
        return "none is free"
    tree = free[int(blow.pick * len(free))]
    shutil.rmtree(tree, ignore_errors=True)
    return tree.name


def steer(ground: Ground, blow: Blow) -> str:
    """What a person asks for, about one of the last tickets."""
    number = max(1, ground.asked - int(blow.hold * 4))
    verbs = ("cancel", "retry", "hold", "unhold", "land", "diff", "show")
    verb = verbs[int(blow.pick * len(verbs))]
    try:
        done = ground.ticketd(verb, f"t{number:04}", limit_s=60)
    except subprocess.TimeoutExpired:
        return f"{verb} t{number:04} did not end"
    if b"Traceback" in done.stderr:
        (ground.root / "tracebacks").open("ab").write(done.stderr)
    return f"{verb} t{number:04}: exit {done.returncode}"


def break_config(ground: Ground, blow: Blow) -> str:
    (ground.work / "ticketd.toml").write_text("slots = [\n")
    time.sleep(blow.hold)
    ground.configure()
    return f"for {blow.hold:.1f} s"


def drop_ticket_file(ground: Ground, blow: Blow) -> str:
    number = max(1, ground.asked - int(blow.hold * 4))
    path = ground.work / "tickets" / f"t{number:04}.md"
    text = path.read_text()
    path.unlink()
    time.sleep(blow.hold)
    path.write_text(text)
    return path.name


FAULTS: dict[str, Callable[[Ground, Blow], str]] = {
    "kill the daemon": kill_daemon,
    "kill its group": kill_group,
    "kill everything": kill_all,
    "kill a supervisor": _killer("supervisor"),
    "kill an agent": _killer("agent"),
    "kill a git": _killer("git"),
    "stop and go": stop_and_go,
    "ask to stop": ask_to_stop,
    "second daemon": second_daemon,
    "fill the disk": fill_disk,
    "lock the store": lock_store,
    "take the remote": take_remote,
    "refusing remote": _hook("pre-receive", REFUSING),
    "slow remote": _hook("pre-receive", SLOW),
    "dies after taking": _hook("post-receive", KILLED_AFTER_TAKING),
    "push by hand": push_by_hand,
    "delete a tree": delete_tree,
    "steer": steer,
    "break the config": break_config,
    "drop a ticket file": drop_ticket_file,
}
# How often each, by shares.
SHARES = {
    "kill the daemon": 8,
    "kill its group": 3,
    "kill everything": 3,
    "kill a supervisor": 4,
    "kill an agent": 4,
    "kill a git": 8,
    "stop and go": 3,
    "ask to stop": 2,
    "second daemon": 1,
    "fill the disk": 3,
    "lock the store": 1,
    "take the remote": 2,
    "refusing remote": 1,
    "slow remote": 2,
    "dies after taking": 2,
    "push by hand": 2,
    "delete a tree": 1,
    "steer": 4,
    "break the config": 1,
    "drop a ticket file": 1,
}
# After these, a daemon that has ended by itself has a reason.
HARD = {"fill the disk", "lock the store", "break the config", "take the remote", "kill a git", "stop and go"}
