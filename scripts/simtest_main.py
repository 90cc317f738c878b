"""The real daemon, with its scheduler, lane and recovery, in simulated worlds: repository, agents, remote and clock are
in memory, and a seed decides what happens when, who comes first, what fails and when the daemon is killed.

After every death of a daemon, and when all is over, the invariants are checked (`tests/sim/sim_invariants.py`).
A seed replays exactly: `--trace SEED` shows all that happened in it.

Exit codes: 0 no seed violates an invariant; 1 some do, and are named.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "sim"))

from sim_run import Report, simulate  # type: ignore[import-not-found]

CHUNK = 20
EVERY_S = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="simtest", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes side by side")
    parser.add_argument("--trace", type=int, metavar="SEED", help="run this one and show every step of it")
    asked = parser.parse_args()
    return trace(asked.trace) if asked.trace is not None else run(asked.first, asked.seeds, asked.jobs)


def trace(seed: int) -> int:
    report = simulate(seed, traced=True)
    print("\n".join(report.trace))
    tell(report)
    print(f"seed {seed}: {report.landed} of {report.tickets} tickets landed, {report.lives} daemons")
    return 1 if report.violations else 0


def run(first: int, seeds: int, jobs: int) -> int:
    began, told, done, bad = time.monotonic(), 0.0, 0, []
    tickets = landed = lives = steps = 0
    with ProcessPoolExecutor(jobs) as pool:
        for report in pool.map(simulate, range(first, first + seeds), chunksize=CHUNK):
            done, tickets, landed = done + 1, tickets + report.tickets, landed + report.landed
            lives, steps = lives + report.lives, steps + report.steps
            if report.violations:
                bad.append(report.seed)
                tell(report)
            if time.monotonic() - told > EVERY_S:
                told = time.monotonic()
                print(f"{done} of {seeds} seeds, {len(bad)} with violations", flush=True)
    took = time.monotonic() - began
    print(
        f"{seeds} seeds from {first}: {len(bad)} with violations; {landed} of {tickets} tickets landed, "
        f"{lives} daemons, {steps} calls of ports, {took:.0f} s"
    )
    if bad:
        print(f"look closer: scripts/simtest --trace {bad[0]}")
    return 1 if bad else 0


def tell(report: Report) -> None:
    for violation in report.violations:
        print(f"seed {report.seed}: {violation}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
