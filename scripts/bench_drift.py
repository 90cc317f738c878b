"""The watch over 8 running attempts at a move of the target: on a repository of 5,000 files, each attempt with
committed and uncommitted work. Beside it the whole look at all of them, which is taken every 5 s.

Milliseconds: median and 95th percentile of wall time, and the median of processor time, git's included. The bound is
for the median of wall time at a move. Exit codes: 0 all within the bound; 1 not.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ticketd.app.drift import DriftWatch
from ticketd.app.places import Places
from ticketd.clock import SystemClock
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState, Drift
from ticketd.domain.claims import Claim
from ticketd.domain.globs import PatternSet
from ticketd.domain.pool import TargetRecord
from ticketd.domain.settings import Settings
from ticketd.git.creation import open_control
from ticketd.git.repository import find
from ticketd.git.worktrees import WorktreePool

BOUND_MS = 100.0
PER_FOLDER = 50
LINES = "".join(f"line {number}\n" for number in range(40))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5_000, help="in the repository (%(default)s)")
    parser.add_argument("--attempts", type=int, default=8, help="that run (%(default)s)")
    parser.add_argument("--moves", type=int, default=15, help="of the target, for each row (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ticketd-bench-") as scratch:
        rows = list(measure(Yard(Path(scratch), options.files, options.attempts), options.moves))
    print(f"{'at a move that':<44}{'median':>9}{'p95':>9}{'cpu':>9}{'bound':>9}{'ratio':>8}")
    for row in rows:
        print(row)
    return 0 if all(row.ratio <= 1 for row in rows) else 1


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    wall: Sequence[float]
    cpu: Sequence[float]
    bound: float | None = BOUND_MS

    @property
    def ratio(self) -> float:
        return statistics.median(self.wall) / self.bound if self.bound else 0.0

    def __str__(self) -> str:
        p95 = sorted(self.wall)[int(0.95 * (len(self.wall) - 1))]
        bound = f"{self.bound:>9.0f}{self.ratio:>8.2f}" if self.bound else f"{'-':>9}{'-':>8}"
        return (
            f"{self.what:<44}{statistics.median(self.wall):>9.1f}{p95:>9.1f}{statistics.median(self.cpu):>9.1f}{bound}"
        )


def measure(yard: Yard, moves: int) -> Sequence[Row]:
    everybody = [yard.claimed(number, 0) for number in range(yard.attempts)]
    cases: list[tuple[str, Callable[[int], list[str]], Drift]] = [
        ("touches nobody", lambda _: [yard.unclaimed], Drift.BEHIND),
        ("touches one", lambda turn: [everybody[turn % len(everybody)]], Drift.RELEVANT),
        ("is relevant to all, clean", lambda _: everybody, Drift.RELEVANT),
        ("conflicts with all", lambda _: [yard.claimed(number, 1) for number in range(yard.attempts)], Drift.CONFLICT),
    ]
    rows = []
    for what, paths, level in cases:
        spent = []
        for turn in range(moves):
            yard.move(paths(turn), conflicting=level is Drift.CONFLICT)
            spent.append(cost(yard.watch.follow))
        assert level in yard.levels.values(), (what, yard.levels)
        rows.append(row(what, spent))
    whole = [cost(yard.watch.look) for _ in range(moves)]
    return [*rows, row("(a whole look at all, and those conflicts)", whole, bound=None)]


def row(what: str, spent: Sequence[tuple[float, float]], bound: float | None = BOUND_MS) -> Row:
    return Row(what, [wall for wall, _ in spent], [cpu for _, cpu in spent], bound)


def cost(act: Callable[[], None]) -> tuple[float, float]:
    """Wall and processor time, in milliseconds."""
    wall, used = time.perf_counter(), processor_s()
    act()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (processor_s() - used)


def processor_s() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


@dataclass
class Yard:
    """A control repository with attempts under way, each on a base of its own, and a store that is only in memory."""

    root: Path
    files: int
    attempts: int
    levels: dict[AttemptKey, Drift] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.user = self.root / "user"
        git(self.root, "init", "-q", "-b", "main", str(self.user))
        for name in ("user.name", "user.email"):
            git(self.user, "config", name, "bench")
        for number in range(self.files):
            path = self.user / f"src/{number // PER_FOLDER:03}/f{number % PER_FOLDER:02}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{number}\n{LINES}")
        git(self.user, "add", "-A")
        git(self.user, "commit", "-q", "-m", "first")
        self.control = open_control(self.root / "state", find(self.user))
        self.pool = WorktreePool(self.control)
        self.running = {self.begin(number).key: self.begun for number in range(self.attempts)}
        self.watch = DriftWatch(self.works(), "origin/main")
        self.watch.look()

    unclaimed = "src/000/f00.txt"

    def claimed(self, number: int, file: int) -> str:
        return f"src/{number + 1:03}/f{file:02}.txt"

    def begin(self, number: int) -> Attempt:
        """An attempt on the newest target, with a commit and with something uncommitted, in files of its own."""
        base, key = self.move([self.unclaimed]), AttemptKey(f"t{number}", 1)
        self.pool.prepare(str(number), base, f"ticketd/{key}", keep_ignored=False)
        tree = self.pool.path(str(number))
        for file, at, commits in ((0, -1, True), (2, -1, True), (0, 20, False), (1, -1, False), (3, -1, False)):
            change(tree / self.claimed(number, file), "mine\n", at)
            if commits:
                git(tree, "-c", "user.name=a", "-c", "user.email=a", "commit", "-q", "-am", "mine")
        self.begun = Attempt(key, AttemptState.RUNNING, number + 1, base, "a", worktree=str(number), started_at=0.0)
        return self.begun

    def move(self, paths: Sequence[str], conflicting: bool = False) -> str:
        for path in paths:
            change(self.user / path, f"theirs {time.time()}\n", at=-1 if conflicting else 0)
        git(self.user, "commit", "-q", "-am", "theirs")
        self.tip = git(self.user, "rev-parse", "HEAD")
        git(self.root / "state/control.git", "fetch", "-q", str(self.user), "+main:refs/target/main")
        return self.tip

    def set_drift(self, key: AttemptKey, behind: int, drift: Drift, paths: Sequence[str], at: float) -> None:
        self.levels[key] = drift

    def works(self) -> Any:
        claims = [Claim(key.ticket, 1, PatternSet((f"/src/{int(key.ticket[1:]) + 1:03}/",))) for key in self.running]
        store = SimpleNamespace(
            target=lambda: TargetRecord("origin", "main", self.tip, 0.0, ""),
            live_attempts=lambda: tuple(self.running.values()),
            claims=lambda: claims,
            collisions=lambda: (),
            extend_claim=lambda *_: None,
            set_drift=self.set_drift,
        )
        session = SimpleNamespace(store=store, clock=SystemClock(), places=Places(self.root / "state"))
        return SimpleNamespace(session=session, history=self.control, worktrees=self.pool, settings=Settings)


def change(path: Path, line: str, at: int) -> None:
    lines = path.read_text().splitlines(keepends=True)
    lines[at] = line
    path.write_text("".join(lines))


def git(where: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=where, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
