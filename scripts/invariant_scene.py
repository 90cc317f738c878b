"""Where invariants are checked: the repositories and directories that take part, and what is known of them."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scene:
    """`work` is the user's checkout, `origin` the bare remote that logs all updates of its refs, `state` the state
    directory of this repository. `untouched`: what `work` and the user's home held, by path, before all. `passes`:
    whether a commit of main by itself is what verification lets through; `verified`: the trees that it has let through,
    None where nobody has written them down. `secret`: a word of the daemon's environment that is for nobody's eyes.
    `lands`: on the target, not on branches of its own. `taken_back`: from where to where somebody has moved the target
    by force. `patience_s`: for how long something may be missed that ticketd has still to put right."""

    origin: Path
    work: Path
    state: Path
    made: Path
    slots: int
    branch: str = "main"
    watched: tuple[Path, ...] = ()
    untouched: dict[str, str] = field(default_factory=dict)
    passes: Callable[[str], bool] = lambda _: True
    verified: Callable[[], frozenset[str]] | None = None
    secret: str = ""
    lands: bool = True
    taken_back: set[tuple[str, str]] = field(default_factory=set)
    patience_s: float = 1.0

    @property
    def control(self) -> Path:
        return self.state / "control.git"


def git(where: Path, *args: str, given: str = "", ok: bool = True) -> str:
    """Raises:
    CalledProcessError: git failed, and it had to work.
    """
    env = {**os.environ, "GIT_DIR": str(where), "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(["git", *args], cwd=where, input=given.encode(), env=env, capture_output=True, check=ok)
    return done.stdout.decode(errors="surrogateescape").strip()


def everything_in(root: Path) -> dict[str, str]:
    """Every file below, by its path: kind, mode and content."""
    found = {}
    for path in sorted(root.rglob("*")):
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path)] = f"{path.lstat().st_mode:o} {hashlib.sha256(content).hexdigest()}"
    return found
