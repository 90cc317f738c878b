"""The scheduler: from a snapshot to decisions, each with its reason. Pure: the same snapshot gives the same answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ticketd.domain.attempt import Attempt, AttemptState
from ticketd.domain.claims import Claim, ClaimTable
from ticketd.domain.estimates import Estimates
from ticketd.domain.ranking import in_order
from ticketd.domain.settings import Settings
from ticketd.domain.throttle import Throttle
from ticketd.domain.ticket import Gate, OnFailure, TicketRecord, TicketState
from ticketd.domain.verdict import is_due

IN_A_SLOT = (AttemptState.PREPARING, AttemptState.RUNNING)


class WaitKind(StrEnum):
    DEPENDENCY = "dependency"
    OVERLAP = "overlap"
    RESERVED = "reserved"
    SLOT = "slot"
    GATE = "gate"
    BACKOFF = "backoff"
    BUDGET = "budget"
    SCOPE_CAP = "scope-cap"
    HELD = "held"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class WaitsOn:
    """One thing a ticket waits on; `until` in epoch seconds."""

    kind: WaitKind
    ticket: str | None = None
    path: str | None = None
    detail: str = ""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a decision may depend on, read in one transaction: the live `attempts`, the `throttles` by profile."""

    tickets: Mapping[str, TicketRecord]
    claims: tuple[Claim, ...]
    attempts: tuple[Attempt, ...]
    slots: int
    settings: Settings
    estimates: Estimates = field(default_factory=Estimates)
    throttles: Mapping[str, Throttle] = field(default_factory=dict)
    paused: str = ""
    stopping: bool = False

    @property
    def busy(self) -> Mapping[int, Attempt]:
        """The slots taken, and by whom."""
        return {attempt.slot: attempt for attempt in self.attempts if attempt.state in IN_A_SLOT}


@dataclass(frozen=True, slots=True)
class Start:
    """`agent`: the profile that runs it."""

    ticket: str
    slot: int
    agent: str


@dataclass(frozen=True, slots=True)
class AskToStart:
    """The ticket's gate wants a person's word before it runs."""

    ticket: str


@dataclass(frozen=True, slots=True)
class Skip:
    """`because` has failed, been skipped or cancelled, and its `on_failure` lets dependents go with it."""

    ticket: str
    because: str


Decision = Start | AskToStart | Skip


@dataclass(frozen=True, slots=True)
class Waiting:
    ticket: str
    rank: int
    waits_on: tuple[WaitsOn, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """`order`: the whole queue by rank. `next_at`: when waiting alone will change something (epoch seconds)."""

    order: tuple[str, ...]
    decisions: tuple[Decision, ...]
    waiting: tuple[Waiting, ...]
    next_at: float | None

    @property
    def idle_why(self) -> str:
        """Why a free slot stays free, in a sentence."""
        if not self.waiting:
            return "nothing is queued"
        kinds = Counter(on.kind for waiting in self.waiting for on in waiting.waits_on[:1])
        return IDLE_BECAUSE[kinds.most_common(1)[0][0]]


IDLE_BECAUSE: dict[WaitKind, str] = {
    WaitKind.DEPENDENCY: "what is queued waits for its dependencies to land",
    WaitKind.OVERLAP: "every queued ticket overlaps a running one",
    WaitKind.RESERVED: "every queued ticket overlaps one that is running or ahead of it",
    WaitKind.SLOT: "about to be filled",
    WaitKind.GATE: "what is queued waits for a person",
    WaitKind.BACKOFF: "what is queued waits out a backoff",
    WaitKind.BUDGET: "the budget is used up",
    WaitKind.SCOPE_CAP: "the scopes of what is queued run as many as they may",
    WaitKind.HELD: "what is queued is held",
    WaitKind.PAUSED: "the pool is paused",
}


def decide(snapshot: Snapshot, now: float, *, explain: bool = True) -> Schedule:
    """Who starts in which slot, and what everybody else waits on. `now` in epoch seconds.

    Without `explain` the decisions are the same, but once no slot is free nobody asks who overlaps whom.
    """
    return _Pass(snapshot, now, explain).schedule()


class _Pass:
    """One walk down the queue. A ticket that only overlap holds back reserves its files against all behind it."""

    def __init__(self, snapshot: Snapshot, now: float, explain: bool) -> None:
        self.snapshot = snapshot
        self.now = now
        self.explain = explain
        busy = snapshot.busy
        free = [slot for slot in range(1, snapshot.slots + 1) if slot not in busy]
        self.free = free[: max(0, snapshot.slots - len(busy))]
        self.held = ClaimTable(snapshot.settings.claims.shared)
        self.reserved = ClaimTable(snapshot.settings.claims.shared)
        for claim in snapshot.claims:
            self.held.add(claim.ticket, claim.patterns)
        self.running_in = Counter(
            snapshot.tickets[attempt.key.ticket].ticket.scope
            for attempt in busy.values()
            if attempt.key.ticket in snapshot.tickets
        )

    def schedule(self) -> Schedule:
        unfinished = {r.id: r for r in self.snapshot.tickets.values() if not r.state.is_final}
        queue = in_order(
            (r for r in unfinished.values() if r.state is TicketState.QUEUED), unfinished, self.snapshot.estimates
        )
        decisions: list[Decision] = []
        waiting: list[Waiting] = []
        for rank, record in enumerate(queue, start=1):
            decided = self.consider(record)
            if isinstance(decided, tuple):
                waiting.append(Waiting(record.id, rank, decided))
            else:
                decisions.append(decided)
        order = tuple(record.id for record in queue)
        return Schedule(order, tuple(decisions), tuple(waiting), self.next_at(waiting))

    def consider(self, record: TicketRecord) -> Decision | tuple[WaitsOn, ...]:
        if (doomed_by := self.doomed_by(record)) is not None:
            return Skip(record.id, doomed_by)
        if waits := (*self.held_back(record), *self.dependencies(record)):
            return waits
        if self.wants_a_word(record):
            return AskToStart(record.id)
        if not (self.free or self.explain):
            return (WaitsOn(WaitKind.SLOT),)
        if in_the_way := self.overlaps(record):
            self.reserved.add(record.id, record.ticket.touches)
            return in_the_way
        if capped := (*self.capped(record), *self.no_slot()):
            return capped
        return self.start(record)

    def start(self, record: TicketRecord) -> Start:
        self.held.add(record.id, record.ticket.touches)
        self.running_in[record.ticket.scope] += 1
        return Start(record.id, self.free.pop(0), self.snapshot.settings.route_of(record.ticket)[0].name)

    def doomed_by(self, record: TicketRecord) -> str | None:
        for dependency in record.ticket.depends_on:
            before = self.snapshot.tickets.get(dependency)
            if before is None:
                continue
            failed = before.state is TicketState.FAILED and before.ticket.on_failure is OnFailure.SKIP
            if failed or before.state is TicketState.SKIPPED:
                return dependency
        return None

    def held_back(self, record: TicketRecord) -> tuple[WaitsOn, ...]:
        waits = []
        if record.held:
            waits.append(WaitsOn(WaitKind.HELD, detail=f"held by a person; `ticketd unhold {record.id}` lets it go"))
        if not self.snapshot.settings.route_of(record.ticket):
            name = record.ticket.agent or "default"
            waits.append(WaitsOn(WaitKind.HELD, detail=f"no agent profile `{name}` in ticketd.toml"))
        if not is_due(record.not_before, self.now):
            waits.append(WaitsOn(WaitKind.BACKOFF, detail=record.detail, until=record.not_before))
        return tuple(waits)

    def dependencies(self, record: TicketRecord) -> tuple[WaitsOn, ...]:
        return tuple(
            WaitsOn(WaitKind.DEPENDENCY, ticket=dependency, detail=self.how_it_stands(dependency))
            for dependency in record.ticket.depends_on
            if dependency not in self.snapshot.tickets
            or self.snapshot.tickets[dependency].state is not TicketState.LANDED
        )

    def how_it_stands(self, dependency: str) -> str:
        before = self.snapshot.tickets.get(dependency)
        if before is None:
            return "there is no such ticket"
        return f"{before.state} ({before.reason})" if before.reason else str(before.state)

    def wants_a_word(self, record: TicketRecord) -> bool:
        gate = self.snapshot.settings.gate_of(record.ticket, record.priority)
        return gate is Gate.START and not record.start_approved

    def overlaps(self, record: TicketRecord) -> tuple[WaitsOn, ...]:
        touches = record.ticket.touches
        held = tuple(WaitsOn(WaitKind.OVERLAP, blocker.ticket, blocker.path) for blocker in self.held.blockers(touches))
        if held:
            return held
        blocker = self.reserved.first_blocker(touches)
        return (WaitsOn(WaitKind.RESERVED, blocker.ticket, blocker.path),) if blocker else ()

    def capped(self, record: TicketRecord) -> tuple[WaitsOn, ...]:
        scope = self.snapshot.settings.scopes.get(record.ticket.scope)
        if scope is None or scope.max_slots is None or self.running_in[scope.name] < scope.max_slots:
            return ()
        return (WaitsOn(WaitKind.SCOPE_CAP, detail=f"scope {scope.name} runs {scope.max_slots} at a time"),)

    def no_slot(self) -> tuple[WaitsOn, ...]:
        if self.snapshot.stopping:
            return (WaitsOn(WaitKind.PAUSED, detail="the daemon is stopping"),)
        if self.snapshot.paused:
            return (WaitsOn(WaitKind.PAUSED, detail=self.snapshot.paused),)
        return () if self.free else (WaitsOn(WaitKind.SLOT, detail="all slots are taken"),)

    def next_at(self, waiting: list[Waiting]) -> float | None:
        return min((on.until for one in waiting for on in one.waits_on if on.until is not None), default=None)
