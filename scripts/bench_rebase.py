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
from collections.abc import Callable, Iterator, Mapping, Sequence
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
START = 1_700_000_000
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
    """`tree` is a worktree for git's own rebase."""

    control: Control
    tree: Path
    start: str
    files: tuple[str, ...]

    def line(self, count: int, first: int, said: str, hot: str) -> str:
        """So many commits, each with a line of a file changed, of the half that begins at `first`; the first one also
        adds a line to `hot`."""
        stream, half = [], len(self.files) // 2
        for number in range(count):
            files = {self.files[first + number * 7 % half]: module(f"{said} {number}")}
            if hot and number == 0:
                files[hot] = listed(said)
            stream.append(render(f"refs/bench/{said}", files, START + 60 * number, "" if number else self.start))
        put_in(self.control.path, stream)
        return ask(self.control.path, "rev-parse", f"refs/bench/{said}")


def module(third: str) -> str:
    return "".join(f"line {number if number != 3 else third}\n" for number in range(40))


def listed(first: str) -> str:
    return "".join(f"- {entry}\n" for entry in ("head", first, *range(200)))


def render(ref: str, files: Mapping[str, str], when: int, onto: str = "") -> str:
    """A commit as `git fast-import` reads it."""
    who = f"Bench <bench@example.org> {when} +0000"
    head = f"commit {ref}\ncommitter {who}\ndata 6\nchange\n" + (f"from {onto}\n" if onto else "")
    return head + "".join(f"M 100644 inline {name}\ndata {len(text)}\n{text}\n" for name, text in files.items()) + "\n"


def put_in(repository: Path, stream: Sequence[str]) -> None:
    command = ("git", "-C", repository, "fast-import", "--quiet", "--force")
    subprocess.run(command, input="".join(stream).encode(), check=True)


def ask(repository: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", repository, *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def make_yard(at: Path, count: int, folders: int) -> Yard:
    user = at / "user"
    names = tuple(f"src/pkg{n % folders:03}/part{n // folders % 4}/module{n:05}.py" for n in range(count))
    files = {name: module(name) for name in names}
    files |= {LOG: listed("old"), LOCK: listed("old"), ".gitattributes": "*.png binary\n"}
    subprocess.run(["git", "init", "-q", "-b", "main", user], check=True)
    put_in(user, [render("refs/heads/main", files, START - 60)])
    subprocess.run(["git", "-C", user, "repack", "-adq"], check=True)
    control, tree, start = open_control(at / "state", find(user), ""), at / "tree", ask(user, "rev-parse", "main")
    subprocess.run(["git", "-C", control.path, "worktree", "add", "-q", "--detach", tree, start], check=True)
    return Yard(control, tree, start, names)


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
    name = f"{case.commits}-{case.behind}{case.hot[:2]}"
    onto = yard.line(case.behind, len(yard.files) // 2, f"theirs{name}", case.hot)
    tips = [yard.line(case.commits, 0, f"ours{name}-{number}", case.hot) for number in range(times)]
    return [(yard.start, tip, onto) for tip in tips]


def in_memory(yard: Yard, case: Case, made: list[tuple[str, str, str]]) -> Callable[[int], None]:
    rules = RULES if case.hot else NO_RULES

    def act(number: int) -> None:
        verdict = yard.control.rebase(*made[number], TRAILERS, rules)
        assert isinstance(verdict, Rebased) and len(verdict.commits) == case.commits, verdict

    return act


def in_worktree(yard: Yard, made: list[tuple[str, str, str]]) -> Callable[[int], None]:
    def act(number: int) -> None:
        base, tip, onto = made[number]
        ask(yard.tree, "-c", "merge.directoryRenames=false", "rebase", "-q", "--onto", onto, base, tip)

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
    parser.add_argument("--folders", type=int, default=100, help="of four folders each, which hold the files")
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
