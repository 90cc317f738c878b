"""`ticketd path`: where things are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from ticketd.app.steering import record_of
from ticketd.cli.repository import View, view
from ticketd.errors import BadInput
from ticketd.git.door import leave_outer_repository
from ticketd.git.repository import find, state_dir


@click.command()
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def path(ctx: click.Context, id_: str | None, as_json: bool) -> None:
    """Print the state directory, or the worktree in which a ticket's agent works."""
    where = _worktree(view(ctx), id_) if id_ else _state(ctx)
    click.echo(json.dumps({"schema": 1, "ticket": id_, "path": str(where)}) if as_json else str(where))


def _state(ctx: click.Context) -> Path:
    """Named, not made: it need not be there yet."""
    leave_outer_repository(os.environ)
    return state_dir(find(ctx.obj["repo"]).common_dir, os.environ)


def _worktree(here: View, id_: str) -> Path:
    store = here.session.store
    record = record_of(store, id_)
    for attempt in store.live_attempts():
        if attempt.key.ticket == id_ and attempt.worktree:
            return here.session.places.worktree(attempt.worktree)
    kept = any(attempt.tip for attempt in store.attempts(id_))
    raise BadInput(
        f"{id_} is {record.state} and has no worktree now",
        mend=f"`ticketd checkout {id_}` brings its work into your repository." if kept else "It has left no work yet.",
    )
