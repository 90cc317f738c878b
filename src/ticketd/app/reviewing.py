"""A person's word on what waits for one: it is about exactly what was shown."""

from __future__ import annotations

from ticketd.app.session import Session
from ticketd.app.steering import rank_of, record_of
from ticketd.domain.attempt import Attempt, AttemptKey
from ticketd.domain.review import Stale, digest_of
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import Gate, TicketRecord, TicketState
from ticketd.errors import BadInput, TicketdError


def in_review(session: Session, id_: str) -> TicketRecord:
    """With its body: what a person approves is all of a ticket.

    Raises:
        BadInput: it does not wait for a person.
    """
    record = record_of(session.store, id_)
    if record.state is not TicketState.REVIEW:
        raise BadInput(f"{id_} is {record.state}, not in review", mend="`ticketd review` lists those that are.")
    return record


def attempt_of(session: Session, record: TicketRecord) -> Attempt | None:
    if record.gate_at is not Gate.LAND:
        return None
    return session.store.attempt(AttemptKey(record.id, record.attempts))


def commit_of(session: Session, record: TicketRecord) -> str:
    """What a word of approval would be about."""
    attempt = attempt_of(session, record)
    return attempt.tip or "" if attempt else digest_of(record.ticket)


def approve(session: Session, settings: Settings, id_: str, commit: str | None) -> str:
    in_review(session, id_)
    state = session.store.approve(id_, session.clock.now(), commit)
    if isinstance(state, Stale):
        raise void(id_, state)
    session.ring()
    if state is TicketState.LANDING:
        return f"{id_} is approved and lands"
    return f"{id_} is approved and queued{rank_of(session, settings, id_)}"


def void(id_: str, stale: Stale) -> TicketdError:
    """What to say of a word that does not count."""
    look = f"`ticketd review show {id_}` shows it; nothing was approved."
    if stale.named:
        return TicketdError(f"{id_}: what waits is {stale.there[:12]}, not {stale.seen}", mend=look)
    was, now = stale.seen[:12], stale.there[:12]
    return TicketdError(f"{id_} has changed since it was shown: was {was}, now {now}", mend=look)


def reject(session: Session, id_: str, reason: str) -> str:
    in_review(session, id_)
    why = reason.strip()
    if not why:
        raise BadInput("--reason is empty", mend="Say what is wrong: the next attempt is told.")
    session.store.reject(id_, why, session.clock.now())
    session.ring()
    return f"{id_} is failed (rejected): {why}; `ticketd retry {id_}` runs it again"
