"""What a supervisor costs: the start of a run, and many agents that end at the same moment.

Real supervisors around `sh`. Prints milliseconds of a start (least, median) and of processor time for a whole run, then
the seconds from the moment at which all agents may end to the last of their exit codes, with what the bell has dropped
made good by looks a second apart.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from ticketd.doorbell import Doorbell
from ticketd.engines.local import LocalEngine
from ticketd.ports import Exited, RunSpec

CODES = 7


def spec_of(root: Path, name: str, script: str, doorbell: Path | None = None) -> RunSpec:
    env = {"PATH": os.environ["PATH"]}
    argv, log = ("sh", "-c", script), root / f"{name}.log"
    return RunSpec(root / "runs" / name, argv, root, env, None, log, None, mark=f"bench-{name}", doorbell=doorbell)


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def starts(engine: LocalEngine, root: Path, count: int) -> str:
    times, before = [], cpu_s()
    for number in range(count):
        spec, begun = spec_of(root, f"one-{number}", ":"), time.perf_counter()
        engine.start(spec)
        times.append(1000 * (time.perf_counter() - begun))
        engine.wait(spec.run_dir, None)
    used = 1000 * (cpu_s() - before) / count
    return f"start: least {min(times):.1f} ms, median {statistics.median(times):.1f} ms; {used:.1f} ms of processor"


def ends(engine: LocalEngine, root: Path, count: int) -> str:
    gate = root / "gate"
    with closing(Doorbell(root)) as bell:
        left = {f"many-{number}": number % CODES for number in range(count)}
        for name, code in left.items():
            wait = f"until test -e {gate}; do sleep 0.2; done; exit {code}"
            engine.start(spec_of(root, name, wait, bell.path))
        gate.touch()
        begun = time.perf_counter()
        while left:
            bell.wait(1.0)
            for name, code in list(left.items()):
                state = engine.look(root / "runs" / name)
                if isinstance(state, Exited):
                    assert (state.code, state.reason) == (code, "exited"), state
                    del left[name]
        return f"{count} ends: all exit codes after {time.perf_counter() - begun:.2f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=50, help="runs that are measured one by one (default 50)")
    parser.add_argument("--ends", type=int, default=200, help="agents that end together (default 200)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-supervise-") as scratch:
        engine = LocalEngine()
        print(starts(engine, Path(scratch), args.starts), flush=True)
        print(ends(engine, Path(scratch), args.ends))
    return 0


if __name__ == "__main__":
    sys.exit(main())
