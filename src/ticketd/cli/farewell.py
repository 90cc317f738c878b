"""What `ticketd start` says at its end: what landed, what did not and why; and its exit code."""

from __future__ import annotations

import click

from ticketd.app.outlook import main_roots
from ticketd.app.session import Session
from ticketd.app.tickets import problems, settings_of
from ticketd.cli.render.words import safe
from ticketd.daemon.loop import Ending
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.scheduler.roots import Root
from ticketd.domain.ticket import TicketRecord, TicketState

INTERRUPTED = 130


def farewell(session: Session, ending: Ending, until_idle: bool, interrupted: bool) -> int:
    """The contract's exit code: 1 if the run was to the end and anything has not landed, or if it was aborted."""
    tickets = session.store.board().tickets.values()
    wanted = [record for record in tickets if record.state is not TicketState.CANCELLED]
    missing = [record for record in wanted if record.state is not TicketState.LANDED]
    faults = _errors(session)
    if ending is Ending.ABORTED:
        click.echo(f"the run was stopped: {safe(session.store.pool().aborted)}")
    if until_idle or ending is Ending.ABORTED:
        click.echo(f"{len(wanted) - len(missing)} of {len(wanted)} tickets landed")
        _tell(session, missing, faults)
    if interrupted:
        return INTERRUPTED
    bad = ending is Ending.ABORTED or (until_idle and bool(missing or faults))
    return 1 if bad else 0


def _errors(session: Session) -> list[Problem]:
    """A ticket file that cannot be read is a ticket that has not landed."""
    settings, of_settings = settings_of(session)
    found = problems(session, settings, of_settings)
    return [problem for problem in found if problem.severity is Severity.ERROR]


def _tell(session: Session, missing: list[TicketRecord], faults: list[Problem]) -> None:
    """Each ticket that has not landed with what its waiting comes down to, those of one cause together; then the
    mend."""
    roots = main_roots(session, settings_of(session)[0])
    together: dict[Root, list[TicketRecord]] = {}
    for record in missing:
        together.setdefault(roots[record.id], []).append(record)
    for root, records in together.items():
        for record in records:
            click.echo(safe(f"  {record.id}: {_stands(record, root)}"))
        if root.mend:
            click.echo(safe(f"    {root.mend}"))
    for hint in dict.fromkeys(root.hint for root in together if root.until):
        click.echo(safe(f"    the next `ticketd start` takes up what waits{hint and ', '}{hint}"))
    for problem in faults:
        click.echo(safe(f"  {problem}"))


def _stands(record: TicketRecord, root: Root) -> str:
    why = f" ({record.reason})" if record.reason else ""
    by_root = root.ticket != record.id or record.state in (TicketState.QUEUED, TicketState.LANDING)
    told = root.what if by_root else record.detail
    return f"{record.state}{why}: {told}" if told else f"{record.state}{why}"
