"""The scheduler's own policies, and three that exist only to be compared with: what they would cost."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

from ticketd.domain.claims import ClaimTable
from ticketd.domain.reach import Reaches
from ticketd.domain.scheduler.queue import Queue
from ticketd.domain.scheduler.ranking import in_order, ranks
from ticketd.domain.scheduler.schedule import Decision, Skip, Snapshot, Start
from ticketd.domain.settings import Backfill, Settings
from ticketd.domain.ticket import OnFailure, TicketRecord, TicketState
from ticketd.domain.verdict import is_due
from ticketd.sim.world import Answer, Decider


class Policy(StrEnum):
    """`STRICT` and `ESTIMATE` are what `[scheduler] backfill` can be. `WAVE`: as many as can run together, and the next
    only when all have landed. `FIFO`: by age, and nobody passes one that waits for files. `UNORDERED`: nobody
    reserves, so overlapping tickets run in any order; it shows what order costs."""

    STRICT = "strict"
    ESTIMATE = "estimate"
    WAVE = "wave"
    FIFO = "fifo"
    UNORDERED = "unordered"

    @property
    def is_by_rank(self) -> bool:
        """Whether overlapping tickets that are ready start in order of rank."""
        return self in (Policy.STRICT, Policy.WAVE)

    @property
    def is_by_age(self) -> bool:
        return self is Policy.FIFO


def under(policy: Policy, settings: Settings) -> Settings:
    """The settings with this policy in force."""
    backfill = Backfill.ESTIMATE if policy is Policy.ESTIMATE else Backfill.STRICT
    return replace(settings, scheduler=replace(settings.scheduler, backfill=backfill))


def decider(policy: Policy) -> Decider:
    """A new one, that has seen nothing yet."""
    match policy:
        case Policy.STRICT | Policy.ESTIMATE:
            return Scheduler()
        case Policy.WAVE:
            return Waves()
        case Policy.FIFO:
            return InLine()
        case Policy.UNORDERED:
            return Unordered()
        case _:
            assert_never(policy)


class Scheduler:
    """The one that the daemon runs. The only place of the simulation that knows it."""

    def __init__(self) -> None:
        self._queue: Queue | None = None

    def decide(self, snapshot: Snapshot, changed: Collection[str], now: float) -> Answer:
        if self._queue is None:
            self._queue = Queue(snapshot, now)
        else:
            self._queue.update(snapshot, changed, now)
        return Answer(self._queue.decide(now), self._queue.next_at())


@dataclass(slots=True)
class Waves:
    """The scheduler, asked only when nothing runs or lands."""

    _scheduler: Scheduler = field(default_factory=Scheduler)
    _changed: set[str] = field(default_factory=set)

    def decide(self, snapshot: Snapshot, changed: Collection[str], now: float) -> Answer:
        self._changed.update(changed)
        if snapshot.attempts or snapshot.claims:
            return Answer(())
        answer = self._scheduler.decide(snapshot, self._changed, now)
        self._changed.clear()
        return answer


class InLine:
    """The oldest that is ready first; where it cannot run, all wait."""

    def decide(self, snapshot: Snapshot, changed: Collection[str], now: float) -> Answer:
        queue = [r for r in snapshot.tickets.values() if r.state is TicketState.QUEUED]
        walk = _Walk(snapshot, now)
        decisions: list[Decision] = list(walk.skips(queue))
        for record in sorted(queue, key=lambda r: (r.age, r.id)):
            if not walk.is_ready(record):
                continue
            if not walk.may_start(record):
                break
            decisions.append(walk.start(record))
        return Answer(decisions, walk.next_at(queue))


@dataclass(slots=True)
class Unordered:
    """By rank, but whoever can run does: nothing is reserved."""

    _order: list[str] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)

    def decide(self, snapshot: Snapshot, changed: Collection[str], now: float) -> Answer:
        self._rank(snapshot, changed)
        queue = [r for r in map(snapshot.tickets.__getitem__, self._order) if r.state is TicketState.QUEUED]
        walk = _Walk(snapshot, now)
        decisions: list[Decision] = list(walk.skips(queue))
        for record in queue:
            if not walk.free:
                break
            if walk.is_ready(record) and walk.may_start(record):
                decisions.append(walk.start(record))
        return Answer(decisions, walk.next_at(queue))

    def _rank(self, snapshot: Snapshot, changed: Collection[str]) -> None:
        """Only what comes new can change the order of the others: what is behind a ticket never ends before it."""
        if not self._known.issuperset(changed):
            self._known.update(snapshot.tickets)
            unfinished = {r.id: r for r in snapshot.tickets.values() if not r.state.is_final}
            self._order = [
                r.id for r in in_order(unfinished.values(), ranks(unfinished, snapshot.estimates, None, 0.0))
            ]


class _Walk:
    """Down the queue, with what is held and free."""

    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self.snapshot = snapshot
        self.now = now
        busy = {attempt.slot for attempt in snapshot.attempts}
        self.free = [slot for slot in range(1, snapshot.slots + 1) if slot not in busy]
        self.held = ClaimTable(Reaches(snapshot.settings.claims.shared))
        for claim in snapshot.claims:
            self.held.put(claim.ticket, claim.patterns)
        self.scopes = [snapshot.tickets[attempt.key.ticket].ticket.scope for attempt in snapshot.attempts]

    def skips(self, queue: Collection[TicketRecord]) -> Iterator[Skip]:
        for record in queue:
            for dependency in record.ticket.depends_on:
                before = self.snapshot.tickets.get(dependency)
                if before is not None and _takes_along(before):
                    yield Skip(record.id, dependency)
                    break

    def is_ready(self, record: TicketRecord) -> bool:
        if record.held or not is_due(record.not_before, self.now):
            return False
        before = (self.snapshot.tickets.get(dependency) for dependency in record.ticket.depends_on)
        return all(each is not None and each.state is TicketState.LANDED for each in before)

    def may_start(self, record: TicketRecord) -> bool:
        scope = self.snapshot.settings.scopes.get(record.ticket.scope)
        if not self.free or self.snapshot.stopping:
            return False
        if scope and scope.max_slots is not None and self.scopes.count(scope.name) >= scope.max_slots:
            return False
        return not self.held.blockers(record.ticket.touches)

    def start(self, record: TicketRecord) -> Start:
        self.held.put(record.id, record.ticket.touches)
        self.scopes.append(record.ticket.scope)
        return Start(record.id, self.free.pop(0), self.snapshot.settings.route_of(record.ticket)[0].name)

    def next_at(self, queue: Collection[TicketRecord]) -> float | None:
        return min((r.not_before for r in queue if r.not_before is not None and r.not_before > self.now), default=None)


def _takes_along(before: TicketRecord) -> bool:
    failed = before.state is TicketState.FAILED and before.ticket.on_failure is OnFailure.SKIP
    return failed or before.state is TicketState.SKIPPED


POLICIES: tuple[Policy, ...] = tuple(Policy)
