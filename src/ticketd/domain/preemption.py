"""Which attempt to end so that a critical ticket can run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ticketd.domain.attempt import Attempt, AttemptState
from ticketd.domain.schedule import PreemptAttempt, Snapshot
from ticketd.domain.settings import Preempt
from ticketd.domain.ticket import Priority, TicketRecord

MOST_PREEMPTIONS = 2
"""How often one ticket may have to make way."""

NEAR_ITS_END = 0.75
"""Of its expected time: from here on an attempt is left to end by itself."""


def wants_preemption(snapshot: Snapshot, record: TicketRecord) -> bool:
    on = snapshot.settings.scheduler.preempt is Preempt.CRITICAL and not (snapshot.paused or snapshot.stopping)
    return on and record.priority is Priority.CRITICAL


def preemptions(
    snapshot: Snapshot, now: float, waiting: Iterable[tuple[TicketRecord, Sequence[str]]]
) -> list[PreemptAttempt]:
    """`waiting`: critical tickets that did not start though nothing ranked above them is in the way, by rank, each with
    the tickets whose claims are. One attempt is ended for each, less those that are being ended already."""
    under_way = sum(attempt.preempted for attempt in snapshot.busy.values())
    chosen: list[PreemptAttempt] = []
    taken: set[str] = set()
    for record, blockers in list(waiting)[under_way:]:
        victims = [attempt for attempt in _preemptible(snapshot, now) if attempt.key.ticket not in taken]
        if blockers:
            victims = [attempt for attempt in victims if [attempt.key.ticket] == list(blockers)]
        if victims:
            victim = min(victims, key=lambda attempt: (now - _begun(attempt), attempt.key))
            taken.add(victim.key.ticket)
            chosen.append(PreemptAttempt(victim.key, record.id))
    return chosen


def _preemptible(snapshot: Snapshot, now: float) -> Iterable[Attempt]:
    for attempt in snapshot.busy.values():
        record = snapshot.tickets.get(attempt.key.ticket)
        if record is None or attempt.state is not AttemptState.RUNNING or attempt.preempted or record.cancel_requested:
            continue
        expected = snapshot.estimates.of(record.ticket, attempt.agent).likely
        if (
            record.priority is not Priority.CRITICAL
            and record.preemptions < MOST_PREEMPTIONS
            and now - _begun(attempt) < NEAR_ITS_END * expected
        ):
            yield attempt


def _begun(attempt: Attempt) -> float:
    return attempt.started_at or attempt.dispatched_at
