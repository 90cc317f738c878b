"""Which tickets of a queue can never run at once, and on which path."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

from ticketd.domain.claims import ClaimTable
from ticketd.domain.globs import NOTHING, PatternSet, overlap
from ticketd.domain.reach import Reaches
from ticketd.domain.ticket import TicketRecord

Pair = tuple[str, str]


def overlaps(records: Mapping[str, TicketRecord], shared: PatternSet = NOTHING) -> dict[Pair, str]:
    """Each pair of ids, in order, and a path outside `shared` that both can touch."""
    alike: dict[PatternSet, list[str]] = {}
    for ticket in sorted(records):
        alike.setdefault(records[ticket].ticket.touches, []).append(ticket)
    found: dict[Pair, str] = {}
    # Tickets often declare the same patterns: each set is asked for once, and only of those that lie where it does.
    table = ClaimTable(Reaches(shared))
    for patterns, tickets in alike.items():
        if len(tickets) > 1 and (witness := overlap(patterns, patterns, shared)) is not None:
            found.update(dict.fromkeys(combinations(tickets, 2), witness))
        for blocker in table.blockers(patterns):
            others = alike[records[blocker.ticket].ticket.touches]
            found.update({(min(pair), max(pair)): blocker.path for pair in product(others, tickets)})
        table.put(tickets[0], patterns)
    return dict(sorted(found.items()))
