"""One moment of a pool as anybody can see it: what the rules speak of, reckoned with plain loops and nothing of the
scheduler's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from runs import Moment

from ticketd.domain.globs import overlap
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.settings import Backfill
from ticketd.domain.ticket import GLOBAL_SCOPE, Priority, TicketRecord, TicketState

T = TypeVar("T")

witness = lru_cache(maxsize=1 << 16)(overlap)


class Scene:
    """`held`, `left` (seconds until a claim is expected to go) and `agents` (of those in a slot) go by ticket; `ready`
    lists, by rank, the tickets that only files, slots and capacity can hold back. `take` makes a start come true."""

    def __init__(self, moment: Moment) -> None:
        self.now, self.snapshot, self.settings = moment.now, moment.snapshot, moment.snapshot.settings
        self.records = self.snapshot.tickets
        self.held = {claim.ticket: claim.patterns for claim in self.snapshot.claims}
        self.agents = {attempt.key.ticket: attempt.agent for attempt in self.snapshot.attempts}
        self.left = dict.fromkeys(self.held, 0)
        for attempt in self.snapshot.attempts:
            likely = self.snapshot.estimates.of(self.records[attempt.key.ticket].ticket, attempt.agent).likely
            ends_at = attempt.dispatched_at + likely + self.snapshot.estimates.landing_s
            self.left[attempt.key.ticket] = max(0, round(ends_at - self.now))
        self.waiting_for: dict[str, list[TicketRecord]] = {id_: [] for id_ in self.records}
        for record in self.records.values():
            for dependency in record.ticket.depends_on if not record.state.is_final else ():
                self.waiting_for.setdefault(dependency, []).append(record)
        self.known: dict[tuple[Callable[..., object], str], object] = {}
        self.ready = sorted(filter(self.is_ready, self.records.values()), key=self.rank)

    def take(self, start: Start) -> None:
        record = self.records[start.ticket]
        self.held[record.id], self.left[record.id] = record.ticket.touches, self.expected_s(record)
        self.agents[record.id] = start.agent
        self.ready.remove(record)
        self.known.clear()

    @property
    def free(self) -> int:
        """How many slots something may be started in."""
        stopped = self.snapshot.paused or self.snapshot.stopping
        return 0 if stopped else max(0, self.snapshot.slots - len(self.agents))

    # who may

    def may_start(self, record: TicketRecord) -> bool:
        return self.profile(record) is not None and not self.holders(record) and not self.keeps_off(record)

    def is_ready(self, record: TicketRecord) -> bool:
        return (
            record.state is TicketState.QUEUED
            and not record.held
            and (record.not_before is None or record.not_before <= self.now)
            and all(d in self.records and self.records[d].state is TicketState.LANDED for d in record.ticket.depends_on)
            and self.settings.route_of(record.ticket) != ()
        )

    def profile(self, record: TicketRecord) -> str | None:
        """The first profile of the route that may take one more, if the scope may have one more."""
        return self.once(self._profile, record)

    def _profile(self, record: TicketRecord) -> str | None:
        scope = self.settings.scopes.get(record.ticket.scope)
        if scope is not None and scope.max_slots is not None and self.in_scope(scope.name) >= scope.max_slots:
            return None
        running = list(self.agents.values())
        for profile in self.settings.route_of(record.ticket):
            known = self.snapshot.throttles.get(profile.name)
            is_suspended = known is not None and known.until is not None and known.until > self.now
            limits = [profile.max_slots, None if known is None or known.limit is None else int(known.limit)]
            if not is_suspended and all(limit is None or running.count(profile.name) < limit for limit in limits):
                return profile.name
        return None

    def in_scope(self, name: str) -> int:
        return sum(self.records[id_].ticket.scope == name for id_ in self.agents)

    def holders(self, record: TicketRecord) -> list[str]:
        shared = self.settings.claims.shared
        return [id_ for id_, patterns in self.held.items() if witness(patterns, record.ticket.touches, shared)]

    def keeps_off(self, record: TicketRecord) -> list[str]:
        """Who has files of this ticket reserved and may not be passed by it."""
        ahead = self.ahead(record)
        if self.settings.scheduler.backfill is Backfill.ESTIMATE:
            ahead = [other for other in ahead if self.begins_in(other) < self.longest_s(record)]
        return [other.id for other in ahead]

    def ahead(self, record: TicketRecord) -> list[TicketRecord]:
        """Ready tickets with room that rank above and overlap."""
        return self.once(self._ahead, record)

    def _ahead(self, record: TicketRecord) -> list[TicketRecord]:
        above, shared = self.ready[: self.ready.index(record)], self.settings.claims.shared
        overlapping = (o for o in above if witness(o.ticket.touches, record.ticket.touches, shared))
        return [other for other in overlapping if self.profile(other) is not None]

    def begins_in(self, record: TicketRecord) -> int:
        """Seconds until all that is in the way of a waiting ticket is expected to be gone."""
        return self.once(self._begins_in, record)

    def _begins_in(self, record: TicketRecord) -> int:
        held = [self.left[id_] for id_ in self.holders(record)]
        return max([0, *held, *(self.begins_in(o) + self.expected_s(o) for o in self.ahead(record))])

    # who first

    def turn(self, record: TicketRecord) -> tuple[object, ...]:
        """Sorts those that may start."""
        is_shared = self.settings.scheduler.fair_share and record.ticket.scope != GLOBAL_SCOPE
        taken = self.in_scope(record.ticket.scope) if is_shared else 0
        return (record.ticket.scope != GLOBAL_SCOPE, taken, *self.rank(record))

    def rank(self, record: TicketRecord) -> tuple[bool, int, int, int, str]:
        return (record.ticket.scope != GLOBAL_SCOPE, self.level(record), -self.behind_s(record), record.age, record.id)

    def level(self, record: TicketRecord) -> int:
        """The priority it goes by, 0 the most urgent."""
        inherited, aging_s = self.urgency(record), self.settings.scheduler.aging_s
        risen = 0 if aging_s is None else int((self.now - record.seen_at) / aging_s)
        return inherited if inherited <= Priority.HIGH.rank else max(Priority.HIGH.rank, inherited - risen)

    def urgency(self, record: TicketRecord) -> int:
        """The highest priority among it and all that waits for it."""
        return min([record.priority.rank, *(self.urgency(after) for after in self.waiting_for[record.id])])

    def behind_s(self, record: TicketRecord) -> int:
        """Seconds of the longest chain that waits for it."""
        return max((self.expected_s(d) + self.behind_s(d) for d in self.waiting_for[record.id]), default=0)

    def expected_s(self, record: TicketRecord) -> int:
        return round(self.snapshot.estimates.of(record.ticket).likely + self.snapshot.estimates.landing_s)

    def longest_s(self, record: TicketRecord) -> int:
        return round(self.snapshot.estimates.of(record.ticket).high + self.snapshot.estimates.landing_s)

    def once(self, find: Callable[[TicketRecord], T], record: TicketRecord) -> T:
        """Nothing of this changes until somebody starts."""
        key = (find.__func__, record.id)  # type: ignore[attr-defined]
        if key not in self.known:
            self.known[key] = find(record)
        return self.known[key]  # type: ignore[return-value]
