"""What a seed makes of the world: tickets, agents, others who push, people, and all that goes wrong.

Each file's content is a list of marks, one for each time somebody has written it; so the content of the target tells
whose work is in it, and how often.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sim_engine import Machine, Run
from sim_kernel import Kernel
from sim_repository import HALF, MARKER, Disk, SimTree

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.globs import NOTHING, PatternSet
from ticketd.domain.settings import (
    AgentProfile,
    Backfill,
    ClaimsSettings,
    DriftSettings,
    LandingSettings,
    Limits,
    OnConflict,
    Outside,
    Preempt,
    ReviewClaim,
    ReviewSettings,
    SchedulerSettings,
    Settings,
)
from ticketd.domain.settingsfile import ParsedSettings
from ticketd.domain.ticket import Gate, Priority, Size
from ticketd.domain.ticketfile import parse_ticket
from ticketd.errors import BadInput, GitFailed
from ticketd.ports import FoundFile

VERIFY = ("verify",)
BAD, FLAKY = "BAD", "FLAKY"
WALL = 1_800_000_000.0
CALM_AT = 400.0
"""From then on nothing fails any more and nobody interferes (seconds)."""
MOST_SLOTS = 5
PATHS = ("a", "b", "c", "d/one", "d/two", "d/e/three")
TOUCHES = ("/a", "/b", "/c", "/d/one", "/d/two", "/d/", "/d/e/", "**")


def draw_settings(dice: random.Random) -> Settings:
    chance, pick = dice.random, dice.choice
    return Settings(
        slots=pick([1, 2, 3, 4]),
        scheduler=SchedulerSettings(
            backfill=pick(list(Backfill)), preempt=pick(list(Preempt)), fair_share=chance() < 0.3
        ),
        landing=LandingSettings(
            verify=(VERIFY,) if chance() < 0.9 else (),
            verify_timeout_s=60.0,
            memo=chance() < 0.8,
            reruns=pick([0, 1]),
            train=pick([1, 1, 2, 4]),
            lanes=pick([1, 1, 2]),
            reverify=pick([0, 1, 3]),
            repairs=pick([0, 1, 2]),
        ),
        drift=DriftSettings(on_conflict=pick(list(OnConflict))),
        claims=ClaimsSettings(outside=pick(list(Outside)), shared=PatternSet(("/c",)) if chance() < 0.2 else NOTHING),
        review=ReviewSettings(
            claim=pick(list(ReviewClaim)), protect=PatternSet(("/b",)) if chance() < 0.1 else NOTHING
        ),
        limits=Limits(retries=pick([0, 1, 2]), grace_s=5.0, timeouts=dict.fromkeys(Size, 90.0)),
        agents={"default": AgentProfile("default", command=("agent",))},
        gates={Priority.CRITICAL: pick([Gate.NONE, Gate.LAND, Gate.START])} if chance() < 0.5 else {},
    )


@dataclass
class SimFiles:
    """The ticket files and `ticketd.toml`. Satisfies `TicketFiles`."""

    good: Settings
    texts: dict[str, str] = field(default_factory=dict)
    broken: bool = False
    _stamp: int = 0
    _stamps: dict[str, str] = field(default_factory=dict)

    def write(self, id_: str, text: str) -> None:
        self._stamp += 1
        path = f"tickets/{id_}.md"
        self.texts[path], self._stamps[path] = text, str(self._stamp)

    def delete(self, id_: str) -> None:
        self.texts.pop(f"tickets/{id_}.md", None)
        self._stamps.pop(f"tickets/{id_}.md", None)

    def is_there(self) -> bool:
        return True

    def stamps(self) -> Mapping[str, str]:
        return dict(sorted(self._stamps.items()))

    def read(self, path: str, stamp: str, settings: Settings) -> FoundFile:
        return FoundFile(stamp, parse_ticket(path, self.texts.get(path, "").encode(), settings))

    def settings(self) -> ParsedSettings:
        return ParsedSettings(None if self.broken else self.good, ())

    def last_good_settings(self) -> Settings | None:
        return self.good

    def template(self, path: str) -> str:
        raise BadInput(f"there is no {path}")


@dataclass
class Weather:
    """When what goes wrong: spans of time (seconds), by what they hit."""

    dice: random.Random
    kernel: Kernel
    spans: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)

    def draw(self) -> None:
        for what, how_often in (
            ("tip", 0.4),
            ("push", 0.5),
            ("store", 0.3),
            ("git", 0.4),
            ("room", 0.3),
            ("disk", 0.2),
        ):
            if self.dice.random() < how_often:
                for _ in range(self.dice.randint(1, 3)):
                    begin = self.dice.uniform(0, CALM_AT * 0.8)
                    end = min(CALM_AT, begin + self.dice.choice([1, 10, 60]))
                    self.spans.setdefault(what, []).append((begin, end, self.dice.choice([0.1, 0.5, 1.0])))

    def strikes(self, what: str) -> bool:
        now = self.kernel.time
        return any(b <= now < e and self.kernel.random.random() < odds for b, e, odds in self.spans.get(what, ()))

    def spoils(self, since: float, until: float) -> bool:
        """Whether anything may have failed in that time."""
        return any(b < until and since < e for spans in self.spans.values() for b, e, _ in spans)

    def remote(self, what: str) -> str:
        """What a question to the remote meets; empty if an answer."""
        if what == "tip":
            return "gone" if self.strikes("tip") else ""
        return self.kernel.random.choice(["before", "after", "late", "refused"]) if self.strikes("push") else ""

    def git(self, what: str) -> None:
        if self.strikes("git"):
            raise GitFailed(f"git failed to {what}: no space left on device")


@dataclass
class Made:
    """What an attempt has made: commits, and the last content of each file it has written."""

    tree: SimTree
    commits: set[str] = field(default_factory=set)
    content: dict[str, str | None] = field(default_factory=dict)


@dataclass
class World:
    """The seed's draw. `made` is what must never be lost."""

    seed: int
    kernel: Kernel
    machine: Machine
    disk: Disk = field(default_factory=Disk)
    made: dict[AttemptKey, Made] = field(default_factory=dict)
    passed: set[tuple[tuple[str, str], ...]] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    _seen: set[tuple[tuple[str, str], ...]] = field(default_factory=set)
    _outside: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(f"world {self.seed}")
        self.settings = draw_settings(self.dice)
        self.files = SimFiles(self.settings)
        self.weather = Weather(self.dice, self.kernel)
        self.weather.draw()
        first = self.disk.commit(dict.fromkeys(PATHS, "first"), (), "first")
        self.disk.move_main(first, "the user")
        self.tickets = [f"t{number}" for number in range(self.dice.randint(2, 9))]
        self.temper = {id_: self._temper() for id_ in self.tickets}
        for id_ in self.tickets:
            self.files.write(id_, self._ticket(id_))
        for _ in range(self.dice.choice([0, 0, 2, 6])):
            self.kernel.at(self.dice.uniform(1, CALM_AT), self._somebody_pushes)
        if self.dice.random() < 0.15:
            self.kernel.at(self.dice.uniform(1, CALM_AT), self._somebody_takes_back)
        self.machine.on_start = self._on_start

    def _temper(self) -> str:
        return self.dice.choices(
            ["good", "bad", "flaky", "fails", "later", "idle", "slow", "stray"], [12, 2, 2, 2, 1, 1, 1, 2]
        )[0]

    def _ticket(self, id_: str) -> str:
        dice, number = self.dice, int(id_[1:])
        lines = [
            "touches:",
            *(f'  - "{each}"' for each in sorted(set(dice.choices(TOUCHES, k=dice.choice([1, 1, 2]))))),
        ]
        lines.append(f"priority: {dice.choice(['critical', 'high', 'normal', 'normal', 'low'])}")
        lines.append(f"on_failure: {dice.choice(['block', 'block', 'skip', 'abort', 'ask'])}")
        if number and dice.random() < 0.3:
            lines.append(f"depends_on: [t{dice.randrange(number)}]")
        return "\n".join(["---", *lines, "---", f"# Ticket {id_}", ""])

    # --- others ---

    def _somebody_pushes(self) -> None:
        self._outside += 1
        files = dict(self.disk.get(self.disk.main).files)
        path = self.dice.choice(PATHS)
        files[path] = f"{files.get(path, '')} out{self._outside}".strip()
        self.disk.move_main(self.disk.commit(files, [self.disk.main], f"out{self._outside}"), "somebody")
        self.kernel.tell(f"somebody pushes {path}")

    def _somebody_takes_back(self) -> None:
        earlier = [sha for sha, _ in self.disk.was if sha != self.disk.main]
        if earlier:
            self.disk.take_back(self.dice.choice(earlier))
            self.kernel.tell("somebody takes the target back")

    # --- runs ---

    def _on_start(self, run: Run) -> None:
        if run.spec.argv == VERIFY:
            self.kernel.after(self.kernel.random.choice([0.1, 2, 8]), lambda: self._verified(run))
        else:
            self._agent(run)

    def _verified(self, run: Run) -> None:
        tree = self.disk.trees.get(run.spec.cwd.name)
        content = " ".join(value for _, value in sorted(tree.files.items())) if tree else ""
        shown = tuple(sorted(tree.files.items())) if tree else ()
        if tree is None or BAD in content:
            self.machine.over(run, 1)
        elif FLAKY in content and shown not in self._seen:
            self._seen.add(shown)
            self.machine.over(run, 1)
        else:
            self.passed.add(shown)
            self.machine.over(run, 0)

    def _agent(self, run: Run) -> None:
        key = AttemptKey(run.spec.env["TICKETD_TICKET"], int(run.spec.env["TICKETD_ATTEMPT"]))
        others = [r for r in self.machine.living() if r is not run and r.spec.env.get("TICKETD_TICKET") == key.ticket]
        if others:
            self.complaints.append(f"{key} runs beside {others[0].name}")
        if any(r is not run and r.spec.cwd == run.spec.cwd for r in self.machine.living()):
            self.complaints.append(f"{key} runs in a worktree where another runs")
        tree = self.disk.trees.get(run.spec.cwd.name)
        if tree is None:
            self.complaints.append(f"{key} was started in a worktree that is not there")
            return
        if HALF in tree.files:
            self.complaints.append(f"{key} was started in a worktree that is half made")
        if tree.unkept and tree.unkept != str(key):
            self.complaints.append(f"{key} was started on work of {tree.unkept} that is not kept")
        if len([r for r in self.machine.living() if r.spec.argv != VERIFY]) > MOST_SLOTS:
            self.complaints.append(f"{key} runs beyond the slots")
        self.made[key] = Made(tree)
        dice, temper = self.kernel.random, self.temper[key.ticket]
        steps = dice.randint(1, 3)
        length = 200.0 if temper == "slow" else dice.choice([0.5, 5.0, 20.0, 40.0])
        for step in range(steps):
            self.kernel.after(length * (step + 1) / (steps + 1), lambda step=step: self._work(run, key, step))
        self.kernel.after(min(length, run.spec.timeout_s or length), lambda: self._agent_ends(run, key, length))

    def _work(self, run: Run, key: AttemptKey, step: int) -> None:
        made, temper = self.made[key], self.temper[key.ticket]
        tree = made.tree
        if not self.machine.lives_in(run.spec.cwd) or self.disk.trees.get(run.spec.cwd.name) is not tree:
            return
        if temper == "idle" or (temper in ("fails", "later") and step):
            return
        repair = run.spec.env.get("TICKETD_REPAIR")
        for path, value in list(tree.files.items()):
            if repair and MARKER in value:
                words = [word for word in value.split() if word not in (MARKER, "=======", ">>>>>>>")]
                self._write(made, path, " ".join(dict.fromkeys(words)))
            elif repair and BAD in value:
                self._write(made, path, " ".join(word for word in value.split() if word != BAD))
        if not repair or not step:
            path = self._path(key)
            mark = f"{key.ticket}.{key.number}.{step}"
            worse = {"bad": f" {BAD}", "flaky": f" {FLAKY}"}.get(temper, "") if not repair else ""
            self._write(made, path, f"{tree.files.get(path, '')} {mark}{worse}".strip())
        tree.unkept = str(key)
        if self.kernel.random.random() < 0.5:
            if tree.merging:
                parents, tree.merging, tree.undecided = [tree.head, tree.merging], "", ()
            else:
                parents = [tree.head]
            tree.head = self.disk.commit(tree.files, parents, f"{key} {step}")
            made.commits.add(tree.head)
            if self.kernel.random.random() < 0.1:  # and takes it back, but not what it did
                made.tree.left.add(tree.head)
                tree.head = self.disk.get(tree.head).parents[0]

    def _write(self, made: Made, path: str, value: str) -> None:
        made.tree.files[path] = value
        made.content[path] = value

    def _path(self, key: AttemptKey) -> str:
        dice = self.kernel.random
        if self.temper[key.ticket] == "stray" and dice.random() < 0.5:
            return dice.choice(PATHS)
        text = self.files.texts.get(f"tickets/{key.ticket}.md", "")
        fitting = [path for path in PATHS if f'"/{path}"' in text or f'"/{path.rpartition("/")[0]}/"' in text]
        return dice.choice(fitting or list(PATHS))

    def _agent_ends(self, run: Run, key: AttemptKey, length: float) -> None:
        dice, temper = self.kernel.random, self.temper[key.ticket]
        if run.spec.timeout_s is not None and length > run.spec.timeout_s:
            self.machine.over(run, None, 9, "timeout", "ran too long")
        elif temper == "fails" and dice.random() < 0.7:
            self.machine.over(run, 1)
        elif temper == "later" and dice.random() < 0.5:
            self.machine.over(run, 75)
        else:
            self.machine.over(run, 0)

    def tree_of(self, cwd: Path) -> SimTree | None:
        return self.disk.trees.get(cwd.name)
