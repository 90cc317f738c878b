"""`ticketd review`: what waits for a person, and the person's answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from ticketd.app.reviewing import approve as approving
from ticketd.app.reviewing import attempt_of, commit_of, in_review
from ticketd.app.reviewing import reject as rejecting
from ticketd.cli.checkout import control_of
from ticketd.cli.render.words import safe
from ticketd.cli.repository import View, view
from ticketd.domain.attempt import Attempt
from ticketd.domain.review import BEFORE_IT_LANDS, BEFORE_IT_RUNS, SHORTEST_PREFIX, digest_of
from ticketd.domain.ticket import TicketRecord, TicketState
from ticketd.errors import BadInput
from ticketd.git.handover import changes, diff, summary

MOST_SHOWN = 2**20
"""How many characters of a change `show` prints."""


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
    waiting = list(_waiting(here))
    if as_json:
        click.echo(json.dumps({"schema": 1, "review": [_line(here, record) for record in waiting]}))
        return
    for record in waiting:
        click.echo(
            safe(f"{record.id}  gate {record.gate_at}  {commit_of(here.session, record)[:12]}  {record.ticket.title}")
        )
        if record.detail not in (BEFORE_IT_RUNS, BEFORE_IT_LANDS):
            click.echo(safe(f"    {record.detail}"))
    if not waiting:
        click.echo("nothing waits for review")


def _waiting(here: View) -> Iterator[TicketRecord]:
    """With their bodies: what a person approves is all of a ticket."""
    store = here.session.store
    for line in store.board().tickets.values():
        record = store.ticket(line.id) if line.state is TicketState.REVIEW else None
        if record is not None and record.state is TicketState.REVIEW:
            yield record


def _line(here: View, record: TicketRecord) -> dict[str, object]:
    attempt = attempt_of(here.session, record)
    return {
        "ticket": record.id,
        "gate": record.gate_at,
        "title": record.ticket.title,
        "detail": record.detail,
        "attempt": attempt and attempt.key.number,
        "base": attempt and attempt.base,
        "commit": commit_of(here.session, record),
        "shown": record.shown,
    }


@review.command()
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def show(ctx: click.Context, id_: str, as_json: bool) -> None:
    """What there is to approve: the brief before it runs, the change before it lands. `approve` is then about that."""
    here = view(ctx)
    record = in_review(here.session, id_)
    if as_json:
        attempt = attempt_of(here.session, record)
        click.echo(json.dumps({"schema": 1, **_line(here, record), **_more(here, record, attempt)}))
        here.session.store.note_shown(id_, commit_of(here.session, record), here.now())
        return
    commit, text = to_approve(here, id_)
    click.echo(safe(text, keep="\n\t"))
    here.session.store.note_shown(id_, commit, here.now())


def to_approve(here: View, id_: str) -> tuple[str, str]:
    """The commit that a word of approval would be about, and what to show of it."""
    record = in_review(here.session, id_)
    text = "\n".join(_text(here, record, attempt_of(here.session, record)))
    return commit_of(here.session, record), text


def _more(here: View, record: TicketRecord, attempt: Attempt | None) -> dict[str, object]:
    files = changes(control_of(here).git, attempt.base, attempt.tip) if attempt and attempt.tip else ()
    return {
        "body": record.ticket.body,
        "files": [{"path": each.path, "added": each.added, "removed": each.removed} for each in files],
        "diff": diff(control_of(here).git, attempt.base, attempt.tip) if attempt and attempt.tip else "",
    }


def _text(here: View, record: TicketRecord, attempt: Attempt | None) -> list[str]:
    head = [f"{record.id}: {record.ticket.title}", f"gate {record.gate_at}: {record.detail}".rstrip(": ")]
    if attempt is None or attempt.tip is None:
        return [*head, f"as of {digest_of(record.ticket)[:12]}", "", record.ticket.body or "(no text)"]
    git = control_of(here).git
    change = diff(git, attempt.base, attempt.tip)
    left = len(change) - MOST_SHOWN
    return [
        *head,
        f"attempt {attempt.key.number} by {attempt.agent}: {attempt.base[:12]}..{attempt.tip[:12]}",
        summary(git, attempt.base, attempt.tip),
        "",
        change[:MOST_SHOWN] + (f"\n… and {left} more characters" if left > 0 else ""),
        "",
        f"as a branch here: ticketd checkout {record.id}",
    ]


@review.command()
@click.argument("id_", metavar="ID")
@click.option("--commit", metavar="SHA", help="Only if this is what waits (the first 7 characters or more).")
@click.pass_context
def approve(ctx: click.Context, id_: str, commit: str | None) -> None:
    """Let it run, or let it land: exactly as it was last shown."""
    here = view(ctx)
    check_commit(id_, commit)
    click.echo(approving(here.session, here.settings, id_, commit))


def check_commit(id_: str, commit: str | None) -> None:
    """Raises:
    BadInput: the beginning of a commit's name that says too little.
    """
    if commit is not None and len(commit) < SHORTEST_PREFIX:
        mend = f"Give at least {SHORTEST_PREFIX} characters; `ticketd review show {id_}` names it."
        raise BadInput(f"--commit {commit} is too short", mend=mend)


@review.command()
@click.argument("id_", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="What is wrong; the next attempt is told.")
@click.pass_context
def reject(ctx: click.Context, id_: str, reason: str) -> None:
    """Do not let it run, or land. Its work is kept."""
    here = view(ctx)
    click.echo(rejecting(here.session, id_, reason))
