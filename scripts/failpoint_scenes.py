"""Runs in which each failpoint is passed, and the proof that a death there loses nothing: killed, begun again, brought
to its end, and everything checked (`invariants.py`)."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from failpoint_stages import is_staged
from invariant_scene import Scene, everything_in
from invariants import stands, wrongs_at_rest, wrongs_now
from left_behind import DRAFTS_GO_AFTER_S, drafts_in

from ticketd import failpoints
from ticketd.git.repository import state_dir
from ticketd.store import open_store

HERE = Path(__file__).parent
AREAS = 4
MOST_RUNS = 6
PATIENCE_S = 60.0
NOT_SO_OFTEN = "it was not passed so often this time"
SECRET = "nobody-may-read-this"
GITCONFIG = "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
CONFIG = """\
slots = {slots}
[agents.default]
command = ["{python}", "-IS", "{agent}", "{made}"]
[target]
remote = "{remote}"
poll = "1s"
"""
CHECK = """\
if grep -rqs BAD work; then exit 1; fi
git rev-parse 'HEAD^{tree}' >> ROOT/verified
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A command of ticketd, or a method of the store that no command leads to, or a worktree that goes. `refuse`: so
    many agents find no process left. `prepares`: something to be done before it, by the user. `by`: another program
    than ticketd, with the point in its environment."""

    args: tuple[str, ...] = ()
    refuse: int = 0
    store: tuple[object, ...] = ()
    discard: str = ""
    prepares: Callable[[Yard], None] | None = None
    by: tuple[str, ...] = ()


RUN = Step(("start", "--until-idle"))


@dataclass(frozen=True, slots=True)
class Play:
    """`first`: the point at which it has died once before, for what only a death leads to. `scripts`: what its commands
    are. `final`: where tickets have to stand in the end; the others have landed. `unwatched`: the user changes the
    repository. `lands` on the target, not on branches of its own."""

    name: str
    tickets: Mapping[str, Mapping[str, Any]]
    steps: tuple[Step, ...] = (RUN,)
    config: str = ""
    first: str = ""
    local: bool = False
    final: Mapping[str, str] = field(default_factory=dict)
    unwatched: bool = False
    slots: int = 3
    scripts: Mapping[str, str] = field(default_factory=dict)
    lands: bool = True


@dataclass
class Yard:
    """`work` is the user's checkout. Runs commands by one driver (`failpoint_driver.py`)."""

    root: Path
    driver: Driver
    commands: int = 0
    scene: Scene = field(init=False)

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "TICKETD_", "XDG_"))}
        own = {"HOME": str(self.root / "home"), "XDG_STATE_HOME": str(self.root / "state"), "GIT_CONFIG_NOSYSTEM": "1"}
        return kept | own | {"MY_TOKEN": SECRET}

    def set_up(self, play: Play) -> None:
        for folder in ("home", "made"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "home" / ".gitconfig").write_text(GITCONFIG)
        self._repositories(play.local)
        (self.root / "verified").touch()
        for name, text in {"check.sh": CHECK, **play.scripts}.items():
            (self.root / name).write_text("#!/bin/sh\n" + text.replace("ROOT", str(self.root)))
            (self.root / name).chmod(0o755)
        agent = {"python": sys.executable, "agent": HERE / "chaos_agent.py", "made": self.root / "made"}
        config = CONFIG.format(slots=play.slots, remote="" if play.local else "origin", **agent) + play.config
        if "[landing]" not in config:
            config += "[landing]\n"
        if "verify =" not in config:
            config = config.replace("[landing]\n", '[landing]\nverify = ["ROOT/check.sh"]\n')
        (self.work / "ticketd.toml").write_text(config.replace("ROOT", str(self.root)))
        for id_, said in play.tickets.items():
            self.ticket(id_, **said)
        watched = () if play.unwatched else (self.root / "home", self.work / ".git")
        self.scene = Scene(
            origin=self.work / ".git" if play.local else self.root / "origin.git",
            work=self.work,
            state=state_dir(self.work / ".git", self.environ),
            made=self.root / "made",
            slots=play.slots,
            lands=play.lands,
            secret=SECRET if "MY_TOKEN" in play.config else "",
            watched=() if play.local else watched,
            untouched={path: said for root in watched for path, said in everything_in(root).items()},
            passes=lambda commit: not self.git("grep", "-l", "BAD", commit, "--", "work", ok=False),
            verified=lambda: frozenset((self.root / "verified").read_text().split()),
        )

    def _repositories(self, local: bool) -> None:
        self.git("init", "-q", str(self.work))
        (self.work / "area").mkdir()
        for number in range(AREAS):
            (self.work / "area" / f"{number}.txt").write_text("".join(f"line {n}\n" for n in range(5)))
        (self.work / ".gitignore").write_text(
            "/tickets/\n/ticketd.toml\n/area/\n" if local else "/tickets/\n/ticketd.toml\n"
        )
        (self.work / "tickets").mkdir()
        self.git("add", "-A")
        self.git("commit", "-qm", "first")
        if local:
            return
        origin = self.root / "origin.git"
        self.git("init", "-q", "--bare", str(origin))
        subprocess.run(["git", "-C", str(origin), "config", "core.logAllRefUpdates", "always"], check=True)
        self.git("remote", "add", "origin", str(origin))
        self.git("push", "-q", "-u", "origin", "main")

    def git(self, *args: str, ok: bool = True) -> str:
        where = self.work if self.work.is_dir() else self.root
        done = subprocess.run(["git", *args], cwd=where, env=self.environ, capture_output=True, check=False)
        if ok and done.returncode:
            raise RuntimeError(f"git {' '.join(args)}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def ticket(self, id_: str, touches: Sequence[str] = (), does: Sequence[str] = (), **front: object) -> None:
        said = {"touches": list(touches) or [f"/work/{id_}*"], **front}
        lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in said.items()), "---", f"# {id_}", ""]
        orders = [f"do: {each.replace('ROOT', str(self.root)).replace('HAND', self._by_hand())}" for each in does]
        (self.work / "tickets" / f"{id_}.md").write_text("\n".join([*lines, *orders, ""]))

    def _by_hand(self) -> str:
        """ticketd, for an agent that is told to use it as a person would."""
        return f"XDG_STATE_HOME={self.root}/state {sys.executable} -m ticketd --repo {self.work}"

    def take(self, step: Step, point: str = "", heard: Path | None = None) -> int:
        """Its exit code; -9 where it was killed."""
        if step.prepares is not None:
            step.prepares(self)
        env = self.environ | ({failpoints.VARIABLE: point} if point else {})
        self.commands += 1
        if step.by:
            with (self.root / "out").open("ab") as out:
                return subprocess.run(step.by, env=env, cwd=self.work, stdout=out, stderr=out, check=False).returncode
        told = {"args": step.args, "refuse": step.refuse, "store": step.store, "discard": step.discard}
        told |= {"repo": str(self.work), "env": env}
        return self.driver.run(told | {"out": str(self.root / "out"), "heard": str(heard) if heard else None})

    def kills(self, step: Step, point: str) -> bool:
        return self.take(step, point) == -signal.SIGKILL or self.died(point)

    def dies_beside(self, point: str) -> bool:
        """Whether something dies there beside a daemon, which is killed then; within a time that only ends a proof that
        fails."""
        command = [sys.executable, "-m", "ticketd", "--repo", str(self.work), "start"]
        give_up_at = time.monotonic() + PATIENCE_S
        with (self.root / "out").open("ab") as out:
            daemon = subprocess.Popen(command, env=self.environ | {failpoints.VARIABLE: point}, stdout=out, stderr=out)
        try:
            while not self.died(point) and time.monotonic() < give_up_at:
                select.select([], [], [], 0.02)
            return self.died(point)
        finally:
            daemon.kill()
            daemon.wait()

    @property
    def out(self) -> str:
        path = self.root / "out"
        return path.read_text(errors="replace") if path.exists() else ""

    def died(self, point: str) -> bool:
        """Whether something died there: what it says last is with its errors."""
        words = re.compile(rf"killed at the failpoint {re.escape(point.partition(':')[0])}\s")
        errors = self.scene.state.glob("runs/*/*/supervisor.err")
        return any(words.search(text) for text in (self.out, *(path.read_text(errors="replace") for path in errors)))


Command: TypeAlias = dict[str, Any]


class Driver:
    """The process that forks ticketd's."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "failpoint_driver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, command: Command) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@contextmanager
def driver() -> Iterator[Driver]:
    made = Driver()
    try:
        yield made
    finally:
        made.close()


def listen(play: Play, root: Path, by: Driver) -> list[tuple[int, str]]:
    """All points that the play passes, in order; each with the step that does."""
    yard = Yard(root, by)
    yard.set_up(play)
    found, heard = list[tuple[int, str]](), root / "heard"
    if play.first:
        yard.take(play.steps[0], play.first)
    for number, step in enumerate(play.steps):
        heard.write_text("")
        yard.take(step, heard=heard)
        found += [(number, point) for point in heard.read_text().split()]
    return found


def prove(play: Play, at: int, point: str, root: Path, by: Driver) -> list[str]:
    """What is wrong after a death at this point (NAME:N) in this step; nothing if all is well."""
    yard = Yard(root, by)
    yard.set_up(play)
    if play.first:
        yard.take(play.steps[0], play.first)
    for number, step in enumerate(play.steps):
        if number != at or yard.kills(step, point):
            yard.take(step)
    wrongs = [] if yard.died(point) else [not_passed(play, point)]
    wrongs += wrongs_now(yard.scene)
    return wrongs + come_to_rest(yard, play)


def not_passed(play: Play, point: str) -> str:
    """It has to be where it is staged; elsewhere, or as often as it was once, it may be."""
    name, _, number = point.partition(":")
    is_due = number in ("", "1") and is_staged(name, play.name)
    return f"{name} was never passed in the play {play.name}" if is_due else NOT_SO_OFTEN


def prove_together(play: Play, points: Sequence[str], root: Path, by: Driver) -> list[str]:
    """Like `prove`, with as many of the deaths in one run as it has room for, one after the other; what it did not come
    by is left to another run. The points are in the order in which the play first passes them."""
    left, wrongs = list(points), list[str]()
    for number in range(len(points)):
        yard, before = Yard(root / str(number), by), len(left)
        yard.set_up(play)
        if play.first:
            yard.take(play.steps[0], play.first)
        for step in play.steps:
            while left and yard.kills(step, left[0]):
                left.pop(0)
            if not left:
                yard.take(step)
        wrongs += come_to_rest(yard, play)
        if wrongs or not left:
            break
        if len(left) == before:
            return [f"{left[0]} was never passed in the play {play.name}"]
    return wrongs


def prove_supervisors(points: Sequence[str], root: Path, by: Driver) -> list[str]:
    """Each point by a ticket of its own, whose first attempt loses its supervisor there; then the daemon goes, too."""
    yard, play = Yard(root, by), Play("supervisors", {}, config="[limits]\nretries = 3\n", slots=9)
    yard.set_up(play)
    wrongs = []
    for number, point in enumerate(points):
        yard.ticket(f"s{number}", does=["make work/@.txt x", "sleep 0.1"])
        wrongs += [] if yard.dies_beside(point) else [f"{point} was never passed"]
    return wrongs + come_to_rest(yard, play)


def come_to_rest(yard: Yard, play: Play) -> list[str]:
    for _ in range(MOST_RUNS):
        if not waiting(yard):
            break
        yard.take(RUN)
    grow_old(yard.scene)
    yard.take(RUN)  # sweeps what the last one may have left
    wrongs = list(wrongs_at_rest(yard.scene))
    complaints = yard.root / "made" / "complaints"
    wrongs += complaints.read_text().splitlines() if complaints.exists() else []
    wrongs += [f"something fell over: {yard.out[-2000:]}"] if "Traceback" in yard.out else []
    store = open_store(yard.scene.state / "store.db")
    for id_, record in store.board().tickets.items():
        wanted = play.final.get(id_, "landed")
        if str(record.state) not in wanted.split("|"):
            wrongs.append(f"{id_} is {record.state} ({record.reason}: {record.detail}), not {wanted}")
    store.close()
    return wrongs


def grow_old(scene: Scene) -> None:
    """All drafts are from long ago, and so to be swept."""
    then = time.time() - 2 * DRAFTS_GO_AFTER_S
    for draft in drafts_in(scene):
        os.utime(draft, (then, then), follow_symlinks=False)


def waiting(yard: Yard) -> bool:
    store = open_store(yard.scene.state / "store.db")
    try:
        tickets = store.board().tickets
        return not all(stands(each, tickets) for each in tickets.values())
    finally:
        store.close()
