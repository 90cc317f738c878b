"""A storm over the lane, and what must be true when it is over.

Tickets run in a real daemon with scripted agents. One in ten makes the verification fail, one in twenty makes it fail
the first time it is seen; somebody else pushes every second; of ten pushes the remote fails one, by turns before it
takes anything and after it has taken all. Then:

    every good ticket has landed exactly once, and every bad one has failed with `verify-failed` and its log
    the verification passes on every commit of main
    main has only been fast-forwarded, both repositories are sound, the work of every bad ticket is kept
    verifications per landed ticket are within their bound

Exit codes: 0 all of it is true; 1 not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kept_work import Bed, commit_on, git, make_bed

from ticketd.boot.session import open_session
from ticketd.domain.events import EventKind
from ticketd.store import open_store

CHECK = """#!/bin/sh
if grep -rqs BAD work; then echo "bad: $(grep -rl BAD work)"; exit 1; fi
[ -n "$1" ] || exit 0
for file in flaky/*; do
    seen="$1/$(basename "$file")"
    if [ -e "$file" ] && [ ! -e "$seen" ]; then : > "$seen"; echo "flaky: $file"; exit 1; fi
done
sleep "$2"
"""

# Counts under a lock; of each ten pushes the last fails, by turns before and after it is taken.
STUMBLE = """#!/bin/sh
exec 9>>"{root}/pushes.lock"
flock 9
count=$(($(cat "{root}/pushes" 2>/dev/null || echo 0) + 1))
echo $count > "{root}/pushes"
case $count in *[02468]0) exit 1 ;; *0) : > "{root}/die" ;; esac
"""
DIE = """#!/bin/sh
if [ -e "{root}/die" ]; then rm "{root}/die"; kill -9 $PPID; fi
"""


@dataclass
class Storm:
    bed: Bed
    tickets: int
    slots: int
    train: int
    lanes: int
    verify_s: float
    random: random.Random
    bad: set[str] = field(default_factory=set)
    flaky: set[str] = field(default_factory=set)
    pushed: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "XDG_STATE_HOME": str(self.bed.root / "state")}

    def set_up(self) -> None:
        root, names = self.bed.root, [f"t{number:03}" for number in range(self.tickets)]
        (root / "seen").mkdir()
        script(root / "check.sh", CHECK)
        script(self.bed.origin / "hooks" / "pre-receive", STUMBLE.format(root=root))
        script(self.bed.origin / "hooks" / "post-receive", DIE.format(root=root))
        self.random.shuffle(names)
        self.bad = set(names[: self.tickets // 10])
        self.flaky = set(names[self.tickets // 10 :][: self.tickets // 20])
        verify = json.dumps([str(root / "check.sh"), str(root / "seen"), str(self.verify_s)])
        (self.bed.work / "ticketd.toml").write_text(
            f"slots = {self.slots}\n[landing]\nverify = {verify}\ntrain = {self.train}\nlanes = {self.lanes}\n"
            '[agents.default]\npreset = "scripted"\n'
        )
        (self.bed.work / "tickets").mkdir()
        for name in names:
            (self.bed.work / "tickets" / f"{name}.md").write_text("\n".join(self.ticket(name)) + "\n")

    def ticket(self, name: str) -> Iterator[str]:
        yield from ("---", f'touches: ["/work/{name}.txt", "/flaky/{name}"]', "---", f"# {name}", "")
        yield f"agent: sleep {self.random.uniform(0, 2 * self.verify_s / 10):.3f}"
        yield f"agent: write work/{name}.txt {'BAD' if name in self.bad else 'good'}"
        if name in self.flaky:
            yield f"agent: write flaky/{name} x"

    def outsider(self) -> None:
        """Pushes once a second, until it gets through each time."""
        repository = self.bed.root / "outsider.git"
        git(self.bed.root, "clone", "--quiet", "--bare", str(self.bed.origin), str(repository))
        while not self.over.wait(1.0):
            self.pushed += 1
            for _ in range(20):
                git(repository, "fetch", "--quiet", str(self.bed.origin), "+refs/heads/main:refs/heads/theirs")
                base = git(repository, "rev-parse", "theirs")
                if git(repository, "log", "-1", "--format=%s", "theirs", "--", f"theirs/{self.pushed}"):
                    break
                tip = commit_on(repository, base, f"theirs/{self.pushed}", "x\n")
                subprocess.run(
                    ["git", "push", "--quiet", str(self.bed.origin), f"{tip}:refs/heads/main"],
                    cwd=repository,
                    capture_output=True,
                    check=False,
                )

    def blow(self) -> float:
        """Seconds that it took."""
        thread = threading.Thread(target=self.outsider)
        thread.start()
        began = time.monotonic()
        try:
            command = [sys.executable, "-m", "ticketd", "--repo", str(self.bed.work), "start", "--until-idle"]
            subprocess.run(command, env=self.environ, stdout=subprocess.DEVNULL, check=False)
            return time.monotonic() - began
        finally:
            self.over.set()
            thread.join()

    # --- what must be true ---

    def wrongs(self) -> Iterator[str]:
        session = open_session(self.bed.work, self.environ).session
        landed = Counter(git(self.bed.origin, "log", "--format=%(trailers:key=Ticket,valueonly)", "main").split())
        for name, record in session.store.board().tickets.items():
            if name in self.bad:
                if landed[name] or str(record.reason) != "verify-failed":
                    yield f"{name} is bad, and yet it is {record.state} ({record.reason}), {landed[name]} on main"
                if not git(session.places.control, "for-each-ref", f"refs/ticketd/{name}"):
                    yield f"the work of {name} is not kept"
                logs = [session.places.log(each.key, "verify") for each in session.store.attempts(name)]
                if not any(f"work/{name}.txt" in log.read_text() for log in logs if log.exists()):
                    yield f"no log of {name} tells why"
            elif landed[name] != 1 or str(record.state) != "landed":
                yield f"{name} is good, and yet it is {record.state} ({record.detail}), {landed[name]} on main"
        yield from self.wrong_commits()
        for repository in (self.bed.origin, session.places.control):
            found = subprocess.run(["git", "fsck", "--strict"], cwd=repository, capture_output=True, check=False)
            if found.returncode:
                yield f"{repository} is not sound: {found.stderr.decode()}"
        if disagreements := open_store(session.places.store).disagreements():
            yield f"the events tell another story: {disagreements}"

    def wrong_commits(self) -> Iterator[str]:
        """The check on each commit of main by itself; and main moved forward only."""
        tree = self.bed.root / "main"
        git(self.bed.origin, "worktree", "add", "--quiet", "--detach", str(tree), "main")
        for commit in git(self.bed.origin, "rev-list", "--reverse", "main").splitlines():
            git(tree, "checkout", "--quiet", commit)
            if subprocess.run([str(self.bed.root / "check.sh")], cwd=tree, capture_output=True, check=False).returncode:
                yield f"the check fails on {commit}"
        if git(self.bed.origin, "rev-list", "--merges", "--count", "main") != "0":
            yield "main is not linear"
        reflog = git(self.bed.origin, "reflog", "show", "--format=%H", "main").splitlines()
        on_main = set(git(self.bed.origin, "rev-list", "main").splitlines())
        yield from (f"{commit} was on main and is no more" for commit in reflog if commit not in on_main)

    def verifications(self) -> tuple[int, int, int]:
        """All of them, those that failed, and what was told as flaky."""
        store = open_session(self.bed.work, self.environ).session.store
        found = [event.data for event in store.events(limit=1_000_000) if event.kind is EventKind.VERIFIED]
        return len(found), sum(not each["passed"] for each in found), sum(bool(each["flaky"]) for each in found)


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=200)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--train", type=int, default=4)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--verify", type=float, default=0.5, metavar="SECONDS", help="how long a verification takes")
    parser.add_argument("--seed", type=int, default=1)
    most = "how many verifications there may be for each ticket that lands; more where a machine is slow"
    parser.add_argument("--most", type=float, default=3.0, metavar="VERIFICATIONS", help=most)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ticketd-storm-") as scratch:
        bed = make_bed(Path(scratch), 50)
        git(bed.origin, "config", "core.logAllRefUpdates", "true")
        storm = Storm(bed, said.tickets, said.slots, said.train, said.lanes, said.verify, random.Random(said.seed))
        storm.set_up()
        took_s = storm.blow()
        wrongs = list(storm.wrongs())
        ran, failed, flaky = storm.verifications()
        each = ran / max(1, said.tickets - len(storm.bad))
        print(
            f"{said.tickets} tickets in {took_s:.0f} s: {len(storm.bad)} bad, {len(storm.flaky)} flaky,"
            f" {storm.pushed} pushes of others, {(bed.root / 'pushes').read_text().strip()} pushes in all"
        )
        print(
            f"{ran} verifications ({failed} failed, {flaky} told as flaky), {each:.2f} for each ticket that landed"
            f" (at most {said.most})"
        )
        if each > said.most:
            wrongs.append("too many verifications")
        print(*wrongs or ["all of it is true"], sep="\n")
        return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
