"""How many tickets land in an hour when a verification takes ten times as long as an agent.

A real daemon with 8 slots and scripted agents, once for each setting of `[landing] train` and `lanes`; all see the
same tickets. Verification only waits: so what is measured is the lane, not the machine's cores. Exit codes: 0 if a
train lands at least four times as many as one at a time; 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from kept_work import Bed, git, make_bed

from ticketd.boot.session import open_session
from ticketd.domain.events import EventKind

AT_LEAST = 4.0
SETTINGS = ((1, 1), (1, 4), (4, 1), (8, 1), (4, 2))


@dataclass(frozen=True, slots=True)
class Run:
    took_s: float
    landed: int
    verifications: int

    @property
    def each_hour(self) -> float:
        return self.landed / self.took_s * 3600


def run(root: Path, tickets: int, agent_s: float, train: int, lanes: int) -> Run:
    root.mkdir()
    bed = make_bed(root, 50)
    environ = {**os.environ, "XDG_STATE_HOME": str(root / "state")}
    verify = json.dumps(["sleep", str(10 * agent_s)])
    landing = f"[landing]\nverify = {verify}\ntrain = {train}\nlanes = {lanes}\n"
    (bed.work / "ticketd.toml").write_text(f'slots = 8\n{landing}[agents.default]\npreset = "scripted"\n')
    (bed.work / "tickets").mkdir()
    for number in range(tickets):
        lines = ("---", f'touches: ["/new/{number}"]', "---", f"# {number}", "")
        does = (f"agent: sleep {agent_s}", f"agent: write new/{number} x", "")
        (bed.work / "tickets" / f"t{number:03}.md").write_text("\n".join((*lines, *does)))
    command = [sys.executable, "-m", "ticketd", "--repo", str(bed.work), "start", "--until-idle"]
    began = time.monotonic()
    subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=True)
    took_s = time.monotonic() - began
    return Run(took_s, landed(bed), verifications(bed, environ))


def landed(bed: Bed) -> int:
    return int(git(bed.origin, "rev-list", "--count", "main")) - 1


def verifications(bed: Bed, environ: dict[str, str]) -> int:
    store = open_session(bed.work, environ).session.store
    return sum(event.kind is EventKind.VERIFIED for event in store.events(limit=1_000_000))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=32)
    parser.add_argument("--agent", type=float, default=0.2, metavar="SECONDS")
    said = parser.parse_args()
    print(f"{said.tickets} tickets, agents take {said.agent} s, a verification {10 * said.agent} s")
    print(f"{'train':>6}{'lanes':>6}{'took s':>10}{'an hour':>10}{'x':>7}{'verifications':>15}")
    base: Run | None = None
    best = 0.0
    with tempfile.TemporaryDirectory(prefix="ticketd-bench-") as scratch:
        for train, lanes in SETTINGS:
            found = run(Path(scratch) / f"{train}-{lanes}", said.tickets, said.agent, train, lanes)
            base = base or found
            times = found.each_hour / base.each_hour
            best = max(best, times)
            row = f"{found.took_s:>10.1f}{found.each_hour:>10.0f}{times:>7.2f}{found.verifications:>15}"
            print(f"{train:>6}{lanes:>6}{row}", flush=True)
    print(f"\nat best {best:.2f} times one at a time (at least {AT_LEAST})")
    return int(best < AT_LEAST)


if __name__ == "__main__":
    sys.exit(main())
