"""`ticketd review`: what waits for a person, and the person's answer."""

from __future__ import annotations

import json

import click

from ticketd.cli.checkout import control_of
from ticketd.cli.repository import View, view
from ticketd.cli.steer import known, rank_of
from ticketd.domain.attempt import Attempt, AttemptKey
from ticketd.domain.ticket import Gate, TicketRecord, TicketState
from ticketd.errors import BadInput
from ticketd.git.handover import changes, summary
from ticketd.ports import Board


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def review(ctx: click.Context, as_json: bool) -> None:
    """What waits for a person: before it runs (gate start) or before it lands (gate land)."""
    if ctx.invoked_subcommand is None:
        _list(ctx, as_json)
    elif as_json:
        raise click.UsageError("--json belongs after the subcommand", ctx)


@review.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """All tickets that wait for a person."""
    _list(ctx, as_json)


def _list(ctx: click.Context, as_json: bool) -> None:
    here = view(ctx)
    board = here.session.store.board()
    waiting = [record for record in board.tickets.values() if record.state is TicketState.REVIEW]
    if as_json:
        click.echo(json.dumps({"schema": 1, "review": [_line(here, board, record) for record in waiting]}))
        return
    for record in waiting:
        click.echo(f"{record.id}  gate {_gate(board, record)}  {record.ticket.title}")
    if not waiting:
        click.echo("nothing waits for review")


def _gate(board: Board, record: TicketRecord) -> Gate:
    """Who waits to land holds the files it wrote; who waits to start holds none."""
    return Gate.LAND if any(claim.ticket == record.id for claim in board.claims) else Gate.START


def _attempt(here: View, board: Board, record: TicketRecord) -> Attempt | None:
    if _gate(board, record) is Gate.START:
        return None
    return here.session.store.attempt(AttemptKey(record.id, record.attempts))


def _line(here: View, board: Board, record: TicketRecord) -> dict[str, object]:
    attempt = _attempt(here, board, record)
    return {
        "ticket": record.id,
        "gate": _gate(board, record),
        "title": record.ticket.title,
        "attempt": attempt and attempt.key.number,
        "base": attempt and attempt.base,
        "commit": attempt and attempt.tip,
    }


@review.command()
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def show(ctx: click.Context, id_: str, as_json: bool) -> None:
    """What there is to approve: the brief before it runs, the changes before it lands."""
    here = view(ctx)
    board = here.session.store.board()
    record = _in_review(board, id_)
    attempt = _attempt(here, board, record)
    if as_json:
        click.echo(json.dumps({"schema": 1, **_line(here, board, record), **_more(here, record, attempt)}))
    else:
        click.echo("\n".join(_text(here, board, record, attempt)))


def _in_review(board: Board, id_: str) -> TicketRecord:
    record = known(board.tickets, id_)
    if record.state is not TicketState.REVIEW:
        raise BadInput(f"{id_} is {record.state}, not in review", mend="`ticketd review` lists those that are.")
    return record


def _more(here: View, record: TicketRecord, attempt: Attempt | None) -> dict[str, object]:
    files = changes(control_of(here), attempt.base, attempt.tip) if attempt and attempt.tip else ()
    return {
        "detail": record.detail,
        "body": _body(here, record),
        "files": [{"path": each.path, "added": each.added, "removed": each.removed} for each in files],
    }


def _body(here: View, record: TicketRecord) -> str:
    whole = here.session.store.ticket(record.id)
    return whole.ticket.body if whole else ""


def _text(here: View, board: Board, record: TicketRecord, attempt: Attempt | None) -> list[str]:
    head = [f"{record.id}: {record.ticket.title}", f"gate {_gate(board, record)}: {record.detail}".rstrip(": ")]
    if attempt is None or attempt.tip is None:
        return [*head, "", _body(here, record) or "(no text)"]
    return [
        *head,
        f"attempt {attempt.key.number} by {attempt.agent}: {attempt.base[:12]}..{attempt.tip[:12]}",
        summary(control_of(here), attempt.base, attempt.tip),
        f"the whole change: ticketd checkout {record.id}",
    ]


@review.command()
@click.argument("id_", metavar="ID")
@click.pass_context
def approve(ctx: click.Context, id_: str) -> None:
    """Let it run, or let it land."""
    here = view(ctx)
    _in_review(here.session.store.board(), id_)
    state = here.session.store.approve(id_, here.now())
    here.session.ring()
    if state is TicketState.LANDING:
        click.echo(f"{id_} is approved and lands")
    else:
        click.echo(f"{id_} is approved and queued{rank_of(here, id_)}")


@review.command()
@click.argument("id_", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="What is wrong; the next attempt is told.")
@click.pass_context
def reject(ctx: click.Context, id_: str, reason: str) -> None:
    """Do not let it run, or land. Its work is kept."""
    here = view(ctx)
    _in_review(here.session.store.board(), id_)
    why = reason.strip()
    if not why:
        raise BadInput("--reason is empty", mend="Say what is wrong: the next attempt is told.")
    here.session.store.reject(id_, why, here.now())
    here.session.ring()
    click.echo(f"{id_} is failed (rejected): {why}; `ticketd retry {id_}` runs it again")
