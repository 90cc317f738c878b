"""Which attempt to end so that a critical ticket can run. Pure."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import cast

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.claims import Claim
from ticketd.domain.scheduler.schedule import PreemptAttempt, Snapshot, Start
from ticketd.domain.settings import Preempt
from ticketd.domain.ticket import Priority, TicketRecord, TicketState

MOST_PREEMPTIONS = 2
"""How often one ticket may have to make way."""

NEAR_ITS_END = 0.75
"""Of its expected time: from here on an attempt is left to end by itself."""


def may_preempt(snapshot: Snapshot) -> bool:
    return snapshot.settings.scheduler.preempt is Preempt.CRITICAL and not (
        snapshot.paused or snapshot.stopping or snapshot.short
    )


def preemptions(
    snapshot: Snapshot,
    now: float,
    started: Sequence[Start],
    waiting: Iterable[TicketRecord],
    would_start: Callable[[Snapshot], Collection[str]],
) -> list[PreemptAttempt]:
    """`waiting`: critical tickets by rank that did not start, though they have room and nothing reserved is in the way.
    `would_start` says who of a queue starts: nobody makes way whose place the critical ticket would not be given, be it
    that the one who made way, or another, comes first. Those that are being ended already are taken to be gone."""
    gone = {attempt.key.ticket for attempt in snapshot.attempts if attempt.is_ending}
    victims = sorted(_preemptible(snapshot, now), key=lambda attempt: (now - _begun(attempt), attempt.key))
    chosen: list[PreemptAttempt] = []
    for record in islice(waiting, snapshot.slots):
        if not victims:
            break
        if gone and record.id in would_start(_without(snapshot, started, gone, now)):
            continue
        for victim in victims:
            without = _without(snapshot, started, {*gone, victim.key.ticket}, now)
            if record.id in would_start(without):
                victims.remove(victim)
                gone.add(victim.key.ticket)
                chosen.append(PreemptAttempt(victim.key, record.id))
                break
    return chosen


def _without(snapshot: Snapshot, started: Sequence[Start], gone: Collection[str], now: float) -> Snapshot:
    """As it will be: these have started, and those that made way are queued again."""
    tickets: dict[str, TicketRecord] = {
        id_: replace(snapshot.tickets[id_], state=TicketState.QUEUED, not_before=None) for id_ in sorted(gone)
    }
    attempts = [attempt for attempt in snapshot.attempts if attempt.key.ticket not in gone]
    claims = [claim for claim in snapshot.claims if claim.ticket not in gone]
    for start in started:
        record = snapshot.tickets[start.ticket]
        key = AttemptKey(record.id, record.attempts + 1)
        tickets[record.id] = replace(record, state=TicketState.RUNNING)
        attempts.append(Attempt(key, AttemptState.PREPARING, start.slot, "", start.agent, dispatched_at=now))
        claims.append(Claim(record.id, key.number, record.ticket.touches))
    known = ChainMap(tickets, cast("dict[str, TicketRecord]", snapshot.tickets))
    return replace(snapshot, tickets=known, attempts=tuple(attempts), claims=tuple(claims))


def _preemptible(snapshot: Snapshot, now: float) -> Iterable[Attempt]:
    for attempt in snapshot.busy.values():
        record = snapshot.tickets.get(attempt.key.ticket)
        if record is None or attempt.state is not AttemptState.RUNNING or attempt.is_ending or record.cancel_requested:
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
