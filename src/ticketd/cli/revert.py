"""`ticketd revert`: a commit that takes back what a ticket has landed, through the same lane as all others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import click

from ticketd.app.tickets import sync
from ticketd.boot.daemon import land_on
from ticketd.cli.landed import landed_ranges
from ticketd.cli.newticket import check_new, create, folder_of, free_ids, write_free
from ticketd.cli.render.words import safe
from ticketd.cli.repository import View, view
from ticketd.cli.show import known
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.globs import fault
from ticketd.domain.ticket import Size, TicketRecord, TicketState
from ticketd.domain.ticketfile import parse_ticket
from ticketd.domain.ticketrender import render_ticket
from ticketd.domain.values import MAX_ID
from ticketd.domain.widening import MOST_PATTERNS, collapsed
from ticketd.errors import BadInput, TicketdError
from ticketd.git.control import Control
from ticketd.git.creation import open_control
from ticketd.git.landed import commits_of, subject, touching
from ticketd.git.revert import Reverted
from ticketd.git.revert import revert as take_back
from ticketd.git.trailers import with_trailers
from ticketd.ports import Conflict, NothingLeft, Unreachable

BY = "ticketd revert"
MOST_TOLD = 10


@dataclass(frozen=True, slots=True)
class Landed:
    """What is to be taken back: `ranges` as `git/revert.py` has them, `commits` the oldest first; `tip`: the target's
    newest."""

    record: TicketRecord
    ranges: tuple[tuple[str, str], ...]
    commits: tuple[str, ...]
    tip: str


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--agent", is_flag=True, help="If later changes are in the way: queue a ticket for an agent.")
@click.pass_context
def revert(ctx: click.Context, id_: str, agent: bool) -> None:
    """Take back what a ticket has landed: a new commit, verified and pushed like all others."""
    here = view(ctx)
    _check_first(here, id_)
    control = open_control(here.session.places.state, here.opened.user, here.settings.target.branch)
    landed = _landed(here, control, known(here, id_))
    made = take_back(control, landed.ranges, landed.tip, _message(control, landed), here.now())
    match made:
        case NothingLeft():
            raise TicketdError(
                f"nothing of {id_} is left on {here.settings.target.name}", mend="There is nothing to take back."
            )
        case Conflict(paths=paths) if not agent:
            raise _in_the_way(here, control, landed, paths)
        case Conflict():
            _queue(here, control, landed)
        case Reverted():
            _enter(here, control, landed, made)
    here.session.ring()


def _check_first(here: View, id_: str) -> None:
    """Raises:
    TicketdError: somebody takes it back already.
    """
    store = here.session.store
    for other, record in store.board().tickets.items():
        if record.state.is_final or not other.startswith("revert-"):
            continue
        whole = store.ticket(other)  # the board is without briefs
        if whole is not None and whole.ticket.body.lstrip().startswith(_brief(id_)):
            mend = f"`ticketd explain {other}` says how it stands; `ticketd cancel {other}` ends it."
            raise TicketdError(f"{other} takes back {id_} already: it is {record.state}", mend=mend)


def _brief(id_: str) -> str:
    return f"Take back what the ticket `{id_}` has landed, and nothing else:"


def _landed(here: View, control: Control, record: TicketRecord) -> Landed:
    """Raises:
    BadInput: it has landed nothing that is on the target.
    TicketdError: the target does not answer.
    """
    if record.state is not TicketState.LANDED or record.landed_sha is None:
        raise BadInput(f"{record.id} is {record.state}", mend="Only what has landed can be taken back.")
    tip = land_on(here.opened.user, control, here.settings)[0].tip()
    if isinstance(tip, Unreachable):
        raise TicketdError(f"the target cannot be reached: {safe(tip.detail)}", mend="`ticketd doctor` looks closer.")
    if not control.contains(tip, record.landed_sha):
        told = safe(record.detail) or f"{record.landed_sha[:12]} has been taken off it"
        raise BadInput(
            f"what {record.id} has landed is not on {here.settings.target.name}: {told}", mend="Nothing was changed."
        )
    ranges = landed_ranges(here, record)
    return Landed(record, ranges, commits_of(control, ranges), tip)


def _title(control: Control, landed: Landed) -> str:
    one = subject(control, landed.commits[0]) if len(landed.commits) == 1 else landed.record.ticket.title
    return f'Revert "{one}"'


def _message(control: Control, landed: Landed) -> str:
    undone = "\n".join(f"This reverts commit {sha}." for sha in reversed(landed.commits))
    text = f"{_title(control, landed)}\n\n{undone}\n".encode(errors="surrogateescape")
    return with_trailers(text, [("Reverts", landed.record.id)]).decode(errors="replace")


def _enter(here: View, control: Control, landed: Landed, made: Reverted) -> None:
    """First its work is kept, then the store has it, last its file is written: whoever sees the file first must find
    the ticket in the lane, not in the queue."""
    text = _text(control, landed, made.changed)
    for id_ in free_ids(here, _slug(landed.record)):
        path = f"{folder_of(landed.record.ticket.scope)}/{id_}.md"
        check_new(here, path, text)
        ticket = parse_ticket(path, text, here.settings).ticket
        assert ticket is not None, path
        control.keep(AttemptKey(id_, 1).ref, made.tip)
        if here.session.store.enter(ticket, landed.tip, made.tip, BY, here.settings.claims.shared, here.now()):
            break
    if not create(here.session.root / path, text):
        click.echo(f"{path} was made by somebody else in the meantime and is left as it is", err=True)
    when = "next" if here.session.is_running() else "once `ticketd start` runs"
    click.echo(f"{id_} takes back {landed.record.id} by {made.tip[:12]}; it lands {when} ({path})")


def _queue(here: View, control: Control, landed: Landed) -> None:
    changed = sorted({path for before, last in landed.ranges for path in control.changed(before, last)})
    text = _text(control, landed, changed)
    path, _ = write_free(here, folder_of(landed.record.ticket.scope), _slug(landed.record), text)
    sync(here.session, here.settings)
    id_ = PurePath(path).stem
    click.echo(f"later changes are in the way: {id_} is queued for an agent ({path})")


def _slug(record: TicketRecord) -> str:
    return f"revert-{record.id}"[:MAX_ID].rstrip("-.")


def _text(control: Control, landed: Landed, paths: tuple[str, ...] | list[str]) -> bytes:
    """The ticket's file. Its brief is for an agent, should it come to that: by itself the commit needs none."""
    patterns = tuple(pattern for pattern in collapsed(paths, MOST_PATTERNS) if fault(pattern) is None)
    commits = "\n".join(f"- {sha} {subject(control, sha)}" for sha in landed.commits)
    body = (
        f"{_brief(landed.record.id)}\n\n{commits}\n\n"
        "`git show` shows each. Where others have built on it since, keep what they have done working.\n"
    )
    title = "".join(c if c.isprintable() else " " for c in _title(control, landed))
    return render_ticket(title, touches=patterns or ("/**",), size=Size.S, body=body).encode(errors="replace")


def _in_the_way(here: View, control: Control, landed: Landed, paths: tuple[str, ...]) -> TicketdError:
    later = touching(control, landed.ranges[-1][1], landed.tip, paths)
    told = [f"  {safe(line)}" for line in later[:MOST_TOLD]]
    told += [f"  and {len(later) - MOST_TOLD} more"] if len(later) > MOST_TOLD else []
    id_, where = landed.record.id, safe(", ".join(paths))
    what = f"{id_} cannot be taken back by itself: {where} has changed since on {here.settings.target.name}"
    mend = f"`ticketd revert {id_} --agent` queues a ticket for an agent. Nothing was changed."
    return TicketdError("\n".join([f"{what}, by", *told] if told else [what]), mend=mend)
