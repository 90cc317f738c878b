"""The queue as it is, with durations drawn from its estimates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import exp, log
from random import Random

from ticketd.domain.attempt import Attempt
from ticketd.domain.claims import Claim
from ticketd.domain.estimates import Estimate
from ticketd.domain.globs import NOTHING
from ticketd.domain.scheduler.schedule import IN_A_SLOT, Snapshot
from ticketd.domain.ticket import Gate, TicketRecord, TicketState
from ticketd.sim.workload import Play, UnderWay, Workload

Z90 = 1.2815515655446004
"""Where the normal distribution has nine tenths behind it."""

LEAST_REST = 0.1
"""Of the expected time: what an attempt that is overdue, or in the lane, is taken to need still."""


def queue(snapshot: Snapshot, now: float, rng: Random | None = None) -> Workload:
    """What has not ended yet, from `now` on (epoch seconds). Without `rng` each ticket takes its likely time."""
    under_way = tuple(_under_way(snapshot, now, rng))
    busy = {each.claim.ticket for each in under_way}
    records = tuple(_as_queued(r, r.id in busy) for r in _by_age(snapshot))
    drawn = {r.id: Play(_seconds(snapshot, r, rng)) for r in _by_age(snapshot) if not r.state.is_final}
    return Workload(
        records=records,
        plays=drawn,
        slots=snapshot.slots,
        settings=snapshot.settings,
        estimates=snapshot.estimates,
        begins_at=now,
        under_way=under_way,
    )


def _by_age(snapshot: Snapshot) -> list[TicketRecord]:
    return sorted(snapshot.tickets.values(), key=lambda r: (r.age, r.id))


def _as_queued(record: TicketRecord, is_under_way: bool) -> TicketRecord:
    """A gate is taken to be opened at once."""
    asked = record.state is TicketState.REVIEW and not is_under_way
    return replace(record, state=TicketState.QUEUED) if asked else record


def _under_way(snapshot: Snapshot, now: float, rng: Random | None) -> Iterable[UnderWay]:
    attempts = {attempt.key.ticket: attempt for attempt in snapshot.attempts}
    claims = {claim.ticket: claim for claim in snapshot.claims}
    for record in _by_age(snapshot):
        attempt = attempts.get(record.id)
        claim = claims.get(record.id, Claim(record.id, record.attempts, NOTHING))
        seconds = _seconds(snapshot, record, rng) if attempt or record.id in claims else 0.0
        if attempt is not None and attempt.state in IN_A_SLOT:
            yield UnderWay(claim, _rest(attempt, seconds, now), attempt.slot, attempt.agent)
        elif record.id in claims or attempt is not None or _waits_to_land(snapshot, record):
            yield UnderWay(claim, LEAST_REST * seconds)


def _waits_to_land(snapshot: Snapshot, record: TicketRecord) -> bool:
    """Its work is done, though it may have let go of its files."""
    gate = snapshot.settings.gate_of(record.ticket, record.priority)
    return record.state is TicketState.LANDING or (
        record.state is TicketState.REVIEW and record.attempts > 0 and gate is not Gate.START
    )


def _rest(attempt: Attempt, seconds: float, now: float) -> float:
    elapsed = now - (attempt.started_at or attempt.dispatched_at)
    return max(seconds - max(elapsed, 0.0), LEAST_REST * seconds)


def _seconds(snapshot: Snapshot, record: TicketRecord, rng: Random | None) -> float:
    route = snapshot.settings.route_of(record.ticket)
    estimate = snapshot.estimates.of(record.ticket, route[0].name if route else None)
    return estimate.likely if rng is None else drawn(estimate, rng)


def drawn(estimate: Estimate, rng: Random) -> float:
    """Seconds, log-normal to either side of what is likely: one in ten below `low`, one in ten above `high`."""
    z = rng.gauss(0.0, 1.0)
    edge = estimate.high if z > 0 else estimate.low
    return estimate.likely * exp(abs(z) / Z90 * log(edge / estimate.likely)) if estimate.likely > 0 else 0.0
