"""The order of the queue: `_global` first, then priority, then the longer chain of dependents, then age."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ticketd.domain.estimates import Estimates
from ticketd.domain.graph import dependents_of
from ticketd.domain.ticket import GLOBAL_SCOPE, Priority, TicketRecord

Rank = tuple[bool, int, int, int, str]
"""Sorts the queue, the first to run first; ends in the ticket's id, so no two are equal."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What waits for a ticket. `urgency`: the highest priority of it and of all its dependents, 0 the most urgent;
    `chain_s`: seconds of the longest chain of dependents behind it, and `through_s`: its own on top."""

    urgency: int
    chain_s: int
    through_s: int


def weigh(record: TicketRecord, dependents: Iterable[Weight], estimates: Estimates) -> Weight:
    """A ticket is as urgent as the most urgent ticket that waits for it."""
    after = list(dependents)
    chain = max((weight.through_s for weight in after), default=0)
    urgency = min([record.priority.rank, *(weight.urgency for weight in after)])
    return Weight(urgency, chain, chain + expected_s(record, estimates))


def weights(unfinished: Mapping[str, TicketRecord], estimates: Estimates) -> tuple[dict[str, Weight], set[str]]:
    """Of all tickets that have not ended; and those that a cycle waits for, in it or before it. Cycles never run, so
    what waits in one adds nothing to what is before it."""
    dependents = dependents_of({id_: record.ticket.depends_on for id_, record in unfinished.items()})
    missing = {id_: len(set(after)) for id_, after in dependents.items() if id_ in unfinished}
    found: dict[str, Weight] = {}
    ready = [id_ for id_ in unfinished if id_ not in missing]
    for id_ in ready:
        found[id_] = weigh(unfinished[id_], [found[d] for d in dependents.get(id_, ())], estimates)
        for dependency in set(unfinished[id_].ticket.depends_on) & missing.keys():
            missing[dependency] -= 1
            if missing[dependency] == 0:
                ready.append(dependency)
    circular = unfinished.keys() - found.keys()
    for id_ in circular:
        after = [found[d] for d in dependents[id_] if d not in circular]
        found[id_] = weigh(unfinished[id_], after, estimates)
    return found, circular


def expected_s(record: TicketRecord, estimates: Estimates) -> int:
    """From dispatch to landing; whole seconds, so that sums come out the same in whatever order they are added."""
    return max(1, round(estimates.of(record.ticket).likely + estimates.landing_s))


def boost(record: TicketRecord, aging_s: float | None, now: float) -> int:
    """How many priorities a ticket has risen by waiting."""
    return 0 if aging_s is None else max(0, int((now - record.seen_at) // aging_s))


def rank(record: TicketRecord, weight: Weight, aging_s: float | None, now: float) -> Rank:
    """Waiting lifts a ticket within its scope, and to `high` at most: `critical` is a person's word."""
    risen = max(Priority.HIGH.rank, weight.urgency - boost(record, aging_s, now))
    urgency = min(weight.urgency, risen)
    return (record.ticket.scope != GLOBAL_SCOPE, urgency, -weight.chain_s, record.age, record.id)


def ranks(
    unfinished: Mapping[str, TicketRecord], estimates: Estimates, aging_s: float | None, now: float
) -> dict[str, Rank]:
    """Of all tickets that have not ended. `now` in epoch seconds."""
    weight, _ = weights(unfinished, estimates)
    return {id_: rank(record, weight[id_], aging_s, now) for id_, record in unfinished.items()}


def next_boost_at(record: TicketRecord, weight: Weight, aging_s: float | None, now: float) -> float | None:
    """When waiting will lift it next (epoch seconds)."""
    risen = boost(record, aging_s, now)
    if aging_s is None or weight.urgency - risen <= Priority.HIGH.rank:
        return None
    return record.seen_at + (risen + 1) * aging_s


def in_order(queued: Iterable[TicketRecord], ranks: Mapping[str, Rank]) -> list[TicketRecord]:
    return sorted(queued, key=lambda record: ranks[record.id])
