"""Decisions become state changes. Each is checked again as it is made: the world may have moved on."""

from __future__ import annotations

from ticketd.app.session import Works
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.schedule import AskToStart, Decision, Skip, Start
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord


def act(works: Works, decision: Decision, record: TicketRecord, base: str, settings: Settings) -> AttemptKey | None:
    """Make one decision true. The attempt to launch, if there is one."""
    store, now = works.session.store, works.session.clock.now()
    match decision:
        case Start():
            profile = settings.profile_of(record.ticket)
            assert profile is not None, record.id
            answer = store.dispatch(decision, record, base, profile.name, settings.claims.shared, now)
            return answer if isinstance(answer, AttemptKey) else None
        case AskToStart(ticket):
            store.ask_to_start(ticket, now)
        case Skip(ticket, because):
            store.skip(ticket, because, now)
    return None
