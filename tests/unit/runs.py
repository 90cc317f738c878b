"""Whole runs of the scheduler in the virtual world, made up from bytes, with every moment of them kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from dice import Dice
from queues import ticket

from ticketd.domain.globs import NOTHING, PatternSet
from ticketd.domain.scheduler.schedule import Decision, Snapshot
from ticketd.domain.settings import (
    AgentProfile,
    Backfill,
    ClaimsSettings,
    Limits,
    Preempt,
    SchedulerSettings,
    ScopeSettings,
    Settings,
)
from ticketd.domain.ticket import GLOBAL_SCOPE, OnFailure, Priority, Size, TicketRecord, TicketState
from ticketd.sim.policies import Scheduler
from ticketd.sim.workload import Ends, Mishap, Play, Workload
from ticketd.sim.world import Answer, Outcome, simulate

MOST_TICKETS = 12
SETTINGS_BYTES, TICKET_BYTES = 12, 22
MOST_MOMENTS = 2000
"""A run of so few tickets that is asked more often than this goes round in circles."""

# Not in the order of age, so that one is never taken for the other.
NAMES = [f"t{letter}" for letter in "fkbgalchidje"]
TOUCHES = [
    ("/x",), ("/y",), ("/z",), ("/x/1",), ("/x/1/2",), ("/w/a",), ("/w/b.py",), ("/v/1",), ("/w/*",), ("/w/",),
    ("*.py",), ("**",), ("/x", "/y"), ("/y", "/z"), ("/x/1", "/w/a"), ("/z", "/w/b.py"), ("/x", "!/x/1"),
    ("**", "!/x"), ("/w/", "!*.py"), ("/v/**", "/x/1/2"), ("/u",), ("/t",), ("/u", "/v/1"), ("/s/*", "!/s/b"),
]  # fmt: skip
PATTERNS = [PatternSet(touches) for touches in TOUCHES]
SHARED = [NOTHING, PatternSet(("/x/1", "*.py"))]
SECONDS = (300.0, 0.0, 60.0, 200.0, 500.0, 720.0, 1000.0, 1800.0, 3000.0)
CAPS = (None, None, 1, 2)


@dataclass(frozen=True, slots=True)
class Moment:
    """What the scheduler was shown, and what it said."""

    snapshot: Snapshot
    now: float
    decisions: Sequence[Decision]


@dataclass(frozen=True, slots=True)
class Run:
    load: Workload
    moments: Sequence[Moment]
    outcome: Outcome


def run(load: Workload) -> Run:
    watched = Watched()
    outcome = simulate(load, watched)
    return Run(load, watched.moments, outcome)


@dataclass(slots=True)
class Watched:
    """The real scheduler, and somebody who writes down all that passes."""

    moments: list[Moment] = field(default_factory=list)
    _scheduler: Scheduler = field(default_factory=Scheduler)

    def decide(self, snapshot: Snapshot, changed: Collection[str], now: float) -> Answer:
        assert len(self.moments) < MOST_MOMENTS, "the run does not come to an end"
        answer = self._scheduler.decide(snapshot, changed, now)
        self.moments.append(Moment(replace(snapshot, tickets=dict(snapshot.tickets)), now, answer.decisions))
        return answer


def workload(choices: bytes) -> Workload:
    """A few tickets of every sort, and what comes of their attempts."""
    dice = Dice(choices)
    settings, slots = some_settings(dice), 1 + dice.below(4)
    rows = [Dice(choices[at : at + TICKET_BYTES]) for at in range(SETTINGS_BYTES, len(choices), TICKET_BYTES)]
    records = tuple(some_ticket(row, age) for age, row in enumerate(rows[:MOST_TICKETS]))
    plays = {record.id: some_play(row) for record, row in zip(records, rows, strict=False)}
    return Workload(records, plays, slots, settings)


def some_settings(dice: Dice) -> Settings:
    account = dice.pick([None, "shared"])
    agents = {
        name: AgentProfile(name, "scripted", account=account, max_slots=dice.pick(CAPS)) for name in ("one", "two")
    }
    return Settings(
        agents=agents,
        routes={"S": ("one",), "M": ("one", "two"), "L": ("two",), "bell": ("two", "one")},
        scopes={name: ScopeSettings(name, max_slots=dice.pick(CAPS)) for name in ("acme", "bell")},
        scheduler=SchedulerSettings(
            backfill=dice.pick(list(Backfill)),
            preempt=dice.pick(list(Preempt)),
            aging_s=dice.pick([None, 100.0, 1000.0]),
            fair_share=dice.pick([False, True]),
        ),
        claims=ClaimsSettings(shared=dice.pick(SHARED)),
        limits=Limits(retries=dice.below(3)),
    )


def some_ticket(dice: Dice, age: int) -> TicketRecord:
    said: dict[str, object] = {
        "touches": dice.pick(PATTERNS).patterns,
        "priority": dice.pick([Priority.NORMAL, *Priority]),
        "scope": dice.pick(["acme", "bell", "cape", GLOBAL_SCOPE]),
        "size": dice.pick([Size.M, Size.S, Size.L]),
        "after": tuple(dice.some(NAMES[:age], 2)) if dice.pick([False, False, True]) and age else (),
        "seen_at": dice.pick([0.0, 0.0, 0.0, 100.0, 300.0, 700.0, 1500.0]),
        "retries": dice.pick([None, 0, 1, 2]),
        "on_failure": dice.pick([OnFailure.BLOCK, OnFailure.SKIP]),
    }
    return ticket(NAMES[age], age, **{**said, **some_trouble(dice)})  # type: ignore[arg-type]


def some_trouble(dice: Dice) -> dict[str, object]:
    """What seldom is the matter with a ticket."""
    match dice.below(24):
        case 23:
            return {"held": True}
        case 22:
            return {"agent": "nobody"}
        case 21:
            return {"after": ("missing",)}
        case 20:
            return {"state": TicketState.CANCELLED}
        case 19:
            return {"on_failure": OnFailure.ABORT}
        case 18:
            return {"bumped": Priority.CRITICAL}
        case 17:
            return {"agent": "two"}
        case _:
            return {}


def some_play(dice: Dice) -> Play:
    mishaps = tuple(Mishap(dice.pick(list(Ends)), dice.pick(SECONDS)) for _ in range(dice.pick([0, 0, 0, 1, 2, 5])))
    return Play(dice.pick(SECONDS), dice.pick([0.0, 60.0, 200.0]), mishaps)
