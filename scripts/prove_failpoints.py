"""A death (kill -9) at each failpoint, in each play that passes it, at the first, the middle and the last time that it
does: begun again, brought to its end, and everything checked that `scripts/invariants.py` knows.

First each play runs once without a death, to hear which points it passes and how often. All of it takes
hours; with `--plays 1` there are deaths at each point in one play only. With --page the list of all points is written
to wiki/_global/failpoints.md instead.

Exit codes: 0 nothing was wrong; 1 something was, and where it happened is kept.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from failpoint_plays import PLAYS
from failpoint_scenes import NOT_SO_OFTEN, Driver, Play, driver, listen, prove, prove_supervisors
from failpoint_stages import by_chance, is_staged

from ticketd.failpoints import POINTS

PAGE = Path(__file__).parents[1] / "wiki" / "_global" / "failpoints.md"
HEAD = """\
# Failpoints

Every durable step of ticketd has a name. `TICKETD_FAILPOINT=NAME[:N]` in the environment of a command makes it kill
itself (`kill -9`) right after it has taken that step for the Nth time; a supervisor obeys where it is that of an Nth
attempt. Nothing else arms a point, a name that is not there is refused, and a point that is not armed costs some 30 ns.

The state before a step is the one after the step before it. So to die after each is to die between any two; what dies
within a git command is proven by killing git itself (`scripts/chaos`).

What is durable goes through few doors: a transaction of the store, a git command that writes
(`git/door.py`), a file put in its place or taken away (`git/tree.py`), the files of a run. Each door has its point,
named after the function that came through it. `tests/daemon/test_failpoints.py` looks through the code for ways through
the doors and asks for a sentence about each in `src/ticketd/failpoints.py`, kills at each, begins again and checks what
must be true (`scripts/invariants.py`); `scripts/prove-failpoints` does so in every play that passes a point, and at
several of the times that it does.

"""
ROOMS = {
    "store": "The store",
    "file": "Files",
    "git": "Repositories and worktrees",
    "gone": "What is taken away",
    "run": "Runs, the daemon's side",
    "supervisor": "Runs, the supervisor's side",
}


def page() -> str:
    """This page, as it has to read."""
    parts = [HEAD]
    for room, title in ROOMS.items():
        rows = "".join(f"| `{name}` | {said} |\n" for name, said in POINTS.items() if name.startswith(f"{room}/"))
        parts.append(f"## {title}\n\n| point | what has just become durable |\n| --- | --- |\n{rows}\n")
    return "".join(parts).rstrip() + "\n"


def times(passed: int) -> Iterator[int]:
    yield from sorted({1, (passed + 1) // 2, passed})


def hear(plays: Mapping[str, Play], root: Path, by: Driver) -> dict[str, list[tuple[int, str]]]:
    """Which points each play passes, with the step that does; the quickest play first."""
    found = dict[str, tuple[float, list[tuple[int, str]]]]()
    for name, play in plays.items():
        began = time.monotonic()
        passed = listen(play, root / name, by)
        found[name] = (time.monotonic() - began, passed)
    shutil.rmtree(root)
    return {name: found[name][1] for name in sorted(found, key=lambda name: found[name][0])}


def cases(heard: Mapping[str, list[tuple[int, str]]], only: str, plays: int) -> Iterator[tuple[str, int, str]]:
    """A play, a step of it, and a death in that (POINT:N); each point in so many plays, first of all where it is
    staged."""
    for point in (each for each in POINTS if only in each):
        names = [name for name in heard if any(point == passed for _, passed in heard[name])]
        for name in sorted(names, key=lambda name: not is_staged(point, name))[:plays]:
            steps = [step for step, passed in heard[name] if passed == point]
            for number in times(1 if by_chance(point) else len(steps)):
                step = steps[number - 1]
                yield name, step, f"{point}:{steps[:number].count(step)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--play", default="", help="only this one")
    parser.add_argument("--plays", type=int, default=len(PLAYS), help="each point in so many at most; all of them")
    parser.add_argument("--point", default="", help="only those whose name holds this")
    parser.add_argument("--page", action="store_true", help="write the wiki's page")
    said = parser.parse_args()
    if said.page:
        PAGE.write_text(page())
        return 0
    root, began, bad, done = Path(tempfile.mkdtemp(prefix="ticketd-failpoints-")), time.monotonic(), 0, 0
    with driver() as by:
        plays = {play.name: play for play in PLAYS if said.play in ("", play.name)}
        heard = hear(plays, root / "listening", by)
        for name, step, case in cases(heard, said.point, said.plays):
            done += 1
            wrongs = prove(plays[name], step, case, root / "scene", by)
            bad += told(f"{case} in step {step + 1}", plays[name], wrongs, root, bad)
        if said.play == "":
            points = [point for point in POINTS if point.startswith("supervisor/") and said.point in point]
            done += len(points)
            bad += told(f"{len(points)} points of supervisors", None, supervised(points, root, by), root, bad)
    print(f"{done} deaths in {time.monotonic() - began:.0f} s, {bad} of them bad")
    if bad:
        print(f"where it happened is kept in {root}")
        return 1
    shutil.rmtree(root)
    return 0


def supervised(points: list[str], root: Path, by: Driver) -> list[str]:
    return prove_supervisors(points, root / "scene", by) if points else []


def told(case: str, play: Play | None, wrongs: list[str], root: Path, before: int) -> int:
    """Says it, and keeps or removes the scene; 1 if something was wrong. How often a point is passed may differ from
    one time to the next, for a daemon that waits for nothing takes some steps as often as it comes to."""
    scene = root / "scene"
    where = f" in {play.name}" if play else ""
    if wrongs == [NOT_SO_OFTEN]:
        print(f"--   {case}{where}: {NOT_SO_OFTEN}", flush=True)
        wrongs = []
    else:
        print(f"{'BAD' if wrongs else 'ok '}  {case}{where}", *wrongs, sep="\n     ", flush=True)
    if wrongs:
        scene.rename(root / f"bad-{before + 1}")
    elif scene.exists():
        shutil.rmtree(scene)
    return int(bool(wrongs))


if __name__ == "__main__":
    sys.exit(main())
