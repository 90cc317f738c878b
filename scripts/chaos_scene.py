"""Where chaos takes place: a repository with its remote, a stream of tickets, and daemons."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from chaos_tamper import TAMPERS
from invariant_scene import Scene, everything_in, git

from ticketd.git.repository import state_dir
from ticketd.store import SqliteStore, open_store

SLOTS = 4
AREAS = 6
STATE_MB = 1536
SECRET = "canary-7f3a-do-not-tell"

CHECK = """#!/bin/sh
sleep {pause}
if grep -rqs BAD work; then echo "bad: $(grep -rl BAD work)"; exit 1; fi
git rev-parse 'HEAD^{{tree}}' >> {verified}
"""

CONFIG = """\
slots = {slots}
[target]
poll = "1s"
[landing]
verify = ["{root}/check.sh"]
train = {train}
lanes = {lanes}
repairs = {repairs}
reverify = 1000
patience = "10m"
[limits]
retries = 2
grace = "1s"
{disk}
[worktrees]
setup = ["sleep", "0.05"]
isolation = "{isolation}"
[sandbox]
mode = "{sandbox}"
read = ["{root}/check.sh", {programs}]
write = ["{made}", "{verified}"]
[agents.default]
command = ["{python}", "{agent}", "{made}"]
env = ["CHAOS_SECRET"]
[secrets]
env = ["CHAOS_SECRET"]
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run is under. `disk`: what the state directory may take up (MB), None for no limit."""

    train: int
    lanes: int
    repairs: int
    isolation: str
    sandbox: str
    disk: int | None

    def __str__(self) -> str:
        limit = f"disk {self.disk} MB" if self.disk else "no limit of disk"
        tree = f"isolation {self.isolation}, sandbox {self.sandbox}"
        return f"train {self.train}, lanes {self.lanes}, repairs {self.repairs}, {tree}, {limit}"


def terms_of(seed: int, minutes: float) -> Terms:
    """By the seed. What nobody deletes grows by some 10 MB a minute, and logs of what has landed are to go."""
    dice = random.Random(f"terms {seed}")
    return Terms(
        train=dice.choice([1, 3]),
        lanes=dice.choice([1, 2]),
        repairs=dice.choice([0, 2]),
        isolation=dice.choice(["worktree", "clone"]),
        sandbox=dice.choice(["off", "auto"]),
        disk=dice.choice([None, int(40 + 12 * minutes)]),
    )


@dataclass
class Ground:
    """`mounted`: whether the state directory is a small file system of its own, that can be filled."""

    root: Path
    tickets: random.Random
    terms: Terms
    mounted: bool = False
    daemon: subprocess.Popen[bytes] | None = None
    asked: int = 0
    daemons: int = 0
    outsiders: int = 0
    passed: set[str] = field(default_factory=set)
    scene: Scene = field(init=False)

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def origin(self) -> Path:
        return self.root / "origin.git"

    @property
    def made(self) -> Path:
        return self.root / "made"

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "TICKETD_", "XDG_"))}
        return kept | {
            "HOME": str(self.root / "home"),
            "XDG_STATE_HOME": str(self.root / "state"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "CHAOS_SECRET": SECRET,
        }

    def is_down(self) -> bool:
        return self.daemon is None or self.daemon.poll() is not None

    def complain(self, what: str) -> None:
        with (self.made / "complaints").open("a") as out:
            out.write(f"{what}\n")

    def set_up(self) -> None:
        for folder in ("home", "made", "state"):
            (self.root / folder).mkdir()
        (self.root / "home" / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
        os.environ |= {"HOME": str(self.root / "home"), "GIT_CONFIG_NOSYSTEM": "1"}
        self.mounted = self._mount()
        self._make_repositories()
        script(self.root / "check.sh", CHECK.format(pause=0.1, verified=self.root / "verified"))
        (self.root / "verified").touch()
        self.configure()
        self.scene = Scene(
            origin=self.origin,
            work=self.work,
            state=state_dir(self.work / ".git", self.environ),
            made=self.made,
            slots=SLOTS,
            watched=(self.root / "home", self.work / ".git", self.work / "area"),
            passes=self.passes,
            verified=lambda: frozenset((self.root / "verified").read_text().split()),
            secret=SECRET,
            patience_s=45.0,
        )
        for root in self.scene.watched:
            self.scene.untouched.update(everything_in(root))

    def _mount(self) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", f"size={STATE_MB}m,mode=700", "chaos", str(self.root / "state")]
        try:
            return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    def unmount(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.root / "state")], capture_output=True, check=False)

    def _make_repositories(self) -> None:
        run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.origin))
        run("git", "-C", str(self.origin), "config", "core.logAllRefUpdates", "always")
        run("git", "init", "--quiet", "--initial-branch=main", str(self.work))
        (self.work / "area").mkdir()
        for number in range(AREAS):
            (self.work / "area" / f"{number}.txt").write_text("".join(f"line {n}\n" for n in range(5)))
        (self.work / ".gitignore").write_text("/tickets/\n/ticketd.toml\n")
        for args in (("add", "-A"), ("commit", "-qm", "first"), ("remote", "add", "origin", str(self.origin))):
            run("git", "-C", str(self.work), *args)
        run("git", "-C", str(self.work), "push", "--quiet", "-u", "origin", "main")
        (self.work / "tickets").mkdir()

    def configure(self) -> None:
        agent, terms = Path(__file__).with_name("chaos_agent.py"), self.terms
        programs = sorted({str(agent.parent), sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix)})
        text = CONFIG.format(
            slots=SLOTS,
            root=self.root,
            train=terms.train,
            lanes=terms.lanes,
            repairs=terms.repairs,
            disk=f'disk = "{terms.disk} MB"' if terms.disk else "",
            isolation=terms.isolation,
            sandbox=terms.sandbox,
            programs=", ".join(json.dumps(each) for each in programs),
            python=sys.executable,
            agent=agent,
            made=self.made,
            verified=self.root / "verified",
        )
        (self.work / "ticketd.toml").write_text(text)

    def passes(self, commit: str) -> bool:
        if commit not in self.passed:
            words = ("-e", "BAD", "-e", SECRET, commit, "--", "work")
            found = subprocess.run(["git", "grep", "-q", *words], cwd=self.origin, capture_output=True, check=False)
            if found.returncode != 1:
                return False
            self.passed.add(commit)
        return True

    # --- tickets ---

    def add_tickets(self, number: int) -> None:
        for _ in range(number):
            self.asked += 1
            name = f"t{self.asked:04}"
            (self.work / "tickets" / f"{name}.md").write_text("\n".join(self._ticket(name)) + "\n")

    def _ticket(self, name: str) -> Iterator[str]:
        """What it claims, now and then less than it writes; and what its agent does."""
        dice = self.tickets
        area, writes_area = dice.randrange(AREAS), dice.random() < 0.6
        claims = [f"/work/{name}*"] + [f"/area/{area}.txt"] * (writes_area and dice.random() < 0.7)
        front = [f"touches: {json.dumps(claims)}"]
        slow = dice.random()
        if slow < 0.05:
            front.append("timeout: 2s")
        if dice.random() < 0.1:
            front.append(f"priority: {dice.choice(['critical', 'high', 'low'])}")
        if dice.random() < 0.1 and self.asked > 3:
            front.append(f"depends_on: [t{self.asked - dice.randrange(1, 3):04}]")
        yield from ("---", *front, "---", f"# {name}", "")
        does = [f"make work/@-1.txt {'BAD' if dice.random() < 0.1 else 'good'}"]
        does += [dice.choice(["add", "put"]) + f" area/{area}.txt {name}"] * writes_area
        does += dice.sample(["commit", "drop", "detach", "branch", "fork 30", "deaf"], k=dice.randrange(3))
        does += ["chat 400"] * (dice.random() < 0.2) + ["tell"] * (dice.random() < 0.1)
        does += [dice.choice(["leak work/@-3.txt", "commit"])] * (dice.random() < 0.05)
        does += [f"tamper {dice.choice(list(TAMPERS))}"] * (dice.random() < 0.12)
        does += [f"sleep {dice.uniform(0, 2):.2f}" if slow >= 0.05 else "sleep 5", "make work/@-2.txt more"]
        does += [dice.choice([f"{kind}-first 1" for kind in ("fail", "later", "crash")])] * (dice.random() < 0.15)
        does += ["commit"] * (dice.random() < 0.5)
        yield from (f"do: {each}" for each in does)

    # --- daemons ---

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "ticketd", "--repo", str(self.work), *args]

    def ticketd(self, *args: str, limit_s: float = 60) -> subprocess.CompletedProcess[bytes]:
        """Raises:
        subprocess.TimeoutExpired: it does not end.
        """
        return subprocess.run(
            self.command(*args), env=self.environ, capture_output=True, check=False, timeout=limit_s, cwd=self.root
        )

    def start(self) -> None:
        self.daemons += 1
        with (self.root / f"daemon-{self.daemons}.out").open("wb") as out:
            self.daemon = subprocess.Popen(
                self.command("start"), env=self.environ, stdout=out, stderr=out, start_new_session=True, cwd=self.root
            )

    def said(self) -> str:
        return (self.root / f"daemon-{self.daemons}.out").read_text(errors="replace")[-2000:]

    def push_by_hand(self) -> None:
        """Somebody else moves the target."""
        self.outsiders += 1
        here = self.root / "outsider"
        if not here.exists():
            run("git", "clone", "--quiet", str(self.origin), str(here))
        run("git", "-C", str(here), "fetch", "--quiet", "origin")
        run("git", "-C", str(here), "reset", "--quiet", "--hard", "origin/main")
        (here / f"theirs-{self.outsiders}.txt").write_text("x\n")
        run("git", "-C", str(here), "add", "-A")
        run("git", "-C", str(here), "commit", "-qm", "by hand")
        subprocess.run(["git", "-C", str(here), "push", "-q", "origin", "HEAD:main"], capture_output=True, check=False)

    def take_off(self, back: str) -> str:
        """Somebody takes commits off the target: where it stood; empty if it has just moved, or is locked."""
        old = git(self.origin, "rev-parse", "main")
        if not self.move_target(old, back):
            return ""
        self.scene.taken_back.add((old, back))
        return old

    def move_target(self, old: str, new: str) -> bool:
        command = ["git", "update-ref", "--create-reflog", "refs/heads/main", new, old]
        return subprocess.run(command, cwd=self.origin, capture_output=True, check=False).returncode == 0

    # --- the store ---

    @contextmanager
    def store(self) -> Iterator[SqliteStore | None]:
        """None where there is none yet, or none that can be opened just now."""
        store = None
        with suppress(Exception):
            path = self.scene.state / "store.db"
            store = open_store(path) if path.exists() else None
        try:
            yield store
        finally:
            if store is not None:
                store.close()

    def is_up(self) -> bool:
        with suppress(Exception), self.store() as store:
            record = store.board().daemon if store else None
            return record is not None and self.daemon is not None and record.pid == self.daemon.pid
        return False

    def known_target(self) -> str | None:
        with self.store() as store:
            target = store.target() if store else None
            return target.sha if target else None

    def alarm(self) -> str:
        with self.store() as store:
            return store.pool().alarm if store else ""


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def run(*args: str) -> None:
    """Raises:
    CalledProcessError: it failed.
    """
    subprocess.run(args, check=True, capture_output=True)


def wait(condition: object, limit_s: float, every_s: float = 0.05) -> bool:
    """Whether it came true in time."""
    assert callable(condition)
    give_up_at = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() >= give_up_at:
            return False
        time.sleep(every_s)
    return True


__all__ = ["Ground", "git", "wait"]
