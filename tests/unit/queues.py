"""Short ways to say what a queue looks like."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.claims import Claim
from ticketd.domain.globs import PatternSet
from ticketd.domain.scheduler.schedule import Schedule, Snapshot, Start
from ticketd.domain.scheduler.waits import WaitsOn
from ticketd.domain.settings import AgentProfile, Settings
from ticketd.domain.ticket import Priority, Size, Ticket, TicketRecord, TicketState

SETTINGS = Settings(agents={"default": AgentProfile("default", "scripted")})


def ticket(
    id_: str,
    age: int = 0,
    *,
    touches: Iterable[str] | None = None,
    after: tuple[str, ...] = (),
    priority: Priority = Priority.NORMAL,
    scope: str = "acme",
    size: Size = Size.M,
    state: TicketState = TicketState.QUEUED,
    **said: object,
) -> TicketRecord:
    patterns = PatternSet(tuple(touches) if touches is not None else (f"/{id_}",))
    made = Ticket(
        id=id_,
        path=f"tickets/{id_}.md",
        title=id_,
        scope=scope,
        priority=priority,
        size=size,
        touches=patterns,
        depends_on=after,
    )
    own = {name: value for name, value in said.items() if name in Ticket.__slots__}
    rest = {name: value for name, value in said.items() if name not in own}
    return TicketRecord(replace(made, **own), age, state, **rest)  # type: ignore[arg-type]


def snapshot(*records: TicketRecord, slots: int = 8, settings: Settings = SETTINGS, **said: object) -> Snapshot:
    """Running tickets take slots in the order given, and hold what they touch; so do landing ones, without a slot."""
    running = [record for record in records if record.state is TicketState.RUNNING]
    holding = [r for r in records if r.state in (TicketState.RUNNING, TicketState.LANDING, TicketState.REVIEW)]
    return Snapshot(
        tickets={record.id: record for record in records},
        claims=tuple(Claim(record.id, 1, record.ticket.touches) for record in holding),
        attempts=tuple(
            Attempt(AttemptKey(record.id, 1), AttemptState.RUNNING, slot, "0" * 40, "default")
            for slot, record in enumerate(running, start=1)
        ),
        slots=slots,
        settings=settings,
        **said,  # type: ignore[arg-type]
    )


def started(schedule: Schedule) -> list[str]:
    return [decision.ticket for decision in schedule.decisions if isinstance(decision, Start)]


def waits(schedule: Schedule, ticket_id: str) -> tuple[WaitsOn, ...]:
    return next(waiting.waits_on for waiting in schedule.waiting if waiting.ticket == ticket_id)
