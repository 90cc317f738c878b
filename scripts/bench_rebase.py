"""What a rebase in memory costs on a repository with thousands of files, beside `git rebase` in a worktree of its own.

In milliseconds of processor time for each commit, of this process and all that it starts; the same moves for both.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ticketd.domain.globs import PatternSet
from ticketd.domain.merging import NO_RULES, MergeRules
from ticketd.git.control import Control
from ticketd.git.creation import open_control
from ticketd.git.repository import find
from ticketd.ports import Rebased

BOUND_MS = 10.0
GROWTH_BOUND = 1.5
TRAILERS = (("Ticket", "fix-it"), ("Ticket-Attempt", "1"))
LOG, LOCK = "CHANGELOG.md", "uv.lock"
RULES = MergeRules(union=PatternSet((f"/{LOG}",)), regenerate=PatternSet((f"/{LOCK}",)))


@dataclass(frozen=True, slots=True)
class Case:
    """A branch of so many commits, the target so many ahead of where it began. `hot`: what both sides write as well.
    `bound`: milliseconds for each commit, None where nothing is promised."""

    what: str
    commits: int
    behind: int
    hot: str = ""
    bound: float | None = BOUND_MS


CASES = (
    Case("one commit", 1, 1),
    Case("one commit, 20 behind", 1, 20),
    Case("one commit, 300 behind", 1, 300),
    Case("10 commits", 10, 20),
    Case("50 commits", 50, 20),
    Case("one commit, and a file by union", 1, 1, LOG, None),
    Case("one commit, and a file made anew", 1, 1, LOCK, None),
)


@dataclass(frozen=True, slots=True)
class Yard:
    user: Path
    control: Control
    tree: Path
    files: tuple[str, ...]

    def git(self, *args: str, where: Path | None = None, ok: bool = True) -> str:
        done = subprocess.run(["git", *args], cwd=where or self.user, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not ok, done.stderr
        return done.stdout.strip()

    def commit(self, name: str, said: str, hot: str) -> str:
        """One line of a file changed, in the worktree."""
        path = self.tree / name
        path.write_text(path.read_text().replace("line 3\n", f"line 3 {said}\n"))
        if hot:
            lines = (self.tree / hot).read_text().splitlines(keepends=True)
            (self.tree / hot).write_text("".join([lines[0], f"- {said}\n", *lines[1:]]))
        self.git("commit", "-q", "-a", "-m", f"change {name}", where=self.tree)
        return self.git("rev-parse", "HEAD", where=self.tree)

    def line(self, base: str, count: int, first: int, said: str, hot: str) -> str:
        self.git("checkout", "-q", "--detach", base, where=self.tree)
        tip = base
        for number in range(count):
            tip = self.commit(self.files[first + number * 7 % 900], f"{said} {number}", hot if number == 0 else "")
        return tip


def make_yard(at: Path, count: int, folders: int) -> Yard:
    user = at / "user"
    files = tuple(f"src/pkg{n % folders:03}/part{n % 4}/module{n:05}.py" for n in range(count))
    for name in files:
        (user / name).parent.mkdir(parents=True, exist_ok=True)
        (user / name).write_text("".join(f"line {n}\n" for n in range(40)) + name)
    for hot in (LOG, LOCK):
        (user / hot).write_text("head\n" + "".join(f"- entry {n}\n" for n in range(200)))
    (user / ".gitattributes").write_text("*.png binary\n")
    run = ("git", "-C", str(user), "-c", "gc.auto=0")
    for args in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "start"), ("repack", "-adq")):
        subprocess.run([*run, *args], check=True)
    control = open_control(at / "state", find(user), "")
    tree = at / "tree"
    subprocess.run(["git", "-C", control.path, "worktree", "add", "-q", "--detach", tree, tip_of(user)], check=True)
    return Yard(user, control, tree, files)


def tip_of(user: Path) -> str:
    return subprocess.run(
        ["git", "-C", user, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def spent_ms() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used) * 1e3


def measured(act: Callable[[int], None], times: int) -> tuple[float, float, float]:
    """Processor time: the median, the least; and the median of the time on the clock."""
    spent, clock = [], []
    for number in range(times):
        before, begun = spent_ms(), time.perf_counter()
        act(number)
        clock.append((time.perf_counter() - begun) * 1e3)
        spent.append(spent_ms() - before)
    return statistics.median(spent), min(spent), statistics.median(clock)


def moves(yard: Yard, case: Case, times: int) -> list[tuple[str, str, str]]:
    """Each a different one: what was done once is there already."""
    start = tip_of(yard.user)
    onto = yard.line(start, case.behind, 1000, "theirs", case.hot)
    return [
        (start, yard.line(start, case.commits, number, f"ours {number}", case.hot), onto) for number in range(times)
    ]


def in_memory(yard: Yard, case: Case, made: list[tuple[str, str, str]]) -> Callable[[int], None]:
    rules = RULES if case.hot else NO_RULES

    def act(number: int) -> None:
        verdict = yard.control.rebase(*made[number], TRAILERS, rules)
        assert isinstance(verdict, Rebased) and len(verdict.commits) == case.commits, verdict

    return act


def in_worktree(yard: Yard, made: list[tuple[str, str, str]]) -> Callable[[int], None]:
    def act(number: int) -> None:
        base, tip, onto = made[number]
        yard.git("-c", "merge.directoryRenames=false", "rebase", "-q", "--onto", onto, base, tip, where=yard.tree)

    return act


def rows(yard: Yard, times: int) -> Iterator[bool]:
    """Whether each is within its bound; told as it comes."""
    each_ms = {}
    for case in CASES:
        made = moves(yard, case, times + 1)
        first, *rest = made
        cold, _, _ = (value / case.commits for value in measured(in_memory(yard, case, [first]), 1))
        median, least, clock = (value / case.commits for value in measured(in_memory(yard, case, rest), times))
        beside = "-", "-"
        if not case.hot:
            rebase = measured(in_worktree(yard, rest), min(times, 5))[0] / case.commits
            beside = f"{rebase:.1f}", f"{rebase / median:.1f}"
        bound = f"{case.bound:.1f}" if case.bound else "-"
        numbers = f"{median:>10.2f} {least:>7.2f} {bound:>6} {clock:>9.2f} {cold:>7.2f}"
        print(f"{case.what:<34} {numbers} {beside[0]:>10} {beside[1]:>7}", flush=True)
        each_ms[case.what] = median
        yield case.bound is None or median <= case.bound
    growth = each_ms["50 commits"] / each_ms["10 commits"]
    print(f"\na commit of 50 costs {growth:.2f} times one of 10; bound {GROWTH_BOUND}")
    yield growth <= GROWTH_BOUND


def main() -> int:
    """Measure, and say what is beyond its bound by the exit code."""
    parser = argparse.ArgumentParser(prog="bench rebase", description=__doc__)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--folders", type=int, default=100, help="a quarter of the folders that hold files")
    parser.add_argument("--times", type=int, default=11, help="moves of each kind")
    options = parser.parse_args()
    print(f"{options.files:,} files, {options.times} moves of each kind; milliseconds for each commit")
    print("\n{:<34} {:>10} {:>7} {:>6} {:>9} {:>7} {:>10} {:>7}".format(*HEAD))
    with tempfile.TemporaryDirectory(prefix="ticketd-bench-") as at:
        yard = make_yard(Path(at), options.files, options.folders)
        return 0 if all([*rows(yard, options.times)]) else 1


HEAD = ("what", "median cpu", "least", "bound", "clock", "first", "git rebase", "x")

if __name__ == "__main__":
    sys.exit(main())
