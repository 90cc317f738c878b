"""What chaos does to a run. Each fault is one function: it does its worst, holds it for a while, and undoes it. Here
all are listed, and those that befall the disk, the store and the remote."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Callable

from chaos_aim import Blow
from chaos_people import (
    break_config,
    clean_checkout,
    collect_garbage,
    drop_ticket_file,
    edit_ticket_file,
    push_by_hand,
    rename_ticket_file,
    steer,
    take_commits_off,
)
from chaos_processes import ask_to_stop, kill_all, kill_daemon, kill_group, killer, second_daemon, stop_and_go
from chaos_records import delete_run, delete_tree, spoil_log
from chaos_scene import Ground, script

KILLED_AFTER_TAKING = "#!/bin/sh\nkill -9 $PPID\n"
REFUSING = "#!/bin/sh\necho not today >&2\nexit 1\n"
SLOW = "#!/bin/sh\nsleep {seconds}\n"


def strike(ground: Ground, blow: Blow) -> str:
    """What it has come to, in words."""
    return FAULTS[blow.kind](ground, blow)


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


FAULTS: dict[str, Callable[[Ground, Blow], str]] = {
    "kill the daemon": kill_daemon,
    "kill its group": kill_group,
    "kill everything": kill_all,
    "kill a supervisor": killer("supervisor"),
    "kill an agent": killer("agent"),
    "kill a git": killer("git"),
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
    "take commits off": take_commits_off,
    "delete a tree": delete_tree,
    "delete a run": delete_run,
    "spoil a log": spoil_log,
    "steer": steer,
    "break the config": break_config,
    "drop a ticket file": drop_ticket_file,
    "rename a ticket file": rename_ticket_file,
    "edit a ticket file": edit_ticket_file,
    "clean the checkout": clean_checkout,
    "collect garbage": collect_garbage,
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
    "take commits off": 2,
    "delete a tree": 1,
    "delete a run": 2,
    "spoil a log": 2,
    "steer": 4,
    "break the config": 2,
    "drop a ticket file": 1,
    "rename a ticket file": 1,
    "edit a ticket file": 2,
    "clean the checkout": 1,
    "collect garbage": 1,
}
# After these, a daemon that has ended by itself has a reason.
HARD = {"fill the disk", "lock the store", "break the config", "take the remote", "kill a git", "stop and go"}
