"""`ticketd land`: a person wants a ticket's work to land before all others."""

from __future__ import annotations

import click

from ticketd.app.reviewing import void
from ticketd.cli.render.words import safe
from ticketd.cli.repository import View, view
from ticketd.cli.review import check_commit
from ticketd.cli.show import known
from ticketd.domain.review import Stale
from ticketd.domain.ticket import TicketState
from ticketd.errors import TicketdError
from ticketd.ports import InTheWay


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--commit", metavar="SHA", help="In review: only if this is what waits (the first 7 characters or more).")
@click.pass_context
def land(ctx: click.Context, id_: str, commit: str | None) -> None:
    """Skip the queue: to the front of the lane, out of review (that is the approval), or with work that was kept of a
    ticket that failed or was cancelled (which is no approval: what needs one goes back to review). It is rebased and
    verified like any other."""
    here = view(ctx)
    known(here, id_)
    check_commit(id_, commit)
    match here.session.store.land_ahead(id_, here.now(), commit):
        case Stale() as stale:
            raise void(id_, stale)
        case InTheWay(ticket, path):
            mend = f"Try again when {ticket} is done, or `ticketd cancel {ticket}`."
            raise TicketdError(safe(f"{ticket} holds {path}, which {id_} needs to land"), mend=mend)
        case state:
            here.session.ring()
            click.echo(f"{id_} {_told(state)}{_when(here)}")


def _told(before: TicketState) -> str:
    if before is TicketState.LANDING:
        return "lands next"
    if before is TicketState.REVIEW:
        return "is approved and lands next"
    return "lands next, with the work that was kept (after `ticketd review`, if it needs a person's word)"


def _when(here: View) -> str:
    return "" if here.session.is_running() else " once `ticketd start` runs"
