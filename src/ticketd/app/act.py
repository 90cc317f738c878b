"""Decisions become state changes. Each is checked again as it is made: the world may have moved on."""

from __future__ import annotations

from ticketd.app.observe import snapshot_of
from ticketd.app.session import Session, Works
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.queue import Queue
from ticketd.domain.schedule import AskToStart, Decision, PreemptAttempt, Skip, Start
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord


def act_without_daemon(session: Session, settings: Settings) -> None:
    """What takes no agent, so that a person can approve and see what is skipped though no daemon runs."""
    now = session.clock.now()
    for decision in Queue(snapshot_of(session.store.board(), settings), now).decide(now):
        if isinstance(decision, AskToStart | Skip):
            note(session, decision)


def note(session: Session, decision: AskToStart | Skip) -> None:
    match decision:
        case AskToStart(ticket):
            session.store.ask_to_start(ticket, session.clock.now())
        case Skip(ticket, because):
            session.store.skip(ticket, because, session.clock.now())


def act(
    works: Works, decision: Decision, record: TicketRecord, base: str, settings: Settings, batch: int
) -> AttemptKey | None:
    """Make one decision true. The attempt to launch, if there is one. `batch`: the same for all of one tick."""
    store, now = works.session.store, works.session.clock.now()
    match decision:
        case Start():
            answer = store.dispatch(decision, record, base, settings.claims.shared, now, batch)
            return answer if isinstance(answer, AttemptKey) else None
        case AskToStart() | Skip():
            note(works.session, decision)
            return None
        case PreemptAttempt():
            return None
