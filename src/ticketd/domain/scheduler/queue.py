"""The queue in memory: takes in what has changed, and answers what `rules` would at a fraction of the cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from heapq import heappop, heappush

from ticketd.domain.claims import ClaimTable
from ticketd.domain.globs import PatternSet
from ticketd.domain.reach import Reaches
from ticketd.domain.scheduler.backfill import remaining
from ticketd.domain.scheduler.capacity import Kind, Kinds, Room
from ticketd.domain.scheduler.line import Entry, Line
from ticketd.domain.scheduler.passing import Passing
from ticketd.domain.scheduler.picking import Picking
from ticketd.domain.scheduler.preemption import may_preempt, preemptions
from ticketd.domain.scheduler.ranking import expected_s
from ticketd.domain.scheduler.ranks import Ranks
from ticketd.domain.scheduler.readiness import Doomed, NotReady, Ready, WantsAWord, readiness
from ticketd.domain.scheduler.schedule import AskToStart, Decision, PreemptAttempt, Schedule, Skip, Snapshot, Start
from ticketd.domain.scheduler.waits import Waiting, WaitKind, WaitsOn, no_slot
from ticketd.domain.settings import AgentProfile, Backfill
from ticketd.domain.ticket import GLOBAL_SCOPE, Priority, TicketRecord, TicketState

CLOCK_SET_BACK_S = 60.0


def decide(snapshot: Snapshot, now: float) -> Schedule:
    """Who starts in which slot, and what everybody else waits on. `now` in epoch seconds."""
    return Queue(snapshot, now).schedule(now)


class Queue:
    """Fed by `update`, asked by `decide`. What it decides it takes for done until the next update says otherwise."""

    _snapshot: Snapshot
    _now: float
    _assumed: list[Start]
    _ranks: Ranks

    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self._build(snapshot, now)

    def update(self, snapshot: Snapshot, changed: Iterable[str], now: float) -> None:
        """`changed`: the tickets that may differ from those of the last snapshot."""
        before = self._snapshot
        alike = (before.settings, before.estimates) == (snapshot.settings, snapshot.estimates)
        if not alike or now < self._now - CLOCK_SET_BACK_S:
            self._build(snapshot, now)
            return
        changed = {*changed, *(start.ticket for start in self._assumed)}
        self._snapshot, self._now, self._assumed = snapshot, max(now, self._now), []
        self._take_claims()
        ranked = self._ranks.change(changed, snapshot.tickets)
        waiting_for = {dependent for id_ in changed for dependent in self._ranks.dependents(id_)}
        for id_ in changed | ranked | waiting_for:
            self._place(id_)

    def decide(self, now: float) -> tuple[Decision, ...]:
        """What to do now, in the order of `rules.decide`."""
        self._let_time_pass(now)
        settled = tuple(self._settled.values())
        if len(settled) > 1:
            settled = tuple(self._settled[id_] for id_ in self._by_rank(self._settled))
        starts = list(self._starts())
        self._note_room()
        return (*settled, *starts, *self._preemptions())

    def schedule(self, now: float) -> Schedule:
        """What to do now, and what all others wait on: for eyes, since it walks the whole queue."""
        decisions = self.decide(now)
        decided = {decision.ticket for decision in decisions if not isinstance(decision, PreemptAttempt)}
        order = self.order()
        waiting = tuple(
            Waiting(id_, number, self.waits_on(id_)) for number, id_ in enumerate(order, start=1) if id_ not in decided
        )
        untils = (on.until for one in waiting for on in one.waits_on if on.until is not None)
        return Schedule(tuple(order), decisions, waiting, min(untils, default=None))

    def order(self) -> list[str]:
        """All that are queued, by rank."""
        return self._by_rank(self._queued())

    def next_at(self, today: bool = False) -> float | None:
        """When waiting alone may let something start (epoch seconds). `today`: without what waits for midnight, when a
        budget of the day begins anew."""
        while self._due and self._due_at.get(self._due[0][1]) != self._due[0][0]:
            heappop(self._due)  # it waits for that no longer
        untils = [self._due[0][0]] if self._due else []
        for kind, count in self._ready.items():
            room = self._room.of(kind) if count else None
            late = today and isinstance(room, WaitsOn) and room.kind is WaitKind.BUDGET
            if isinstance(room, WaitsOn) and room.until is not None and not late:
                untils.append(room.until)
        return min(untils, default=None)

    # ---- taking in

    def _build(self, snapshot: Snapshot, now: float) -> None:
        settings = snapshot.settings
        self._snapshot, self._now = snapshot, now
        self._assumed = []
        self._reaches = Reaches(settings.claims.shared)
        self._kinds = Kinds(settings)
        self._line = Line(self._reaches)
        self._held = ClaimTable(self._reaches)
        self._picking = Picking(self._line, self._held, settings.scheduler.backfill is Backfill.ESTIMATE)
        self._ranks = Ranks(snapshot.tickets, snapshot.estimates, settings.scheduler.aging_s)
        self._room = Room(snapshot, now)
        self._settled: dict[str, Skip | AskToStart] = {}
        self._critical: set[str] = set()
        self._due: list[tuple[float, str]] = []
        self._due_at: dict[str, float] = {}
        self._ready: Counter[Kind] = Counter()
        self._open: set[Kind] = set()
        self._take_claims()
        entries = (entry for id_ in self._queued() if (entry := self._placed(id_)) is not None)
        ready = sorted(entries, key=lambda entry: entry.rank)
        self._picking.add_all(ready)
        for entry in ready:
            self._joined_line(entry)

    def _take_claims(self) -> None:
        claims = {claim.ticket: claim.patterns for claim in self._snapshot.claims}
        for ticket in self._held.tickets():
            if ticket not in claims:
                self._held.remove(ticket)
                self._picking.wake(ticket)
        for ticket, patterns in claims.items():
            held = self._held.of(ticket)
            if held != patterns:
                self._held.put(ticket, patterns)
                if held is not None and not _covers(patterns, held):
                    self._picking.wake(ticket)

    def _place(self, id_: str) -> None:
        """Put a ticket where it belongs, now that it or what it depends on may have changed."""
        old, new = self._line.entries.get(id_), self._placed(id_)
        if old is not None and new is not None and old.is_like(new):
            self._note_critical(id_)
            return
        if old is not None:
            self._picking.remove(old)
            self._left_line(old)
        if new is not None:
            self._picking.add(new)
            self._joined_line(new)

    def _placed(self, id_: str) -> Entry | None:
        """A ticket as it stands in the line if it is ready; what else it waits for is noted."""
        record = self._snapshot.tickets.get(id_)
        self._settled.pop(id_, None)
        self._due_at.pop(id_, None)
        if record is None or record.state is not TicketState.QUEUED:
            return None
        match readiness(record, self._snapshot.tickets, self._snapshot.settings, self._now):
            case Ready():
                return self._entry(record)
            case NotReady(waits_on):
                for until in (on.until for on in waits_on if on.until is not None):
                    heappush(self._due, (until, id_))
                    self._due_at[id_] = until
            case WantsAWord():
                self._settled[id_] = AskToStart(id_)
            case Doomed(because):
                self._settled[id_] = Skip(id_, because)
        return None

    def _entry(self, record: TicketRecord) -> Entry:
        touches = record.ticket.touches
        rank = self._ranks.rank(record, self._now)
        return Entry(rank, self._kinds.of(record.ticket), touches, self._reaches.parts(touches))

    def _joined_line(self, entry: Entry) -> None:
        self._ready[entry.kind] += 1
        self._ranks.watch(self._snapshot.tickets[entry.id], self._now)
        self._note_critical(entry.id)

    def _note_critical(self, id_: str) -> None:
        """By its own priority: one that only inherits it stands in the same place, and nobody makes way for it."""
        if self._snapshot.tickets[id_].priority is Priority.CRITICAL:
            self._critical.add(id_)
        else:
            self._critical.discard(id_)

    def _left_line(self, entry: Entry) -> None:
        self._ready[entry.kind] -= 1
        self._critical.discard(entry.id)

    def _let_time_pass(self, now: float) -> None:
        self._now = max(now, self._now)
        due: set[str] = set()
        while self._due and self._due[0][0] <= now:
            due.add(heappop(self._due)[1])
        for id_ in due | self._ranks.risen(now):
            self._place(id_)
        self._room = Room(self._snapshot, now)
        self._left = remaining(self._snapshot, now)
        for start in self._assumed:
            record = self._snapshot.tickets[start.ticket]
            self._room.take(record.ticket, start.agent)
            self._left[start.ticket] = expected_s(record, self._snapshot.estimates)

    # ---- deciding

    def _starts(self) -> Iterator[Start]:
        taken = {start.slot for start in self._assumed}
        for slot in self._snapshot.free:
            if slot in taken:
                continue
            self._note_room()
            passing = Passing(self._snapshot, self._line, self._held, self._open, self._left)
            entry = self._picking.next(self._tiers(), self._open, passing)
            if entry is None:
                return
            profile = self._room.of(entry.kind)
            assert isinstance(profile, AgentProfile), entry
            start = Start(entry.id, slot, profile.name)
            self._picking.start(entry)
            self._left_line(entry)
            record = self._snapshot.tickets[entry.id]
            self._left[entry.id] = expected_s(record, self._snapshot.estimates)
            self._room.take(record.ticket, profile.name)
            self._assumed.append(start)
            yield start

    def _note_room(self) -> None:
        """Which kinds have room now, and which no longer."""
        has_room = self._room.open(kind for kind, count in self._ready.items() if count)
        for kind in self._open - has_room:
            self._picking.close(kind)
        self._open = has_room

    def _tiers(self) -> Iterable[Collection[Kind]]:
        """With fair shares: `_global`, then the scopes by how few slots they have."""
        if not self._snapshot.settings.scheduler.fair_share:
            return (self._open,)
        tiers: dict[tuple[bool, int], list[Kind]] = {}
        for kind in self._open:
            other = kind.scope != GLOBAL_SCOPE
            share = self._room.in_scope[kind.scope or ""] if other else 0
            tiers.setdefault((other, share), []).append(kind)
        return (tiers[key] for key in sorted(tiers))

    def _preemptions(self) -> list[PreemptAttempt]:
        if not self._critical or not may_preempt(self._snapshot):
            return []
        entries = [self._line.entries[id_] for id_ in self._by_rank(self._critical)]
        first = [entry.id for entry in entries if entry.kind in self._open and self._ahead(entry) is None]
        snapshot, assumed = self._snapshot, self._assumed
        waiting = [snapshot.tickets[id_] for id_ in first]
        chosen = preemptions(snapshot, self._now, assumed, waiting, self._would_start)
        if self._snapshot is not snapshot:  # back to what is, and what was decided
            self._would_start(snapshot)
            self._note_room()
        return chosen

    def _would_start(self, snapshot: Snapshot) -> set[str]:
        """Who would if it were like this, which differs only in who is in a slot."""
        attempts = (*self._snapshot.attempts, *snapshot.attempts)
        self.update(snapshot, {attempt.key.ticket for attempt in attempts}, self._now)
        self._let_time_pass(self._now)
        return {start.ticket for start in self._starts()}

    # ---- explaining

    def waits_on(self, id_: str) -> tuple[WaitsOn, ...]:
        """What a queued ticket about which nothing was decided waits on, as of the last decision."""
        record = self._snapshot.tickets[id_]
        standing = readiness(record, self._snapshot.tickets, self._snapshot.settings, self._now)
        if isinstance(standing, NotReady):
            return standing.waits_on
        touches = record.ticket.touches
        if blockers := self._held.blockers(touches):
            return tuple(WaitsOn(WaitKind.OVERLAP, blocker.ticket, blocker.path) for blocker in blockers)
        entry = self._line.entries[id_]
        if (ahead := self._ahead(entry)) is not None:
            return (WaitsOn(WaitKind.RESERVED, ahead.id, self._reaches.witness(ahead.touches, touches)),)
        room = self._room.of(entry.kind)
        return (
            (room,)
            if isinstance(room, WaitsOn)
            else (no_slot(self._snapshot.paused, self._snapshot.stopping, self._snapshot.short),)
        )

    def _ahead(self, entry: Entry) -> Entry | None:
        """The first ticket that has reserved files of this one."""
        found = (self._line.first_ahead(part, entry.rank, self._open) for part in entry.parts)
        first = min((rank for rank in found if rank is not None), default=None)
        return None if first is None else self._line.entries[first[-1]]

    def _queued(self) -> list[str]:
        return [id_ for id_, record in self._snapshot.tickets.items() if record.state is TicketState.QUEUED]

    def _by_rank(self, ids: Iterable[str]) -> list[str]:
        tickets = self._snapshot.tickets
        return sorted(ids, key=lambda id_: self._ranks.rank(tickets[id_], self._now))


def _covers(patterns: PatternSet, before: PatternSet) -> bool:
    """Whether this surely has all paths that were claimed before; a pattern that negates may have taken some away."""
    negates = any(pattern.startswith("!") for pattern in patterns.patterns)
    return not negates and set(before.patterns) <= set(patterns.patterns)
