"""The ground on which git is killed: a remote, two worktrees, and a git that strace kills where there is a plan to."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from kept_work import git

from ticketd.domain.attempt import AttemptKey
from ticketd.git.control import Control
from ticketd.git.creation import open_control
from ticketd.git.repository import find
from ticketd.git.target import RemoteTarget
from ticketd.git.worktrees import WorktreePool

WRITES = "openat,write,rename,unlink,link,mkdir,rmdir,close,ftruncate,fsync,chmod"

WRAPPER = """#!/bin/sh
if [ -f {plan} ]; then
    read -r what when < {plan}
    case " $* " in *" $what "*)
        rm -f {plan}
        {strace} {git} "$@" || {{ code=$?; [ $code -ne 137 ] || {{ : > {killed}; kill -9 $$; }}; exit $code; }}
        exit 0
    esac
fi
exec {git} "$@"
"""


class Violation(Exception):
    """Something that must be true is not."""


@cache
def can_trace() -> bool:
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "-qq", "-o", os.devnull, "true"], check=False).returncode == 0


def tracing(when: str) -> list[str]:
    injected = f"inject={WRITES}:signal=KILL:when={when}"
    return ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={WRITES}", "-e", injected, "--"]


@dataclass
class Scene:
    """`struck` and `bystander` are the worktrees `1` and `2`. `kept`: every attempt's ref so far."""

    root: Path
    origin: Path
    other: Path
    control: Control
    pool: WorktreePool
    target: RemoteTarget
    number: int = 0
    kept: dict[str, str] = field(default_factory=dict)
    main: str = ""

    @property
    def struck(self) -> Path:
        return self.pool.path("1")

    @property
    def bystander(self) -> Path:
        return self.pool.path("2")

    @property
    def key(self) -> AttemptKey:
        return AttemptKey("struck", self.number)

    def tip(self) -> str:
        tip = self.target.tip()
        if not isinstance(tip, str):
            raise Violation(f"the target cannot be asked: {tip}")
        return tip

    def move_target(self) -> None:
        git(self.other, "pull", "--quiet", "--ff-only")
        (self.other / "theirs.txt").write_text(f"{self.number}\n")
        git(self.other, "commit", "--quiet", "--all", "--message", f"theirs {self.number}")
        git(self.other, "push", "--quiet", "origin", "main")


@contextmanager
def scene_in(root: Path) -> Iterator[Scene]:
    origin, work, other, state = (root / name for name in ("origin.git", "work", "other", "state"))
    git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    git(root, "clone", "--quiet", str(origin), str(work))
    for number in range(30):
        (work / f"file{number}.txt").write_text("".join(f"line {line}\n" for line in range(30)))
    (work / "theirs.txt").write_text("0\n")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "first")
    git(work, "push", "--quiet", "origin", "HEAD:main")
    git(root, "clone", "--quiet", str(origin), str(other))
    control = open_control(state, find(work))
    scene = Scene(
        root, origin, other, control, WorktreePool(control), RemoteTarget(control, str(origin), str(origin), "main")
    )
    scene.main = base = scene.tip()
    scene.pool.prepare("2", base, "ticketd/bystander/1", keep_ignored=False)
    (scene.bystander / "mine.txt").write_text("committed\n")
    git(scene.bystander, "add", "--all")
    git(scene.bystander, "commit", "--quiet", "--message", "mine")
    (scene.bystander / "mine.txt").write_text("not yet\n")
    (scene.bystander / "new.txt").write_text("untracked\n")
    with wrapped_git(root):
        yield scene


@contextmanager
def wrapped_git(root: Path) -> Iterator[None]:
    """git by way of a script that lets strace kill it where there is a plan to."""
    real, plan, path = shutil.which("git"), root / "bin" / "plan", os.environ["PATH"]
    killed = shlex.quote(str(plan.with_name("killed")))
    assert real
    plan.parent.mkdir()
    strace = " ".join(map(shlex.quote, tracing("WHEN"))).replace("WHEN", '"$when"')
    script = plan.with_name("git")
    known = {"plan": shlex.quote(str(plan)), "git": shlex.quote(real)}
    script.write_text(WRAPPER.format(**known, strace=strace, killed=killed))
    script.chmod(0o755)
    os.environ["PATH"] = f"{plan.parent}{os.pathsep}{path}"
    try:
        yield
    finally:
        os.environ["PATH"] = path
