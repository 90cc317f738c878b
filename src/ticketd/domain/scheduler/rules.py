"""The rules of the scheduler at their plainest: what `queue` must answer, without its speed.

A queued ticket is ready when nothing but files, slots and capacity can hold it back. A ready ticket may start when

- there is room for it: in its scope, in what that and the day may cost, and in a profile of its route;
- no held claim overlaps it;
- no ready ticket with room that ranks above it overlaps it. Such a ticket reserves its files. With backfill by
  estimates one may be passed if whoever passes is expected to end before it could start anyway.

As long as a slot is free, the first in the order of the queue that may start does. With fair shares `_global` still
comes first, then the scopes by how few slots they have, then rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from ticketd.domain.globs import PatternSet, overlap
from ticketd.domain.scheduler.backfill import BACKFILL_DEPTH, longest_s, remaining
from ticketd.domain.scheduler.capacity import Kinds, Room
from ticketd.domain.scheduler.preemption import may_preempt, preemptions
from ticketd.domain.scheduler.ranking import expected_s, in_order, ranks
from ticketd.domain.scheduler.readiness import Doomed, NotReady, Ready, WantsAWord, readiness
from ticketd.domain.scheduler.schedule import AskToStart, Decision, PreemptAttempt, Schedule, Skip, Snapshot, Start
from ticketd.domain.scheduler.waits import Waiting, WaitKind, WaitsOn, no_slot
from ticketd.domain.settings import AgentProfile, Backfill
from ticketd.domain.ticket import GLOBAL_SCOPE, Priority, TicketRecord, TicketState


def decide(snapshot: Snapshot, now: float) -> Schedule:
    """Who starts in which slot, and what everybody else waits on. `now` in epoch seconds."""
    return _Pass(snapshot, now).schedule()


class _Pass:
    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self.snapshot = snapshot
        self.now = now
        self.settings = snapshot.settings
        self.held: dict[str, PatternSet] = {claim.ticket: claim.patterns for claim in snapshot.claims}
        self.left = remaining(snapshot, now)
        self.kinds = Kinds(snapshot.settings)
        self.room = Room(snapshot, now)
        self.planned: dict[str, int] = {}
        self.ready = [record for record in self.queue if isinstance(self.readiness[record.id], Ready)]

    @cached_property
    def queue(self) -> list[TicketRecord]:
        unfinished = {r.id: r for r in self.snapshot.tickets.values() if not r.state.is_final}
        order = ranks(unfinished, self.snapshot.estimates, self.settings.scheduler.aging_s, self.now)
        return in_order((r for r in unfinished.values() if r.state is TicketState.QUEUED), order)

    @cached_property
    def readiness(self) -> dict[str, Ready | NotReady | WantsAWord | Doomed]:
        return {record.id: readiness(record, self.snapshot.tickets, self.settings, self.now) for record in self.queue}

    def schedule(self) -> Schedule:
        settled = [decision for record in self.queue if (decision := self.settled(record)) is not None]
        starts = self.starts()
        decisions: list[Decision] = [*settled, *starts, *self.preemptions(starts)]
        decided = {decision.ticket for decision in (*settled, *starts)}
        waiting = tuple(
            Waiting(record.id, number, self.waits_on(record))
            for number, record in enumerate(self.queue, start=1)
            if record.id not in decided
        )
        return Schedule(tuple(r.id for r in self.queue), tuple(decisions), waiting, next_at(waiting))

    def settled(self, record: TicketRecord) -> Skip | AskToStart | None:
        match self.readiness[record.id]:
            case Doomed(because):
                return Skip(record.id, because)
            case WantsAWord():
                return AskToStart(record.id)
            case Ready() | NotReady():
                return None

    def starts(self) -> list[Start]:
        starts: list[Start] = []
        for slot in self.snapshot.free:
            found = self.next()
            if found is None:
                break
            record, profile = found
            starts.append(Start(record.id, slot, profile.name))
            self.ready.remove(record)
            self.held[record.id] = record.ticket.touches
            self.left[record.id] = expected_s(record, self.snapshot.estimates)
            self.room.take(record.ticket, profile.name)
        return starts

    def next(self) -> tuple[TicketRecord, AgentProfile] | None:
        looked_at = 0
        self.planned.clear()
        for record in sorted(self.ready, key=self.share):
            profile = self.room.of(self.kinds.of(record.ticket))
            if isinstance(profile, WaitsOn) or self.holders(record):
                continue
            ahead = self.ahead(record)
            if ahead:
                looked_at += 1
                if self.settings.scheduler.backfill is Backfill.STRICT or looked_at > BACKFILL_DEPTH:
                    continue
                needs = longest_s(record.ticket, self.snapshot.estimates)
                if any(self.starts_in(other) < needs for other in ahead):
                    continue
            return record, profile
        return None

    def share(self, record: TicketRecord) -> tuple[bool, int]:
        if not self.settings.scheduler.fair_share or record.ticket.scope == GLOBAL_SCOPE:
            return (record.ticket.scope != GLOBAL_SCOPE, 0)
        return (True, self.room.in_scope[record.ticket.scope])

    def holders(self, record: TicketRecord) -> list[str]:
        """Who holds files of this ticket."""
        return [ticket for ticket, held in sorted(self.held.items()) if self.witness(record, held) is not None]

    def ahead(self, record: TicketRecord) -> list[TicketRecord]:
        """Who has reserved files of this ticket."""
        above = self.ready[: self.ready.index(record)]
        return [
            other
            for other in above
            if self.witness(record, other.ticket.touches) is not None
            and isinstance(self.room.of(self.kinds.of(other.ticket)), AgentProfile)
        ]

    def starts_in(self, record: TicketRecord) -> int:
        """Seconds until the files of a waiting ticket are expected to be free for it, at the soonest."""
        if record.id not in self.planned:
            held = [self.left[ticket] for ticket in self.holders(record)]
            reserved = [self.starts_in(r) + expected_s(r, self.snapshot.estimates) for r in self.ahead(record)]
            self.planned[record.id] = max([0, *held, *reserved])
        return self.planned[record.id]

    def witness(self, record: TicketRecord, patterns: PatternSet) -> str | None:
        return overlap(patterns, record.ticket.touches, self.settings.claims.shared)

    def preemptions(self, starts: Sequence[Start]) -> list[PreemptAttempt]:
        waiting = [
            record
            for record in self.ready
            if may_preempt(self.snapshot)
            and record.priority is Priority.CRITICAL
            and isinstance(self.room.of(self.kinds.of(record.ticket)), AgentProfile)
            and not self.ahead(record)
        ]
        return preemptions(self.snapshot, self.now, starts, waiting, self.would_start)

    def would_start(self, snapshot: Snapshot) -> set[str]:
        return {start.ticket for start in _Pass(snapshot, self.now).starts()}

    def waits_on(self, record: TicketRecord) -> tuple[WaitsOn, ...]:
        standing = self.readiness[record.id]
        if isinstance(standing, NotReady):
            return standing.waits_on
        if holders := self.holders(record):
            return tuple(
                WaitsOn(WaitKind.OVERLAP, ticket, self.witness(record, self.held[ticket])) for ticket in holders
            )
        if ahead := self.ahead(record):
            first = ahead[0]
            return (WaitsOn(WaitKind.RESERVED, first.id, self.witness(record, first.ticket.touches)),)
        room = self.room.of(self.kinds.of(record.ticket))
        return (
            (room,)
            if isinstance(room, WaitsOn)
            else (no_slot(self.snapshot.paused, self.snapshot.stopping, self.snapshot.short),)
        )


def next_at(waiting: tuple[Waiting, ...]) -> float | None:
    """When waiting alone will change something."""
    return min((on.until for one in waiting for on in one.waits_on if on.until is not None), default=None)
