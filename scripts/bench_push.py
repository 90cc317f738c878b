"""What a person waits for at each push: `ticketd push` and the pre-push hook when there is nothing to do.

A local remote, a small repository; wall-clock milliseconds of whole commands. Prints a row for each: what, the first
run, the median and the quickest of the others, the median of the processor time (on a busy machine the better guide),
the bound of the wall-clock median. Exit codes: 0 all within bounds; 1 not.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BOUND_MS = 150.0
RUNS = 20


@dataclass(frozen=True, slots=True)
class Row:
    """`bound_ms` is None for what is only there to be compared with."""

    what: str
    first_ms: float
    others_ms: tuple[float, ...]
    cpu_ms: float
    bound_ms: float | None = BOUND_MS

    @property
    def median_ms(self) -> float:
        return statistics.median(self.others_ms)

    @property
    def holds(self) -> bool:
        return self.bound_ms is None or self.median_ms <= self.bound_ms

    def __str__(self) -> str:
        bound = "" if self.bound_ms is None else f"{self.bound_ms:.0f}"
        measured = (self.first_ms, self.median_ms, min(self.others_ms), self.cpu_ms)
        return f"{self.what:<52}{''.join(f'{ms:>8.0f}' for ms in measured)}{bound:>8}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each command, after the first (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ticketd-bench-") as scratch:
        rows = list(Yard(Path(scratch), options.runs).measure())
    print(f"{'milliseconds':<52}{'first':>8}{'median':>8}{'least':>8}{'cpu':>8}{'bound':>8}")
    for row in rows:
        print(row)
    return 0 if all(row.holds for row in rows) else 1


@dataclass(frozen=True, slots=True)
class Yard:
    root: Path
    runs: int

    def measure(self) -> Iterator[Row]:
        work = self._clone()
        yield self._row("git push, no hook, nothing to do", work, "git", "push", bound_ms=None)
        yield self._row("git push, no hook, a new commit", work, "git", "push", commits=True, bound_ms=None)
        self._run(work, *TICKETD, "hook", "install")
        yield self._row("git push, the hook, nothing to do", work, "git", "push")
        yield self._row("git push, the hook, a new commit and nobody else's", work, "git", "push", commits=True)
        yield self._row("git push, the hook, another branch", work, "git", "push", "origin", "HEAD:other", commits=True)
        self._run(work, "git", "push", "origin", "HEAD")
        yield self._row("ticketd push, nothing to do", work, *TICKETD, "push")
        self._run(work, *TICKETD, "hook", "install", "--gate")
        yield self._row("git push, the gate, nothing to do", work, "git", "push", bound_ms=None)
        yield self._row("git push, the gate, a new commit", work, "git", "push", commits=True, bound_ms=None)

    def _row(
        self, what: str, where: Path, *command: str, commits: bool = False, bound_ms: float | None = BOUND_MS
    ) -> Row:
        taken, used = [], []
        for _ in range(self.runs + 1):
            if commits:
                self._run(where, "git", "commit", "--quiet", "--allow-empty", "--message=one more")
            before = cpu_ms()
            taken.append(self._run(where, *command))
            used.append(cpu_ms() - before)
        return Row(what, taken[0], tuple(taken[1:]), statistics.median(used), bound_ms)

    def _clone(self) -> Path:
        origin, work = self.root / "origin.git", self.root / "work"
        self._run(self.root, "git", "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
        self._run(self.root, "git", "clone", "--quiet", str(origin), str(work))
        (work / "a.txt").write_text("a\n")
        self._run(work, "git", "add", "--all")
        self._run(work, "git", "commit", "--quiet", "--message=first")
        self._run(work, "git", "push", "--quiet", "--set-upstream", "origin", "HEAD:main")
        return work

    def _run(self, where: Path, *command: str) -> float:
        """How long it took, in milliseconds; none of these may fail."""
        begun = time.perf_counter()
        subprocess.run(command, cwd=where, env=self._environ(), check=True, capture_output=True)
        return (time.perf_counter() - begun) * 1000

    def _environ(self) -> dict[str, str]:
        who = {f"GIT_{role}_{part}": "bench@example.invalid" for role in ROLES for part in ("NAME", "EMAIL")}
        home = {"HOME": str(self.root), "XDG_STATE_HOME": str(self.root / "state"), "GIT_CONFIG_NOSYSTEM": "1"}
        return {"PATH": os.environ.get("PATH", os.defpath), **home, **who}


def cpu_ms() -> float:
    """Of all processes that have ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


ROLES = ("AUTHOR", "COMMITTER")
TICKETD = (str(Path(sys.executable).with_name("ticketd")),)


if __name__ == "__main__":
    sys.exit(main())
