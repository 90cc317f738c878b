"""Search for a counter-example to what the scheduler and the event log promise, with many examples of each property.

The properties run side by side, one process for each processor. Prints for each its examples, seconds and examples per
second. Exit codes: 0 none found; 1 a counter-example, or a property that could not be run, with what was said of it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = 50_000

# The longest first, so that no processor is left with it at the end.
PROPERTIES = (
    ("contract/test_event_log.py", "test_at_each_step_of_any_walk_the_events_give_what_the_tables_hold"),
    ("unit/test_promises.py", "test_every_promise_is_kept_at_every_moment_of_every_run"),
    ("unit/test_queue.py", "test_the_queue_decides_and_explains_as_the_rules_do"),
    ("unit/test_promises.py", "test_a_wide_ticket_waits_for_no_stream_of_narrow_ones"),
)


@dataclass(frozen=True, slots=True)
class Proof:
    """How often a property was tried, and what pytest said where it did not hold."""

    name: str
    examples: int
    seconds: float
    fault: str

    def __str__(self) -> str:
        return f"{self.name:<70}{self.examples:>9,}{self.seconds:>10,.1f}{self.examples / self.seconds:>10,.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="how many of each property (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed tries the same (%(default)s)")
    options = parser.parse_args()
    print(f"{'property':<70}{'examples':>9}{'seconds':>10}{'per s':>10}", flush=True)
    faults = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        proofs = [pool.submit(prove, each, options.examples, options.seed) for each in PROPERTIES]
        for proof in map(Future.result, as_completed(proofs)):
            print(proof, flush=True)
            faults += [proof.fault] if proof.fault else []
    print("\n".join(faults) or "no counter-example")
    return 1 if faults else 0


def prove(where: tuple[str, str], examples: int, seed: int) -> Proof:
    """One property in a pytest of its own."""
    path, name = where
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "prove", "HYPOTHESIS_EXAMPLES": str(examples)}
    options = ["-q", "-p", "no:cacheprovider", "--hypothesis-show-statistics", f"--hypothesis-seed={seed}"]
    command = [sys.executable, "-m", "pytest", *options, f"tests/{path}::{name}"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    tried = sum(map(int, re.findall(r"(\d+) (?:passing|failing)", said)))
    fault = "" if done.returncode == 0 and tried >= examples else said
    return Proof(name.removeprefix("test_").replace("_", " "), tried, time.monotonic() - began, fault)


if __name__ == "__main__":
    sys.exit(main())
