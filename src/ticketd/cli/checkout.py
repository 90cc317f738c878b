"""`ticketd checkout`: an attempt's commits as a branch of the user's repository."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ticketd.app.steering import record_of
from ticketd.cli.repository import View, view
from ticketd.domain.attempt import Attempt, AttemptState
from ticketd.errors import BadInput
from ticketd.git.control import Control
from ticketd.git.handover import hand_over
from ticketd.git.repository import identity


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--attempt", type=click.IntRange(min=1), help="Which attempt (default: the newest that left work).")
@click.pass_context
def checkout(ctx: click.Context, id_: str, attempt: int | None) -> None:
    """Bring a ticket's work into this repository as branch ticketd/ID. Nothing is checked out."""
    here = view(ctx)
    record_of(here.session.store, id_)
    chosen = newest_work(id_, here.session.store.attempts(id_), attempt)
    branch = f"ticketd/{id_}"
    moved = hand_over(here.opened.user, control_of(here), chosen.key.ref, branch)
    click.echo(f"{branch} {'is now' if moved else 'was already'} at {chosen.tip} (attempt {chosen.key.number})")
    click.echo(f"base: {chosen.base}")
    click.echo(f"look: git diff {chosen.base[:12]}...{branch}")


def control_of(here: View) -> Control:
    return Control(here.session.places.state, identity(here.session.root))


def newest_work(id_: str, attempts: Sequence[Attempt], number: int | None) -> Attempt:
    """The attempt of that number, else the newest that has changed anything.

    Raises:
        BadInput: there is none with work that is kept.
    """
    kept = [each for each in attempts if each.tip is not None]
    fit = [each for each in kept if number in (None, each.key.number)]
    # One that changed nothing is kept too, as its base.
    if chosen := next((each for each in reversed(fit) if each.tip != each.base), None):
        return chosen
    if fit:
        raise BadInput(
            f"attempt {fit[-1].key.number} of {id_} changed nothing", mend=f"`ticketd logs {id_}` tells why."
        )
    if any(each.state is not AttemptState.ENDED and number in (None, each.key.number) for each in attempts):
        raise BadInput(
            f"{id_} is being worked on and has left nothing yet", mend=f"`ticketd path {id_}` names its worktree."
        )
    which = f"attempt {number} of {id_}" if number else id_
    mend = f"Kept are the attempts {', '.join(str(each.key.number) for each in kept)}." if kept else "It has not run."
    raise BadInput(f"{which} has left no work", mend=mend)
