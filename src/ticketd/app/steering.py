"""What a person asks of tickets and of the pool: written to the store, told in a line each. A daemon that runs sees to
the rest once it hears the bell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from ticketd.app.observe import snapshot_of
from ticketd.app.session import Session
from ticketd.domain.pool import PAUSED_BY_A_PERSON
from ticketd.domain.problems import nearest
from ticketd.domain.scheduler.queue import decide
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import FINAL, TicketRecord, TicketState
from ticketd.domain.values import Fault, priority
from ticketd.errors import BadInput
from ticketd.ports import Store

RETRIED = frozenset({TicketState.FAILED, TicketState.SKIPPED, TicketState.CANCELLED})
CANCELLED = frozenset(TicketState) - {TicketState.LANDED, TicketState.CANCELLED}
UNFINISHED = frozenset(TicketState) - FINAL


def record_of(store: Store, id_: str) -> TicketRecord:
    """Only to name the nearest are all of them read.

    Raises:
        BadInput: there is no such ticket.
    """
    return store.ticket(id_) or known(store.board().tickets, id_)


def known(tickets: Mapping[str, TicketRecord], id_: str) -> TicketRecord:
    """Raises:
    BadInput: there is no such ticket; the nearest id is named.
    """
    if id_ in tickets:
        return tickets[id_]
    near = nearest(id_[:100], tickets)
    raise BadInput(f"there is no ticket {id_}", mend=f"Did you mean `{near}`?" if near else "`ticketd list` shows all.")


def _wanted(session: Session, ids: Sequence[str], fit: Collection[TicketState], mend: str) -> list[TicketRecord]:
    """The tickets of these ids, each in one of the states that fit; all of them, or none is touched.

    Raises:
        BadInput: one is unknown or in another state.
    """
    records = [record_of(session.store, id_) for id_ in dict.fromkeys(ids)]
    for record in records:
        if record.state not in fit:
            others = " Nothing was changed." if len(records) > 1 else ""
            raise BadInput(f"{record.id} is {record.state}", mend=f"{mend}{others}")
    return records


def rank_of(session: Session, settings: Settings, id_: str) -> str:
    """Where a queued ticket stands now, for the end of a sentence."""
    order = decide(snapshot_of(session.store.board(), settings), session.clock.now()).order
    return f" (rank {order.index(id_) + 1})" if id_ in order else ""


def retry(session: Session, settings: Settings, ids: Sequence[str]) -> Iterator[str]:
    records = _wanted(session, ids, RETRIED, "Failed, skipped and cancelled tickets can be retried.")
    files = session.files.stamps()
    for record in records:
        if record.ticket.path not in files:
            raise BadInput(
                f"the file of {record.id} is gone", mend=f"Put {record.ticket.path} back; that queues it again."
            )
    for record in records:
        state = session.store.retry(record.id, session.clock.now())
        if state is TicketState.LANDING:
            yield f"{record.id} goes back to landing with the work it had"
        else:
            yield f"{record.id} is queued again{rank_of(session, settings, record.id)}"
    session.ring()


def cancel(session: Session, ids: Sequence[str]) -> Iterator[str]:
    records = _wanted(session, ids, CANCELLED, "There is nothing to cancel.")
    running = session.is_running()
    for record in records:
        yield _cancelled(record.id, session.store.cancel(record.id, session.clock.now()), running)
    session.ring()


def _cancelled(id_: str, state: TicketState, daemon_runs: bool) -> str:
    match state, daemon_runs:
        case TicketState.RUNNING, True:
            return f"{id_}: its agent is being ended; its work is kept"
        case TicketState.RUNNING, False:
            return f"{id_} will be cancelled when a daemon next runs (`ticketd start`); its work is kept"
        case TicketState.LANDING, True:
            return f"{id_} is landing: it is cancelled unless its push has begun; its work is kept"
        case TicketState.LANDING, False:
            return f"{id_} will be cancelled when a daemon next runs, unless it has landed; its work is kept"
        case _:
            return f"{id_} is {state}"


def hold(session: Session, ids: Sequence[str]) -> Iterator[str]:
    for record in _wanted(session, ids, UNFINISHED, "Only tickets that have not ended can be held."):
        session.store.hold(record.id, True, session.clock.now())
        after = "" if record.state is TicketState.QUEUED else f"; it is {record.state} and goes on, but not once more"
        yield f"{record.id} is held{after}"
    session.ring()


def unhold(session: Session, settings: Settings, ids: Sequence[str]) -> Iterator[str]:
    for record in _wanted(session, ids, frozenset(TicketState), ""):
        if record.held:
            session.store.hold(record.id, False, session.clock.now())
        yield f"{record.id} is not held{rank_of(session, settings, record.id)}"
    session.ring()


def bump(session: Session, settings: Settings, id_: str, to: str) -> str:
    try:
        wanted = priority(to)
    except Fault as fault:
        raise BadInput(f"PRIORITY: {fault.what}", mend=fault.mend) from None
    (record,) = _wanted(session, [id_], UNFINISHED, "`ticketd retry` queues a ticket that has failed.")
    session.store.bump(record.id, wanted, session.clock.now())
    session.ring()
    return f"{record.id} has priority {wanted}{rank_of(session, settings, record.id)}"


def pause(session: Session) -> Iterator[str]:
    why = session.store.pool().paused
    if why and why != PAUSED_BY_A_PERSON:
        yield f"the pool was paused before: {why}"
    session.store.pause(PAUSED_BY_A_PERSON, session.clock.now())
    session.ring()
    yield "paused: running agents finish and land, no other starts until `ticketd resume`"


def resume(session: Session) -> str:
    board = session.store.board()
    if not (board.pool.paused or board.pool.alarm or board.throttles):
        return "the pool is not paused"
    session.store.resume(session.clock.now())
    session.ring()
    return "resumed: tickets start and land again" + ("" if session.is_running() else " once `ticketd start` runs")


def set_slots(session: Session, count: int | None) -> None:
    session.store.set_slots(count, session.clock.now())
    session.ring()
