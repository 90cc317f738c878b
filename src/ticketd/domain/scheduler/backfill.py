"""When those in the way are expected to be gone: what lets a shorter ticket pass a waiting one that it overlaps.

Conservative backfill, as batch schedulers call it (Mu'alem and Feitelson, 2001): every waiting ticket has a planned
start, and nobody who passes may be expected to end after it. Whole seconds, counted from now, so that sums are exact.
"""

from __future__ import annotations

from ticketd.domain.estimates import Estimates
from ticketd.domain.scheduler.schedule import IN_A_SLOT, Snapshot
from ticketd.domain.ticket import Ticket, TicketState

BACKFILL_DEPTH = 32
"""So many tickets that only waiting ones hold back are looked at for each start. On three real histories 32 gave the
makespan of a search without a bound, and 8 all but a hundredth of it."""

FOREVER = 10**9
"""A person decides when."""


def remaining(snapshot: Snapshot, now: float) -> dict[str, int]:
    """Seconds until each held claim is expected to be released; one that is overdue, or landing, may be any moment."""
    in_a_slot = {attempt.key.ticket: attempt for attempt in snapshot.attempts if attempt.state in IN_A_SLOT}
    left: dict[str, int] = {}
    for claim in snapshot.claims:
        record, attempt = snapshot.tickets.get(claim.ticket), in_a_slot.get(claim.ticket)
        if record is not None and attempt is not None:
            likely = snapshot.estimates.of(record.ticket, attempt.agent).likely + snapshot.estimates.landing_s
            left[claim.ticket] = max(0, round(attempt.dispatched_at + likely - now))
        else:
            in_review = record is not None and record.state is TicketState.REVIEW
            left[claim.ticket] = FOREVER if in_review else 0
    return left


def longest_s(ticket: Ticket, estimates: Estimates) -> int:
    """What a ticket that passes others is taken to need: the cautious end, since they would pay for an overrun."""
    return max(1, round(estimates.of(ticket).high + estimates.landing_s))
