"""Commands that steer the pool. They write to the store and ring; a daemon that runs sees to the rest."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

import click

from ticketd.app.observe import snapshot_of
from ticketd.cli.repository import View, view
from ticketd.domain.pool import PAUSED_BY_A_PERSON
from ticketd.domain.problems import nearest
from ticketd.domain.scheduler.queue import decide
from ticketd.domain.scheduler.schedule import IN_A_SLOT
from ticketd.domain.settingsfile import MAX_SLOTS
from ticketd.domain.ticket import FINAL, TicketRecord, TicketState
from ticketd.domain.values import Fault, priority
from ticketd.errors import BadInput

RETRIED = frozenset({TicketState.FAILED, TicketState.SKIPPED, TicketState.CANCELLED})
CANCELLED = frozenset(TicketState) - {TicketState.LANDED, TicketState.CANCELLED}
UNFINISHED = frozenset(TicketState) - FINAL


def known(tickets: Mapping[str, TicketRecord], id_: str) -> TicketRecord:
    """Raises:
    BadInput: there is no such ticket; the nearest id is named.
    """
    if id_ in tickets:
        return tickets[id_]
    near = nearest(id_[:100], tickets)
    raise BadInput(f"there is no ticket {id_}", mend=f"Did you mean `{near}`?" if near else "`ticketd list` shows all.")


def _wanted(here: View, ids: Sequence[str], fit: Collection[TicketState], mend: str) -> list[TicketRecord]:
    """The tickets of these ids, each in one of the states that fit; all of them, or none is touched.

    Raises:
        BadInput: one is unknown or in another state.
    """
    tickets = here.session.store.board().tickets
    records = [known(tickets, id_) for id_ in dict.fromkeys(ids)]
    for record in records:
        if record.state not in fit:
            others = " Nothing was changed." if len(records) > 1 else ""
            raise BadInput(f"{record.id} is {record.state}", mend=f"{mend}{others}")
    return records


def rank_of(here: View, id_: str) -> str:
    """Where a queued ticket stands now, for the end of a sentence."""
    order = decide(snapshot_of(here.session.store.board(), here.settings), here.now()).order
    return f" (rank {order.index(id_) + 1})" if id_ in order else ""


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def retry(ctx: click.Context, ids: tuple[str, ...]) -> None:
    """Run failed, skipped or cancelled tickets again; where only the push was refused, push again."""
    here = view(ctx)
    records = _wanted(here, ids, RETRIED, "Failed, skipped and cancelled tickets can be retried.")
    files = here.session.files.stamps()
    for record in records:
        if record.ticket.path not in files:
            raise BadInput(
                f"the file of {record.id} is gone", mend=f"Put {record.ticket.path} back; that queues it again."
            )
    for record in records:
        state = here.session.store.retry(record.id, here.now())
        if state is TicketState.LANDING:
            click.echo(f"{record.id} goes back to landing with the work it had")
        else:
            click.echo(f"{record.id} is queued again{rank_of(here, record.id)}")
    here.session.ring()


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def cancel(ctx: click.Context, ids: tuple[str, ...]) -> None:
    """Take tickets out of the run; a running agent is ended, its work is kept."""
    here = view(ctx)
    records = _wanted(here, ids, CANCELLED, "There is nothing to cancel.")
    running = here.session.is_running()
    for record in records:
        state = here.session.store.cancel(record.id, here.now())
        click.echo(_cancelled(record.id, state, running))
    here.session.ring()


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


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def hold(ctx: click.Context, ids: tuple[str, ...]) -> None:
    """Keep tickets from starting until `unhold`."""
    here = view(ctx)
    for record in _wanted(here, ids, UNFINISHED, "Only tickets that have not ended can be held."):
        here.session.store.hold(record.id, True, here.now())
        after = "" if record.state is TicketState.QUEUED else f"; it is {record.state} and goes on, but not once more"
        click.echo(f"{record.id} is held{after}")
    here.session.ring()


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def unhold(ctx: click.Context, ids: tuple[str, ...]) -> None:
    """Let held tickets start again."""
    here = view(ctx)
    for record in _wanted(here, ids, frozenset(TicketState), ""):
        if record.held:
            here.session.store.hold(record.id, False, here.now())
        click.echo(f"{record.id} is not held{rank_of(here, record.id)}")
    here.session.ring()


@click.command()
@click.argument("id_", metavar="ID")
@click.argument("to", metavar="PRIORITY")
@click.pass_context
def bump(ctx: click.Context, id_: str, to: str) -> None:
    """Give a ticket another priority: critical, high, normal, low, or P0 to P3. Its file stays as it is."""
    try:
        wanted = priority(to)
    except Fault as fault:
        raise BadInput(f"PRIORITY: {fault.what}", mend=fault.mend) from None
    here = view(ctx)
    (record,) = _wanted(here, [id_], UNFINISHED, "`ticketd retry` queues a ticket that has failed.")
    here.session.store.bump(record.id, wanted, here.now())
    here.session.ring()
    click.echo(f"{record.id} has priority {wanted}{rank_of(here, record.id)}")


@click.command()
@click.pass_context
def pause(ctx: click.Context) -> None:
    """Start no further agents; those that run go on, and land."""
    here = view(ctx)
    why = here.session.store.pool().paused
    if why and why != PAUSED_BY_A_PERSON:
        click.echo(f"the pool was paused before: {why}")
    here.session.store.pause(PAUSED_BY_A_PERSON, here.now())
    here.session.ring()
    click.echo("paused: running agents finish and land, no other starts until `ticketd resume`")


@click.command()
@click.pass_context
def resume(ctx: click.Context) -> None:
    """Start agents again after `pause`, after a failure that asked for a person, or before a rate limit is over; and
    land again after an alarm."""
    here = view(ctx)
    board = here.session.store.board()
    if not (board.pool.paused or board.pool.alarm or board.throttles):
        click.echo("the pool is not paused")
        return
    here.session.store.resume(here.now())
    here.session.ring()
    click.echo(
        "resumed: tickets start and land again" + ("" if here.session.is_running() else " once `ticketd start` runs")
    )


@click.command()
@click.argument("count", metavar="[N]", required=False, type=click.IntRange(1, MAX_SLOTS))
@click.option("--default", "as_configured", is_flag=True, help="As many as ticketd.toml says.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def slots(ctx: click.Context, count: int | None, as_configured: bool, as_json: bool) -> None:
    """Show how many agents may run at once, or set it."""
    if count is not None and as_configured:
        raise BadInput("N and --default were both given", mend="Leave one of them out.")
    here = view(ctx)
    if count is not None or as_configured:
        here.session.store.set_slots(count, here.now())
        here.session.ring()
    board = here.session.store.board()
    busy = sum(attempt.state in IN_A_SLOT for attempt in board.attempts)
    now = board.pool.slots or here.settings.slots
    if as_json:
        document = {"schema": 1, "slots": now, "set": board.pool.slots, "configured": here.settings.slots, "busy": busy}
        click.echo(json.dumps(document))
        return
    surplus = f"; the {busy} agents that run finish first" if busy > now else ""
    source = "ticketd.toml or its default" if board.pool.slots is None else "set by `ticketd slots` or `start --slots`"
    click.echo(f"{now} slots, {busy} busy ({source}){surplus}")
