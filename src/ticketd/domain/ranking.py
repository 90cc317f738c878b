"""The order of the queue: `_global` first, then priority, then the longer chain of dependents, then age."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ticketd.domain.estimates import Estimates
from ticketd.domain.graph import dependents_of, fold
from ticketd.domain.ticket import GLOBAL_SCOPE, Priority, TicketRecord


def inherited_priorities(records: Mapping[str, TicketRecord]) -> dict[str, Priority]:
    """A ticket is as urgent as the most urgent ticket that waits for it."""
    dependents = dependents_of({r.id: r.ticket.depends_on for r in records.values()})
    return fold(
        records,
        {t: [d for d in after if d in records] for t, after in dependents.items()},
        lambda ticket, after: min([records[ticket].priority, *after], key=lambda p: p.rank),
    )


def chains(records: Mapping[str, TicketRecord], estimates: Estimates) -> dict[str, float]:
    """Seconds of the longest chain of dependents behind each ticket, itself not counted."""
    dependents = dependents_of({r.id: r.ticket.depends_on for r in records.values()})
    following = {t: [d for d in after if d in records] for t, after in dependents.items()}
    through = fold(
        records,
        following,
        lambda ticket, after: estimates.of(records[ticket].ticket).likely + max(after, default=0.0),
    )
    return {ticket: through[ticket] - estimates.of(records[ticket].ticket).likely for ticket in records}


def in_order(
    queued: Iterable[TicketRecord], unfinished: Mapping[str, TicketRecord], estimates: Estimates
) -> list[TicketRecord]:
    """`queued` by rank. `unfinished` are all tickets whose urgency counts: those not yet landed or ended."""
    urgency = inherited_priorities(unfinished)
    chain = chains(unfinished, estimates)

    def rank(record: TicketRecord) -> tuple[bool, int, float, int, str]:
        return (
            record.ticket.scope != GLOBAL_SCOPE,
            urgency[record.id].rank,
            -chain[record.id],
            record.age,
            record.id,
        )

    return sorted(queued, key=rank)
