"""For the benchmarks of landing: a repository of many files with its remote, and tickets whose work is kept."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ticketd.app.lane import Lane
from ticketd.boot.daemon import open_daemon
from ticketd.boot.session import open_session
from ticketd.daemon.main import Daemon
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.globs import NOTHING
from ticketd.domain.report import NOTHING_REPORTED
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.verdict import ToLanding
from ticketd.ports import Kept

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def git(where: Path, *args: str, given: str | bytes = "", env: Mapping[str, str] | None = None) -> str:
    """Raises:
    CalledProcessError: git failed.
    """
    text = given.encode() if isinstance(given, str) else given
    command = ["git", "-c", "gc.auto=0", "-c", "maintenance.auto=false", *args]
    done = subprocess.run(
        command, cwd=where, input=text, env={**os.environ, **IDENTITY, **(env or {})}, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


@dataclass(frozen=True, slots=True)
class Bed:
    """`origin` is the remote, `work` the user's checkout of it."""

    root: Path
    origin: Path
    work: Path

    def target(self) -> str:
        return git(self.origin, "rev-parse", "main")


def make_bed(root: Path, files: int) -> Bed:
    """`files` files of a few hundred bytes, twenty to a folder, in one pack."""
    bed = Bed(root, root / "origin.git", root / "work")
    git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(bed.origin))
    text = "".join(f"line {n}\n" for n in range(40))
    blobs = "".join(f"M 100644 inline src/m{n // 20}/f{n}.txt\ndata {len(text)}\n{text}\n" for n in range(files))
    head = "commit refs/heads/main\ncommitter Ada <ada@example.org> 1700000000 +0000\ndata 5\nFirst\n"
    git(bed.origin, "fast-import", "--quiet", given=head + blobs)
    git(bed.origin, "repack", "-adq")
    git(root, "clone", "--quiet", str(bed.origin), str(bed.work))
    return bed


def commit_on(repository: Path, base: str, name: str, content: str) -> str:
    """One file more on top of `base`, without a working tree."""
    env = {"GIT_DIR": str(repository), "GIT_INDEX_FILE": str(repository / "index-of-a-benchmark")}
    git(repository, "read-tree", base, env=env)
    blob = git(repository, "hash-object", "-w", "--stdin", given=content, env=env)
    git(repository, "update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", env=env)
    tree = git(repository, "write-tree", env=env)
    return git(repository, "commit-tree", tree, "-p", base, "-m", f"Add {name}", env=env)


@contextmanager
def daemon_of(bed: Bed, config: str) -> Iterator[Daemon]:
    """A daemon that does not run: its parts, to be used one by one."""
    (bed.work / "ticketd.toml").write_text(config + '\n[agents.default]\npreset = "scripted"\n')
    with open_daemon(open_session(bed.work, {"XDG_STATE_HOME": str(bed.root / "state")})) as daemon:
        daemon.tracker.ask()
        yield daemon


def keep(daemon: Daemon, bed: Bed, tips: Mapping[str, str], base: str) -> None:
    """Tickets by these names enter the lane with these commits as their work."""
    folder = bed.work / "tickets"
    folder.mkdir(exist_ok=True)
    for name in tips:
        (folder / f"{name}.md").write_text(f"---\ntouches: ['/new/{name}.txt']\n---\n# {name}\n")
    daemon.intake.sync(daemon.current.settings)
    store, now = daemon.works.session.store, daemon.works.session.clock.now()
    tickets = store.board().tickets
    for name, tip in tips.items():
        key = store.dispatch(Start(name, 1, "default"), tickets[name], base, NOTHING, now)
        assert isinstance(key, AttemptKey), key
        store.attempt_started(key, f"{name}", 1, now)
        store.attempt_over(key, 0, "exited", "", now)
        store.close_attempt(key, Kept(tip, (f"new/{name}.txt",)), ToLanding(), NOTHING_REPORTED, now, retire=False)


def lane_of(daemon: Daemon) -> Lane:
    """One whose verifications run at once, in the turn that asks for them."""
    return Lane(daemon.works, daemon.tracker, lambda run: run())
