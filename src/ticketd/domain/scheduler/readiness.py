"""Whether a queued ticket could start, files, slots and capacity aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ticketd.domain.budget import ticket_used_up
from ticketd.domain.scheduler.waits import WaitKind, WaitsOn
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import OnFailure, TicketRecord, TicketState
from ticketd.domain.verdict import is_due, wants_word_to_run


@dataclass(frozen=True, slots=True)
class Ready:
    """Only files, slots and capacity can hold it back."""


@dataclass(frozen=True, slots=True)
class NotReady:
    waits_on: tuple[WaitsOn, ...]


@dataclass(frozen=True, slots=True)
class WantsAWord:
    """Its gate wants a person's word before it runs."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """`because` did not land, and its `on_failure` lets dependents go with it."""

    because: str


Readiness = Ready | NotReady | WantsAWord | Doomed


def readiness(record: TicketRecord, tickets: Mapping[str, TicketRecord], settings: Settings, now: float) -> Readiness:
    """`record` is queued; `tickets` are all there are; `now` in epoch seconds."""
    doomed_by = _doomed_by(record, tickets)
    if doomed_by is not None:
        return Doomed(doomed_by)
    waits_on = (*_held_back(record, settings, now), *_dependencies(record, tickets))
    if waits_on:
        return NotReady(waits_on)
    if wants_word_to_run(record, settings):
        return WantsAWord()
    return Ready()


def _doomed_by(record: TicketRecord, tickets: Mapping[str, TicketRecord]) -> str | None:
    for dependency in record.ticket.depends_on:
        before = tickets.get(dependency)
        if before is None:
            continue
        failed = before.state is TicketState.FAILED and before.ticket.on_failure is OnFailure.SKIP
        if failed or before.state is TicketState.SKIPPED:
            return dependency
    return None


def _held_back(record: TicketRecord, settings: Settings, now: float) -> tuple[WaitsOn, ...]:
    waits = []
    if record.held:
        waits.append(WaitsOn(WaitKind.HELD, detail=f"held by a person; `ticketd unhold {record.id}` lets it go"))
    if not settings.route_of(record.ticket):
        name = record.ticket.agent or "default"
        waits.append(WaitsOn(WaitKind.HELD, detail=f"no agent profile `{name}` in ticketd.toml"))
    if used_up := ticket_used_up(record.ticket, record.spent_usd, settings):
        waits.append(WaitsOn(WaitKind.BUDGET, detail=used_up))
    if not is_due(record.not_before, now):
        waits.append(WaitsOn(WaitKind.BACKOFF, detail=record.detail, until=record.not_before))
    return tuple(waits)


def _dependencies(record: TicketRecord, tickets: Mapping[str, TicketRecord]) -> tuple[WaitsOn, ...]:
    return tuple(
        WaitsOn(WaitKind.DEPENDENCY, ticket=dependency, detail=_how_it_stands(tickets.get(dependency)))
        for dependency in record.ticket.depends_on
        if dependency not in tickets or tickets[dependency].state is not TicketState.LANDED
    )


def _how_it_stands(dependency: TicketRecord | None) -> str:
    if dependency is None:
        return "there is no such ticket"
    return f"{dependency.state} ({dependency.reason})" if dependency.reason else str(dependency.state)
