"""What it costs to land one-commit tickets on a repository of 5,000 files, without verification.

Each round lands one ticket in each of three ways, one after the other on the same remote, so that what else the machine
does counts for all of them:

    bare    `git fetch` and `git push` of a commit that needs no rebase: what nobody can avoid
    loop    `git fetch; git rebase; git push` in a worktree
    lane    one ticket through ticketd's lane

and at the end queues of tickets that wait already, through the lane. Wall and processor time (with children) in
milliseconds; medians. Exit codes: 0 all within bounds; 1 not.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kept_work import Bed, commit_on, daemon_of, git, keep, lane_of, make_bed

FILES, ROUNDS, QUEUES, QUEUE, BEHIND = 5_000, 30, 5, 40, 5
OVER_BARE, OVER_LOOP, REBASE_CPU_MS = 1.5, 3.0, 10.0


@dataclass
class Samples:
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def take(self, do: Callable[[], object], count: int = 1) -> None:
        wall, cpu = time.perf_counter(), processor_s()
        do()
        self.wall.append((time.perf_counter() - wall) * 1e3 / count)
        self.cpu.append((processor_s() - cpu) * 1e3 / count)

    def row(self, name: str) -> str:
        at = sorted(self.wall)
        p95 = at[min(len(at) - 1, len(at) * 95 // 100)]
        return f"{name:<22}{self.median:>10.1f}{at[0]:>10.1f}{p95:>10.1f}{statistics.median(self.cpu):>10.1f}"

    @property
    def median(self) -> float:
        return statistics.median(self.wall)


def processor_s() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ticketd-bench-") as scratch:
        return measure(make_bed(Path(scratch), options.files), options.rounds)


def measure(bed: Bed, rounds: int) -> int:
    bare, loop, lane, rebase, queue = (Samples() for _ in range(5))
    tree = bed.root / "tree"
    git(bed.work, "worktree", "add", "--quiet", "--detach", str(tree))
    with daemon_of(bed, "") as daemon:
        landing, control = lane_of(daemon), daemon.works.session.places.control
        for number in range(rounds):
            base = move(bed, number)
            daemon.tracker.ask()
            do_bare(bed, bare, number)
            do_loop(bed, tree, loop, number, base)
            keep(daemon, bed, {f"t{number}": commit_on(control, base, f"new/t{number}.txt", "x\n")}, base)
            daemon.tracker.ask()
            one, tip = daemon.works.session.store.landings()[0], bed.target()
            rebase.take(partial(daemon.works.history.rebase, one.base, one.tip, tip, (("Ticket", "x"),)))
            lane.take(landing.turn)
            assert daemon.works.session.store.landings() == ()
        for number in range(QUEUES):
            base = bed.target()
            names = [f"q{number}-{n}" for n in range(QUEUE)]
            keep(daemon, bed, {name: commit_on(control, base, f"new/{name}.txt", "x\n") for name in names}, base)
            queue.take(landing.turn, QUEUE)
        assert len(daemon.works.session.store.landed()) == rounds + QUEUES * QUEUE
    return report(bare, loop, lane, rebase, queue)


def move(bed: Bed, number: int) -> str:
    """Others have pushed a little since the ticket's base, which is returned."""
    base = tip = bed.target()
    for step in range(BEHIND):
        tip = commit_on(bed.origin, tip, f"theirs/{number}-{step}.txt", "x\n")
    git(bed.origin, "update-ref", "refs/heads/main", tip)
    return base


def do_bare(bed: Bed, samples: Samples, number: int) -> None:
    """The commit is made between the two, on what has been fetched; that is not counted."""
    took = Samples()
    took.take(lambda: git(bed.work, "fetch", "--quiet", "origin", "main"))
    tip = commit_on(bed.work / ".git", bed.target(), f"bare/{number}.txt", "x\n")
    took.take(lambda: git(bed.work, "push", "--quiet", "origin", f"{tip}:refs/heads/main"))
    samples.wall.append(sum(took.wall))
    samples.cpu.append(sum(took.cpu))


def do_loop(bed: Bed, tree: Path, samples: Samples, number: int, base: str) -> None:
    git(bed.work, "fetch", "--quiet", "origin", "main")
    git(tree, "checkout", "--quiet", "--detach", commit_on(bed.work / ".git", base, f"loop/{number}.txt", "x\n"))

    def land() -> None:
        git(tree, "fetch", "--quiet", "origin", "main")
        git(tree, "rebase", "--quiet", "origin/main")
        git(tree, "push", "--quiet", "origin", "HEAD:refs/heads/main")

    samples.take(land)


def report(bare: Samples, loop: Samples, lane: Samples, rebase: Samples, queue: Samples) -> int:
    print(f"{'one ticket':<22}{'median ms':>10}{'min':>10}{'p95':>10}{'cpu ms':>10}")
    rows = (("bare fetch + push", bare), ("loop with rebase", loop), ("lane", lane), ("rebase in memory", rebase))
    for name, samples in (*rows, (f"lane, {QUEUE} waiting", queue)):
        print(samples.row(name))
    over_bare, over_loop = lane.median / bare.median, loop.median / queue.median
    cpu = statistics.median(rebase.cpu)
    print(f"\nlane / bare {over_bare:.2f} (at most {OVER_BARE})")
    print(
        f"loop / lane with a queue {over_loop:.2f} (at least {OVER_LOOP}); one by one {loop.median / lane.median:.2f}"
    )
    print(f"rebase {cpu:.1f} ms of processor time (at most {REBASE_CPU_MS})")
    return int(over_bare > OVER_BARE or over_loop < OVER_LOOP or cpu > REBASE_CPU_MS)


if __name__ == "__main__":
    sys.exit(main())
