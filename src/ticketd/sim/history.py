"""What a repository has already done, as a workload: its ended attempts with the time they really took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ticketd.domain.attempt import Attempt, AttemptState
from ticketd.domain.events import Event, EventKind
from ticketd.domain.ticket import Reason, TicketRecord, TicketState
from ticketd.sim.workload import Ends, Mishap, Play

ENDS: Mapping[Reason, Ends] = {
    Reason.TIMEOUT: Ends.TIMEOUT,
    Reason.LOST: Ends.LOST,
    Reason.CONFLICT: Ends.CONFLICT,
    Reason.VERIFY_FAILED: Ends.VERIFY_FAILED,
}
"""All others are failures of the agent."""


def past(
    tickets: Iterable[TicketRecord], attempts: Mapping[str, Sequence[Attempt]], events: Mapping[str, Sequence[Event]]
) -> tuple[tuple[TicketRecord, ...], dict[str, Play]]:
    """The tickets that have landed or failed, as they were when first seen, and what came of each of their attempts.
    What they depended on that is not among them counts as landed before."""
    plays = {
        record.id: play
        for record in tickets
        if record.state in (TicketState.LANDED, TicketState.FAILED)
        and (play := _play(record, attempts.get(record.id, ()), events.get(record.id, ()))) is not None
    }
    return tuple(_anew(record, plays) for record in tickets if record.id in plays), plays


def _anew(record: TicketRecord, plays: Mapping[str, Play]) -> TicketRecord:
    inside = tuple(dependency for dependency in record.ticket.depends_on if dependency in plays)
    ticket = replace(record.ticket, depends_on=inside)
    return TicketRecord(ticket, record.age, bumped=record.bumped, seen_at=record.seen_at)


def _play(record: TicketRecord, attempts: Sequence[Attempt], events: Sequence[Event]) -> Play | None:
    ran = [each for each in attempts if each.state is AttemptState.ENDED and each.started_at and each.ended_at]
    if not ran:
        return None
    landed = record.state is TicketState.LANDED
    mishaps = tuple(Mishap(_ends(each), _took(each)) for each in (ran[:-1] if landed else ran))
    return Play(_took(ran[-1]), _in_the_lane(events) if landed else 0.0, mishaps)


def _took(attempt: Attempt) -> float:
    return max(0.0, (attempt.ended_at or 0.0) - (attempt.started_at or 0.0))


def _ends(attempt: Attempt) -> Ends:
    # No reason: it was put off, or its daemon was told to stop.
    return ENDS.get(attempt.reason, Ends.FAILED) if attempt.reason else Ends.LATER


def _in_the_lane(events: Sequence[Event]) -> float:
    """Seconds from the beginning of the rebase to the push; waiting for its turn comes anew in the simulation."""
    begun: float | None = None
    for event in events:
        if event.kind is EventKind.AGENT_ENDED:
            begun = None
        elif event.kind is EventKind.LANDING_PHASE and begun is None:
            begun = event.at
        elif event.kind is EventKind.LANDED:
            return max(0.0, event.at - begun) if begun is not None else 0.0
    return 0.0
