"""Chaos on the real thing, and what must be true all the while and when it is over.

A daemon works on a stream of tickets whose agents commit, leave work behind, crash, fork and do not listen; meanwhile
faults come by a schedule: whatever runs is killed at random, the disk fills, the remote goes, refuses or dies when it
has taken all, the store is locked, people steer and push. After each recovery the invariants that hold at any moment
are checked (scripts/invariants.py), and all of them at the end, when the queue has been brought to its end.

The same seed makes the same tickets and the same schedule of faults. What they meet differs: the real thing has a
timing of its own.

Exit codes: 0 nothing was wrong; 1 something was, and the scene is kept.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from chaos_aim import Blow, kill
from chaos_faults import FAULTS, HARD, SHARES, strike
from chaos_people import tend_remote
from chaos_scene import Ground, terms_of, wait
from chaos_tamper import TAMPERS
from invariants import wrongs_at_rest, wrongs_now
from left_behind import runs

from ticketd.domain.events import Event
from ticketd.store import SqliteStore

QUEUE = 12
DRAIN_S = 240.0
UP_S = 60.0
STARTS = 20
MISSED = ("none", "no ", "there is no", "skipped")
WORTH_A_LOOK = ("tampered", "recovered", "cleared", "disk-short", "alarm", "taken-off", "lost")


def schedule(seed: int) -> Iterator[tuple[float, Blow]]:
    """Each draw takes as much of the dice as any other, so that the schedule depends on the seed alone."""
    dice = random.Random(f"faults {seed}")
    kinds, shares = list(SHARES), list(SHARES.values())
    while True:
        gap = dice.expovariate(1 / 1.5)
        (kind,) = dice.choices(kinds, shares)
        yield min(gap, 6.0), Blow(kind, dice.random(), dice.uniform(0.3, 4.0))


@dataclass
class Chaos:
    ground: Ground
    began: float = field(default_factory=time.monotonic)
    blows: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    restarts: int = 0
    checks: int = 0
    wrongs: list[str] = field(default_factory=list)
    excused: bool = False

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f}  {text}", flush=True)

    def rage(self, seed: int, seconds: float) -> None:
        self.revive()
        for gap, blow in schedule(seed):
            if time.monotonic() - self.began > seconds or self.wrongs:
                return
            time.sleep(gap)
            self.ground.add_tickets(max(0, QUEUE - self.waiting()))
            self.excused = self.excused or blow.kind in HARD
            come_to = strike(self.ground, blow)
            self.say(f"{blow.kind}: {come_to}")
            if come_to.startswith(MISSED):
                self.missed += 1
            else:
                self.blows[blow.kind] += 1
            self.go_on_after_alarm()
            tend_remote(self.ground)
            if self.ground.is_down():
                self.revive()
                self.check(wrongs_now(self.ground.scene))

    def go_on_after_alarm(self) -> None:
        """A person has looked: that commits were taken off is known here, every other alarm is a wrong."""
        if alarm := self.ground.alarm():
            if "taken commits off" not in alarm:
                self.wrongs.append(f"an alarm for nothing: {alarm}")
            self.say(f"resume, since {alarm[:80]}: exit {self.ground.ticketd('resume').returncode}")

    def waiting(self) -> int:
        with self.ground.store() as store:
            if store is None:
                return QUEUE if (self.ground.scene.state / "store.db").exists() else 0
            states = Counter(str(record.state) for record in store.board().tickets.values())
        return states["queued"] + max(0, self.ground.asked - sum(states.values()))

    def revive(self) -> None:
        """Until one is up; a daemon that ended though nobody had killed it has to have said why."""
        for _ in range(STARTS):
            self.look_at_the_end(None if self.ground.daemon is None else self.ground.daemon.poll())
            self.ground.start()
            self.restarts += 1
            if not wait(lambda: self.ground.is_down() or self.ground.is_up(), UP_S):
                self.wrongs.append(f"the daemon did not come up within {UP_S:.0f} s")
            if not self.ground.is_down():
                self.excused = False
                return
        self.wrongs.append(f"of {STARTS} daemons one after the other none has stayed up")

    def look_at_the_end(self, code: int | None) -> None:
        said = self.ground.said() if code is not None else ""
        if "Traceback" in said:
            self.wrongs.append(f"the daemon fell over: {said}")
        elif code not in (None, 0, -9) and not self.excused:
            self.wrongs.append(f"the daemon ended by itself with exit code {code}: {said[-400:]}")
        elif code not in (None, 0, -9):
            self.say(f"the daemon ended with exit code {code}: {said[-300:].strip()}")

    def check(self, found: Iterator[str]) -> None:
        self.checks += 1
        self.wrongs += found
        complaints = self.ground.made / "complaints"
        if complaints.exists():
            self.wrongs += complaints.read_text().splitlines()
        if (self.ground.root / "tracebacks").exists():
            self.wrongs.append(f"a command fell over: {(self.ground.root / 'tracebacks').read_text()[-1500:]}")

    # --- the end ---

    def come_to_rest(self) -> None:
        """Nothing new comes, what is held may go; and once more, so that what the last one left is swept."""
        if not self.ground.is_down():
            assert self.ground.daemon is not None
            self.ground.daemon.terminate()
            if not wait(self.ground.is_down, 60):
                self.wrongs.append("the daemon did not end within 60 s of SIGTERM")
                self.ground.daemon.kill()
                return
        for ticket in self.held():
            self.ground.ticketd("unhold", ticket)
        self.go_on_after_alarm()
        tend_remote(self.ground, 0.0)
        for _ in range(2):
            with (self.ground.root / "drain.out").open("ab") as out:
                done = self._drain(out.fileno())
            if done is None:
                self.wrongs.append(f"the queue did not come to its end within {DRAIN_S:.0f} s")
                return
        self.say(f"at rest: exit {done}")
        self.check(wrongs_at_rest(self.ground.scene))

    def held(self) -> list[str]:
        with self.ground.store() as store:
            return [record.id for record in store.board().tickets.values() if record.held] if store else []

    def _drain(self, out: int) -> int | None:
        command = self.ground.command("start", "--until-idle")
        daemon = subprocess.Popen(command, env=self.ground.environ, stdout=out, stderr=out, cwd=self.ground.root)
        try:
            return daemon.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
            return None

    def clear_up(self) -> None:
        """Nothing of it may go on running, whatever it came to."""
        if self.ground.daemon is not None:
            self.ground.daemon.kill()
            self.ground.daemon.wait()
        for pid in runs(self.ground.scene):
            kill(pid)

    def summary(self, seed: int) -> None:
        with self.ground.store() as store:
            records = tuple(store.board().tickets.values()) if store else ()
            told = Counter(str(event.kind) for event in all_events(store)) if store else Counter[str]()
        states, attempts = Counter(str(record.state) for record in records), sum(record.attempts for record in records)
        tampered = self.ground.made / "tampered"
        deeds = Counter(tampered.read_text().split() if tampered.exists() else ())
        print(f"tickets: {counted(states)}; {attempts} attempts")
        print(f"events: {counted(Counter({kind: told[kind] for kind in WORTH_A_LOOK if told[kind]}))}")
        print(f"agents tampered: {counted(deeds)}")
        print(f"faults: {sum(self.blows.values())} ({counted(self.blows)}); {self.missed} found nobody to hit")
        never = [kind for kind in FAULTS if kind not in self.blows]
        never += [f"tamper {each}" for each in TAMPERS if each not in deeds]
        print(f"never came: {', '.join(never)}" if never else "each kind of fault came")
        if not self.ground.mounted:
            print("the disk was never full: the state directory could not be made a file system of its own")
        took, wrongs = time.monotonic() - self.began, len(self.wrongs)
        print(f"seed {seed}: {took:.0f} s, {self.restarts} daemons, {self.checks} checks, {wrongs} violations")


def counted(what: Counter[str]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in what.most_common()) or "none"


def all_events(store: SqliteStore) -> Iterator[Event]:
    number = 0
    while page := store.events(after=number):
        yield from page
        number = page[-1].number


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--train", type=int, default=None, help="how many are verified together (default: by the seed)")
    parser.add_argument(
        "--isolation", choices=["worktree", "clone"], default=None, help="of slots (default: by the seed)"
    )
    parser.add_argument("--sandbox", choices=["off", "auto"], default=None, help="(default: by the seed)")
    parser.add_argument("--keep", action="store_true", help="keep the scene also where nothing was wrong")
    said = parser.parse_args()
    os.environ.pop("TICKETD_FAILPOINT", None)
    root = Path(tempfile.mkdtemp(prefix="ticketd-chaos-"))
    wanted = {"train": said.train, "isolation": said.isolation, "sandbox": said.sandbox}
    terms = replace(terms_of(said.seed, said.minutes), **{name: value for name, value in wanted.items() if value})
    ground = Ground(root, random.Random(f"tickets {said.seed}"), terms)
    chaos = Chaos(ground)
    chaos.say(f"seed {said.seed}: {terms}")
    try:
        ground.set_up()
        chaos.rage(said.seed, said.minutes * 60)
        if not chaos.wrongs:
            chaos.come_to_rest()
        chaos.summary(said.seed)
    finally:
        chaos.clear_up()
    if chaos.wrongs:
        print(*chaos.wrongs, sep="\n")
        print(f"the scene is kept in {root}" + (" (its state directory is mounted)" if ground.mounted else ""))
        return 1
    if not said.keep:
        ground.unmount()
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
