"""The queue in memory answers what the rules would, whatever has happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from queues import ticket

from ticketd.domain import rules
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.claims import Claim
from ticketd.domain.globs import NOTHING, PatternSet
from ticketd.domain.queue import Queue, decide
from ticketd.domain.schedule import AskToStart, PreemptAttempt, Schedule, Skip, Snapshot, Start
from ticketd.domain.settings import (
    AgentProfile,
    Backfill,
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

touches = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3)


@st.composite
def all_settings(draw: st.DrawFn) -> Settings:
    cap = st.none() | st.integers(1, 2)
    agents = {name: AgentProfile(name, "scripted", max_slots=draw(cap)) for name in ("one", "two")}
    scheduler = SchedulerSettings(
        backfill=draw(st.sampled_from(Backfill)),
        preempt=draw(st.sampled_from(Preempt)),
        aging_s=draw(st.sampled_from([None, AGING_S])),
        fair_share=draw(st.booleans()),
    )
    return Settings(
        agents=agents,
        routes={"S": ("one",), "M": ("one", "two"), "L": ("two",)},
        scopes={"acme": ScopeSettings("acme", max_slots=draw(cap))},
        scheduler=scheduler,
        claims=ClaimsSettings(shared=draw(st.sampled_from([NOTHING, PatternSet(("/x/1", "*.py"))]))),
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

    def snapshot(self) -> Snapshot:
        return Snapshot(
            tickets=self.tickets,
            claims=tuple(self.claims.values()),
            attempts=tuple(self.attempts.values()),
            slots=self.slots,
            settings=self.settings,
            throttles=dict(self.throttles),
            paused=self.paused,
        )

    def set(self, id_: str, **said: object) -> str:
        self.tickets[id_] = replace(self.tickets[id_], **said)  # type: ignore[arg-type]
        return id_

    def obey(self, schedule: Schedule, draw: st.DrawFn) -> set[str]:
        """Most decisions come true, some are overtaken by events."""
        changed = set()
        for decision in schedule.decisions:
            if draw(st.integers(0, 9)) == 0:
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


def happen(world: World, draw: st.DrawFn) -> set[str]:
    """One thing that changes the world. The tickets it changed."""
    kinds: list[Callable[[World, st.DrawFn], set[str]]] = [add, end, end, end, person, widen, pass_time, pass_time]
    return draw(st.sampled_from([*kinds, throttle, pool]))(world, draw)


def add(world: World, draw: st.DrawFn) -> set[str]:
    id_ = draw(st.sampled_from(NAMES))
    old = world.tickets.get(id_)
    if old is not None and old.state is not TicketState.QUEUED:
        return set()
    made = ticket(
        id_,
        age=old.age if old else len(world.tickets),
        touches=draw(touches),
        after=tuple(draw(st.lists(st.sampled_from([n for n in NAMES if n != id_]), max_size=2, unique=True))),
        priority=draw(st.sampled_from(Priority)),
        scope=draw(st.sampled_from(["_global", "acme", "bell"])),
        size=draw(st.sampled_from(Size)),
        gate=draw(st.sampled_from([None, None, None, Gate.START])),
        on_failure=draw(st.sampled_from(OnFailure)),
        seen_at=world.now,
    )
    world.tickets[id_] = made
    return {id_}


def end(world: World, draw: st.DrawFn) -> set[str]:
    """An attempt ends, a landing comes out, a person decides."""
    going = sorted(id_ for id_, record in world.tickets.items() if record.state in HOLDING)
    if not going:
        return set()
    id_ = draw(st.sampled_from(going))
    state = draw(st.sampled_from([*HOLDING[1:], TicketState.LANDED, TicketState.FAILED, TicketState.QUEUED]))
    if state in HOLDING:
        world.attempts.pop(id_, None)
    else:
        world.release(id_)
    reason = Reason.TIMEOUT if state is TicketState.FAILED else None
    wait = draw(st.none() | st.integers(1, 500)) if state is TicketState.QUEUED else None
    return {world.set(id_, state=state, reason=reason, not_before=wait and world.now + wait, start_approved=True)}


def person(world: World, draw: st.DrawFn) -> set[str]:
    """Hold, bump, cancel, retry, take the file away."""
    if not world.tickets:
        return set()
    id_ = draw(st.sampled_from(sorted(world.tickets)))
    record = world.tickets[id_]
    match draw(st.integers(0, 3)):
        case 0:
            return {world.set(id_, held=not record.held)}
        case 1:
            return {world.set(id_, bumped=draw(st.sampled_from(Priority)))}
        case 2 if record.state is TicketState.QUEUED:
            return {world.set(id_, state=TicketState.CANCELLED)}
        case _ if record.state in (TicketState.FAILED, TicketState.CANCELLED, TicketState.SKIPPED):
            return {world.set(id_, state=TicketState.QUEUED, reason=None)}
    return set()


def widen(world: World, draw: st.DrawFn) -> set[str]:
    """An agent writes outside its claim."""
    if world.claims:
        claim = world.claims[draw(st.sampled_from(sorted(world.claims)))]
        wider = PatternSet((*claim.patterns.patterns, draw(st.sampled_from(PATTERNS))))
        world.claims[claim.ticket] = replace(claim, patterns=wider)
    return set()


def pass_time(world: World, draw: st.DrawFn) -> set[str]:
    world.now += draw(st.integers(1, 700))
    return set()


def throttle(world: World, draw: st.DrawFn) -> set[str]:
    name = draw(st.sampled_from(["one", "two"]))
    world.throttles[name] = Throttle(name, until=world.now + draw(st.integers(1, 600)), why="rate limited")
    return set()


def pool(world: World, draw: st.DrawFn) -> set[str]:
    world.paused = draw(st.sampled_from(["", "", "paused by a person"]))
    world.slots = draw(st.integers(1, 4))
    return set()


@given(st.data())
def test_the_queue_decides_and_explains_as_the_rules_do(data: st.DataObject) -> None:
    draw = data.draw
    world = World(draw(all_settings()), draw(st.integers(1, 4)))
    changed = {id_ for _ in range(draw(st.integers(0, 8))) for id_ in add(world, draw)}
    queue = Queue(world.snapshot(), world.now)
    for _ in range(draw(st.integers(1, 12))):
        expected = rules.decide(world.snapshot(), world.now)
        assert decide(world.snapshot(), world.now) == expected
        queue.update(world.snapshot(), changed, world.now)
        assert queue.schedule(world.now) == expected
        changed = world.obey(expected, draw) | happen(world, draw)
