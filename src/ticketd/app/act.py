"""Decisions become state changes. Each is checked again as it is made: the world may have moved on."""

from __future__ import annotations

from ticketd.app.observe import snapshot_of
from ticketd.app.session import Session, Works
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.scheduler.queue import Queue
from ticketd.domain.scheduler.readiness import Doomed, WantsAWord, readiness
from ticketd.domain.scheduler.schedule import AskToStart, Decision, PreemptAttempt, Skip, Snapshot, Start
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord, TicketState


def act_without_daemon(session: Session, settings: Settings) -> None:
    """What takes no agent, so that a person can approve and see what is skipped though no daemon runs."""
    snapshot, now = snapshot_of(session.store.board(), settings), session.clock.now()
    if not any(_is_settled(record, snapshot, now) for record in snapshot.tickets.values()):
        return  # as nearly always; who starts next need not be known
    for decision in Queue(snapshot, now).decide(now):
        if isinstance(decision, AskToStart | Skip):
            note(session, decision)


def _is_settled(record: TicketRecord, snapshot: Snapshot, now: float) -> bool:
    """Whether it is skipped, or a person to be asked, without anything else in its way."""
    is_queued = record.state is TicketState.QUEUED
    return is_queued and isinstance(readiness(record, snapshot.tickets, snapshot.settings, now), Doomed | WantsAWord)


def note(session: Session, decision: AskToStart | Skip) -> None:
    match decision:
        case AskToStart(ticket):
            session.store.ask_to_start(ticket, session.clock.now())
        case Skip(ticket, because):
            session.store.skip(ticket, because, session.clock.now())


def act(works: Works, decision: Decision, snapshot: Snapshot, base: str, batch: int) -> AttemptKey | None:
    """Make one decision true. The attempt to launch, if there is one. `batch`: the same for all of one tick."""
    store, now = works.session.store, works.session.clock.now()
    match decision:
        case Start(ticket):
            shared = snapshot.settings.claims.shared
            answer = store.dispatch(decision, snapshot.tickets[ticket], base, shared, now, batch)
            return answer if isinstance(answer, AttemptKey) else None
        case AskToStart() | Skip():
            note(works.session, decision)
            return None
        case PreemptAttempt(key, for_ticket):
            store.preempt(key, for_ticket, now)
            works.bell.ring()
            return None
