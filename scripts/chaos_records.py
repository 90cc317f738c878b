"""What somebody deletes of what ticketd keeps in its state directory."""

from __future__ import annotations

import os
import shutil

from chaos_aim import Blow, live_attempts, one_of
from chaos_processes import kill_daemon
from chaos_scene import Ground

from ticketd.store import open_store


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


def delete_run(ground: Ground, blow: Blow) -> str:
    """Of an attempt that may be alive: its supervisor has nowhere to write to, and ends it."""
    one = one_of(live_attempts(ground), blow.pick)
    if one is None:
        return "none is alive"
    shutil.rmtree(ground.scene.state / "runs" / one.key.ticket / str(one.key.number), ignore_errors=True)
    return f"of {one.key}, {one.state}"


def spoil_log(ground: Ground, blow: Blow) -> str:
    """Those that are written to just now, too."""
    logs = sorted((ground.scene.state / "logs").glob("*/*.log"), key=lambda log: log.stat().st_mtime_ns)
    log = one_of(logs[-6:], blow.pick)
    if log is None:
        return "there is none"
    if blow.hold < 2:
        log.unlink()
        return f"deleted {log.parent.name}/{log.name}"
    os.truncate(log, log.stat().st_size // 2)
    return f"cut {log.parent.name}/{log.name}"
