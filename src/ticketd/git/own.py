"""The side of the control repository that agents do not see: its configuration, HEAD and `info` for ticketd's own git.

Worktrees are linked to `control.git`, so whoever works in one can write its configuration, hooks, attributes and
grafts; no list of `-c` options undoes that (10 of 23 ways to run a program went past one). So ticketd's git never reads
those: each of its calls names `own.git` as GIT_DIR, or as GIT_COMMON_DIR beside a worktree's own git directory. That
has files of its own where git may be told to run something, and links to where the data lies. It is no wall: an agent
without a sandbox has ticketd's own rights. But nothing that git itself does for an agent leads here.
"""

from __future__ import annotations

import os
from pathlib import Path

from ticketd.git.exactness import content_of
from ticketd.git.record import NAME as RECORD
from ticketd.git.repository import CONTROL, OWN
from ticketd.git.tree import lead, remove, write_whole

# A bare repository's HEAD must name a branch: one that is never born.
NO_BRANCH = "refs/heads/ticketd-none"
# git follows these when it locks or replaces what they lead to (measured for pack-refs, fetch, `worktree add`, 2.39).
_SHARED = ("objects", "refs", "packed-refs", "worktrees")
# An agent's `git fetch --depth=1` must not cut the history off that ticketd reads.
SHALLOW = "shallow"
_OURS = ("config", "HEAD", "info", SHALLOW, RECORD)
_INFO = ("exclude", "alternates")


def open_own(state: Path, config: str) -> None:
    """Make it, or put right what is not as it should be. What it says of running attempts stays: `info/exclude`, which
    they leave out, and the record of their refs. `info/alternates` says from where the objects were borrowed at first
    (git reads it elsewhere)."""
    own = state / OWN
    if own.is_symlink() or (own.exists() and not own.is_dir()):
        remove(own)
    (own / "info").mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in _SHARED:
        lead(own / name, Path("..", CONTROL, name))
    write_whole(own / "config", config)
    write_whole(own / "HEAD", f"ref: {NO_BRANCH}\n")
    if not (own / "info/alternates").is_file():  # nobody has worked here yet
        if (cut := content_of(state / CONTROL / SHALLOW)) is not None:
            write_whole(own / SHALLOW, os.fsdecode(cut))
        borrowed = content_of(state / CONTROL / "objects/info/alternates") or b""
        write_whole(own / "info/alternates", os.fsdecode(borrowed))
    for stray in own.iterdir():
        if stray.name not in (*_SHARED, *_OURS):
            remove(stray)
    for stray in (own / "info").iterdir():
        if stray.name not in _INFO:
            remove(stray)
