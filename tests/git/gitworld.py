"""Real repositories: a bare origin, the user's clone of it, and ticketd's control repository beside them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ticketd.domain.attempt import AttemptKey, Drift
from ticketd.domain.drift import judge
from ticketd.domain.globs import NOTHING
from ticketd.domain.recovery import Mend, Records, reconcile
from ticketd.git.control import Control
from ticketd.git.target import RemoteTarget
from ticketd.git.worktrees import WorktreePool
from ticketd.ports import Identity, Tried

ADA = Identity("Ada Tester", "ada@example.org")
KEY = AttemptKey("fix-it", 1)
NONE: Mapping[AttemptKey, str] = {}


def git(where: Path, *args: str, ok: bool = True, stdin: bytes | None = None) -> str:
    done = subprocess.run(["git", *args], cwd=where, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0 or not ok, done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="surrogateescape").strip()


def write(where: Path, files: Mapping[str, str | None]) -> None:
    """Files by their path; None deletes one."""
    for name, text in files.items():
        path = where / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def commit(where: Path, files: Mapping[str, str | None], message: str = "change") -> str:
    write(where, files)
    git(where, "add", "-A")
    git(where, "commit", "-q", "--allow-empty", "-m", message)
    return git(where, "rev-parse", "HEAD")


@dataclass(frozen=True)
class World:
    """`user` is a clone of `origin`; `other` is somebody else's, who moves the target."""

    origin: Path
    user: Path
    other: Path
    state: Path
    control: Control
    pool: WorktreePool
    target: RemoteTarget

    def move_target(self, files: Mapping[str, str | None], message: str = "theirs") -> str:
        git(self.other, "pull", "-q", "--ff-only")
        sha = commit(self.other, files, message)
        git(self.other, "push", "-q", "origin", "main")
        return sha

    def drift(self, name: str, base: str, onto: str) -> tuple[Drift, tuple[str, ...]]:
        """As the daemon finds it for a claim of nothing: by a look, then a trial of what matters."""
        found = self.pool.look(name, base, onto)
        judged = judge(self.control.moved([found.fork], onto)[found.fork].paths, NOTHING, found.touched)
        wanted = [Tried(name, base, found.touched, judged.tried)] if judged.tried else []
        conflicts = next(iter(self.pool.trials(wanted, onto)), ())
        return (Drift.CONFLICT, conflicts) if conflicts else (judged.level, judged.paths)

    def mended(
        self, *names: str, live: Collection[AttemptKey] = (), ended: Mapping[AttemptKey, str] = NONE
    ) -> list[str]:
        """What a daemon that begins would do, and does; in words."""
        tip = self.control.read_ref("refs/target/main")
        found = self.pool.found(names, list(ended.values()), True, time.time())
        decided = reconcile(Records(frozenset(names), frozenset(live), ended, tip), found)
        return [each.told for each in decided if isinstance(each, Mend) and self.pool.mend(each)]

    def tip(self) -> str:
        tip = self.target.tip()
        assert isinstance(tip, str)
        return tip


START = {"a.txt": "".join(f"line {n}\n" for n in range(20)), "src/b.py": "b = 1\n", ".gitignore": "*.log\nbuild/\n"}


def make_origin(at: Path) -> tuple[Path, Path]:
    origin, user = at / "origin.git", at / "user"
    at.mkdir(parents=True, exist_ok=True)
    git(at, "init", "-q", "--bare", "-b", "main", str(origin))
    git(at, "clone", "-q", str(origin), str(user))
    commit(user, START, "start")
    git(user, "push", "-q", "-u", "origin", "main")
    return origin, user
