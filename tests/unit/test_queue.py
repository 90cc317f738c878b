"""The queue in memory answers what the rules would, whatever has happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, count, takewhile

import pytest
from dice import Dice
from hypothesis import given
from hypothesis import strategies as st
from queues import ticket

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.budget import DaySpent
from ticketd.domain.claims import Claim
from ticketd.domain.days import day_of
from ticketd.domain.globs import NOTHING, PatternSet
from ticketd.domain.scheduler import picking, rules
from ticketd.domain.scheduler.queue import Queue, decide
from ticketd.domain.scheduler.schedule import AskToStart, PreemptAttempt, Schedule, Skip, Snapshot, Start
from ticketd.domain.settings import (
    AgentProfile,
    Backfill,
    BudgetSettings,
    ClaimsSettings,
    Preempt,
    SchedulerSettings,
    ScopeSettings,
    Settings,
)
from ticketd.domain.throttle import Throttle
from ticketd.domain.ticket import Gate, OnFailure, Priority, Reason, Size, TicketRecord, TicketState

NAMES = tuple("abcdefgh")
PLAIN = ["/x", "/y", "/z", "/x/1", "/x/1/2", "/w/a", "/w/b.py", "/v/1"]
PATTERNS = [*PLAIN, "/w/*", "/w/", "*.py", "**", "!/x/1", "/v/**"]
HOLDING = (TicketState.RUNNING, TicketState.LANDING, TicketState.REVIEW)
AGING_S = 1000.0
# Few enough that who overlaps whom is found out once.
TOUCHES = [
    *((pattern,) for pattern in PATTERNS),
    *combinations(PATTERNS, 2),
    *((pattern, "!/x/1", "/v/1") for pattern in PATTERNS),
]


def all_settings(dice: Dice) -> Settings:
    caps = (None, None, 1, 2)
    agents = {name: AgentProfile(name, "scripted", max_slots=dice.pick(caps)) for name in ("one", "two")}
    scheduler = SchedulerSettings(
        backfill=dice.pick(list(Backfill)),
        preempt=dice.pick(list(Preempt)),
        aging_s=dice.pick([None, AGING_S]),
        fair_share=dice.pick([False, True]),
    )
    return Settings(
        agents=agents,
        routes={"S": ("one",), "M": ("one", "two"), "L": ("two",)},
        scopes={"acme": ScopeSettings("acme", max_slots=dice.pick(caps), budget_usd=dice.pick([None, None, 3.0]))},
        budget=dice.pick([BudgetSettings()] * 3 + [BudgetSettings(ticket=2.0, day=6.0), BudgetSettings(scope=4.0)]),
        scheduler=scheduler,
        claims=ClaimsSettings(shared=dice.pick([NOTHING, PatternSet(("/x/1", "*.py"))])),
    )


class World:
    """A pool whose events hypothesis makes up, and what it is told to do."""

    def __init__(self, settings: Settings, slots: int) -> None:
        self.settings = settings
        self.slots = slots
        self.now = 0.0
        self.paused = ""
        self.tickets: dict[str, TicketRecord] = {}
        self.claims: dict[str, Claim] = {}
        self.attempts: dict[str, Attempt] = {}
        self.throttles: dict[str, Throttle] = {}
        self.spent = DaySpent()

    def snapshot(self) -> Snapshot:
        return Snapshot(
            tickets=self.tickets,
            claims=tuple(self.claims.values()),
            attempts=tuple(self.attempts.values()),
            slots=self.slots,
            settings=self.settings,
            throttles=dict(self.throttles),
            paused=self.paused,
            spent=self.spent,
        )

    def set(self, id_: str, **said: object) -> str:
        self.tickets[id_] = replace(self.tickets[id_], **said)  # type: ignore[arg-type]
        return id_

    def obey(self, schedule: Schedule, dice: Dice) -> set[str]:
        """Most decisions come true, some are overtaken by events."""
        changed = set()
        for decision in schedule.decisions:
            if dice.once_in(10):
                continue
            match decision:
                case Start(id_, slot, agent):
                    touched = self.tickets[id_].ticket.touches
                    changed.add(self.set(id_, state=TicketState.RUNNING))
                    self.claims[id_] = Claim(id_, 1, touched)
                    key, state = AttemptKey(id_, 1), AttemptState.RUNNING
                    self.attempts[id_] = Attempt(key, state, slot, "0", agent, dispatched_at=self.now)
                case AskToStart(id_):
                    changed.add(self.set(id_, state=TicketState.REVIEW))
                case Skip(id_):
                    changed.add(self.set(id_, state=TicketState.SKIPPED))
                case PreemptAttempt(key):
                    self.attempts[key.ticket] = replace(self.attempts[key.ticket], preempted=True)
        return changed

    def release(self, id_: str) -> None:
        self.claims.pop(id_, None)
        self.attempts.pop(id_, None)


def happen(world: World, dice: Dice) -> set[str]:
    """One thing that changes the world. The tickets it changed."""
    kinds: list[Callable[[World, Dice], set[str]]] = [pass_time, pass_time, add, end, end, end, end, person, widen]
    return dice.pick([*kinds, throttle, pool, spend])(world, dice)


def add(world: World, dice: Dice) -> set[str]:
    id_ = dice.pick(NAMES)
    old = world.tickets.get(id_)
    if old is not None and old.state is not TicketState.QUEUED:
        return set()
    made = ticket(
        id_,
        age=old.age if old else len(world.tickets),
        touches=dice.pick(TOUCHES),
        after=tuple(dice.some([n for n in NAMES if n != id_], 2)) if dice.once_in(4) else (),
        priority=dice.pick(list(Priority)),
        scope=dice.pick(["_global", "acme", "bell"]),
        size=dice.pick(list(Size)),
        gate=dice.pick([*[None] * 7, Gate.START]),
        on_failure=dice.pick(list(OnFailure)),
        seen_at=world.now,
    )
    world.tickets[id_] = made
    return {id_}


def end(world: World, dice: Dice) -> set[str]:
    """An attempt ends, a landing comes out, a person decides."""
    going = sorted(id_ for id_, record in world.tickets.items() if record.state in HOLDING)
    if not going:
        return set()
    id_ = dice.pick(going)
    state = dice.pick([*HOLDING[1:], TicketState.LANDED, TicketState.LANDED, TicketState.FAILED, TicketState.QUEUED])
    if state in HOLDING:
        world.attempts.pop(id_, None)
    else:
        world.release(id_)
    reason = Reason.TIMEOUT if state is TicketState.FAILED else None
    wait = dice.pick([None, 1 + 2 * dice.below(250)]) if state is TicketState.QUEUED else None
    return {world.set(id_, state=state, reason=reason, not_before=wait and world.now + wait, start_approved=True)}


def person(world: World, dice: Dice) -> set[str]:
    """Hold, bump, cancel, retry, take the file away."""
    if not world.tickets:
        return set()
    id_ = dice.pick(sorted(world.tickets))
    record = world.tickets[id_]
    match dice.below(4):
        case 0:
            return {world.set(id_, held=not record.held)}
        case 1:
            return {world.set(id_, bumped=dice.pick(list(Priority)))}
        case 2 if record.state is TicketState.QUEUED:
            return {world.set(id_, state=TicketState.CANCELLED)}
        case _ if record.state in (TicketState.FAILED, TicketState.CANCELLED, TicketState.SKIPPED):
            return {world.set(id_, state=TicketState.QUEUED, reason=None)}
    return set()


def widen(world: World, dice: Dice) -> set[str]:
    """An agent writes outside its claim."""
    if world.claims:
        claim = world.claims[dice.pick(sorted(world.claims))]
        wider = PatternSet((*claim.patterns.patterns, dice.pick(PATTERNS)))
        world.claims[claim.ticket] = replace(claim, patterns=wider)
    return set()


def pass_time(world: World, dice: Dice) -> set[str]:
    world.now += 1 + 3 * dice.below(234)
    return set()


def throttle(world: World, dice: Dice) -> set[str]:
    name = dice.pick(["one", "two"])
    world.throttles[name] = Throttle(name, until=world.now + 1 + 3 * dice.below(200), why="rate limited")
    return set()


def spend(world: World, dice: Dice) -> set[str]:
    """An attempt uses money; one that has ended is paid for; the day turns."""
    if dice.once_in(4):
        world.now = day_of(world.now).end
    elif world.attempts and dice.once_in(2):
        id_ = dice.pick(sorted(world.attempts))
        world.attempts[id_] = replace(world.attempts[id_], spent_usd=dice.pick([1.0, 2.5]))
    elif world.tickets:
        id_ = dice.pick(sorted(world.tickets))
        record = world.tickets[id_]
        before = world.spent.scopes if world.now in world.spent.day else {}
        scopes = {**before, record.ticket.scope: before.get(record.ticket.scope, 0.0) + 1.5}
        world.spent = DaySpent(day_of(world.now), scopes)
        return {world.set(id_, spent_usd=record.spent_usd + 1.5)}
    return set()


def pool(world: World, dice: Dice) -> set[str]:
    world.paused = dice.pick(["", "", "paused by a person"])
    world.slots = 1 + dice.below(4)
    return set()


@given(st.binary(min_size=60, max_size=240))
def test_the_queue_decides_and_explains_as_the_rules_do(choices: bytes) -> None:
    dice = Dice(choices)
    with pytest.MonkeyPatch.context() as patch:
        depth = dice.pick([picking.BACKFILL_DEPTH, 2, 1])
        patch.setattr(picking, "BACKFILL_DEPTH", depth)
        patch.setattr(rules, "BACKFILL_DEPTH", depth)
        in_step(dice)


def in_step(dice: Dice) -> None:
    world = World(all_settings(dice), 1 + dice.below(4))
    changed = {id_ for _ in range(dice.below(13)) for id_ in add(world, dice)}
    queue = Queue(world.snapshot(), world.now)
    for step in takewhile(lambda _: bool(dice), count()):
        expected = rules.decide(world.snapshot(), world.now)
        if step % 4 == 0:
            assert decide(world.snapshot(), world.now) == expected
        queue.update(world.snapshot(), changed, world.now)
        assert queue.schedule(world.now) == expected
        changed = world.obey(expected, dice) | happen(world, dice)
