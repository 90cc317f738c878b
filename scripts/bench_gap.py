"""From the end of an agent to the start of the next one in the same slot, as their supervisors noted them, while the
target moves by what lands. Beside it the floor: `xargs -P` with the same command and no worktree at all.

Milliseconds: median and 95th percentile, for repositories of 300 and 5,000 files and for 1 and 8 slots.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from ticketd.app.places import Places
from ticketd.boot.session import open_session
from ticketd.domain.attempt import Attempt
from ticketd.engines.local import LocalEngine
from ticketd.ports import Exited

PER_FOLDER = 50
AGENT = 'echo x >> "src/000/$TICKETD_TICKET.txt"; sleep "$(sed -n "s/^works //p" "$TICKETD_BRIEF")"'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[300, 5_000], help="in the repository (%(default)s)")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 8], help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="tickets for each slot (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="that an agent takes, about (%(default)s)")
    options = parser.parse_args()
    print(f"{'':<36}{'gaps':>6}{'median':>10}{'p95':>10}")
    for slots in options.slots:
        lasting = [options.seconds * (0.5 + number * 7 % 11 / 10) for number in range(slots * options.rounds)]
        with tempfile.TemporaryDirectory(prefix="ticketd-bench-") as scratch:
            show(f"xargs -P {slots}", floor(Path(scratch), slots, lasting))
        for files in options.files:
            with tempfile.TemporaryDirectory(prefix="ticketd-bench-") as scratch:
                show(f"{slots} slots, {files} files", list(gaps(Path(scratch), files, slots, lasting)))
    return 0


def show(what: str, found: Sequence[float]) -> None:
    ordered = sorted(found)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    print(f"{what:<36}{len(ordered):>6}{statistics.median(ordered):>10.1f}{p95:>10.1f}", flush=True)


def floor(root: Path, slots: int, lasting: Sequence[float]) -> list[float]:
    """xargs starts the next as soon as it has noticed an end: the n-th start beyond the first ones follows the n-th
    end."""
    log = root / "log"
    script = f"echo s $(date +%s.%N) >> {log}; sleep $1; echo e $(date +%s.%N) >> {log}"
    given = "".join(f"{each}\n" for each in lasting)
    command = ["xargs", "-P", str(slots), "-n", "1", "sh", "-c", script, "sh"]
    subprocess.run(command, input=given, text=True, check=True)
    lines = [line.split() for line in log.read_text().splitlines()]
    starts, ends = (sorted(float(at) for kind, at in lines if kind == which) for which in "se")
    return [1e3 * (start - end) for start, end in zip(starts[slots:], ends, strict=False)]


def gaps(root: Path, files: int, slots: int, lasting: Sequence[float]) -> Iterator[float]:
    work, environ = make_repository(root, files, lasting), {**os.environ, "XDG_STATE_HOME": str(root / "state")}
    command = [sys.executable, "-m", "ticketd", "--repo", str(work), "start", "--until-idle", "--slots", str(slots)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the run did not end well:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    session = open_session(work, environ).session
    runs: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for id_ in session.store.board().tickets:
        for attempt in session.store.attempts(id_):
            runs[attempt.slot].append(times(session.places, attempt))
    for each in runs.values():
        each.sort()
        yield from (1e3 * (later[0] - earlier[1]) for earlier, later in pairwise(each))


def times(places: Places, attempt: Attempt) -> tuple[float, float]:
    """When its agent began and ended (epoch seconds)."""
    over = LocalEngine().look(places.run_dir(attempt.key))
    assert isinstance(over, Exited) and over.started_at is not None, over
    return over.started_at, over.ended_at


def make_repository(root: Path, files: int, lasting: Sequence[float]) -> Path:
    origin, work = root / "origin.git", root / "work"
    git(root, "init", "-q", "--bare", "-b", "main", str(origin))
    git(root, "init", "-q", "-b", "main", str(work))
    for number in range(files):
        path = work / f"src/{number // PER_FOLDER:03}/f{number % PER_FOLDER:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" * 20)
    (work / ".gitignore").write_text("/tickets/\n/ticketd.toml\n")
    git(work, "add", "-A")
    git(work, "-c", "user.name=bench", "-c", "user.email=bench", "commit", "-q", "-m", "first")
    git(work, "remote", "add", "origin", str(origin))
    git(work, "push", "-q", "-u", "origin", "main")
    (work / "ticketd.toml").write_text(f"[agents.default]\ncommand = {json.dumps(['sh', '-c', AGENT])}\n")
    (work / "tickets").mkdir()
    for number, seconds in enumerate(lasting):
        front = f'touches: ["/src/000/t{number:03}.txt"]'
        text = f"---\ntitle: t{number}\n{front}\n---\nworks {seconds:.2f}\n"
        (work / "tickets" / f"t{number:03}.md").write_text(text)
    return work


def git(where: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=where, check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
