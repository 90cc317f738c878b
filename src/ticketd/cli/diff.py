"""`ticketd diff`: what a ticket changes, wherever its work is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from ticketd.cli.checkout import control_of, newest_work
from ticketd.cli.landed import landed_ranges
from ticketd.cli.render.raw import TerminalText
from ticketd.cli.render.words import safe
from ticketd.cli.repository import View, view
from ticketd.cli.show import known
from ticketd.domain.attempt import Attempt, AttemptState
from ticketd.domain.ticket import TicketRecord, TicketState
from ticketd.git.door import Git
from ticketd.git.handover import changes, summary
from ticketd.git.handover import diff as patch
from ticketd.git.worktrees import WorktreePool

IN_A_TREE = (AttemptState.RUNNING, AttemptState.COLLECTING)


@dataclass(frozen=True, slots=True)
class Shown:
    """`state`: running, kept or landed. `ranges`: each what was there before, and what is there after it; git objects
    that `git` knows."""

    state: str
    attempt: int | None
    git: Git
    ranges: tuple[tuple[str, str], ...]


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--attempt", "number", type=click.IntRange(min=1), help="Which attempt (default: see above).")
@click.option("--stat", is_flag=True, help="Only which files, and how many lines.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def diff(ctx: click.Context, id_: str, number: int | None, stat: bool, as_json: bool) -> None:
    """What a ticket changes: what it has landed; what its agent has done so far; else what its newest attempt left."""
    here = view(ctx)
    with shown(here, known(here, id_), number) as found:
        if as_json:
            click.echo(json.dumps({"schema": 1, "ticket": id_, **_document(found)}))
        elif stat:
            text = "\n".join(summary(found.git, *each) for each in found.ranges)
            click.echo(safe(text, keep="\n\t"))
        else:
            _print(found)


@contextmanager
def shown(here: View, record: TicketRecord, number: int | None) -> Iterator[Shown]:
    attempts = here.session.store.attempts(record.id)
    live = next((each for each in attempts if each.state in IN_A_TREE and number in (None, each.key.number)), None)
    control = control_of(here)
    if live is not None and live.worktree is not None:
        with WorktreePool(control).shown(live.worktree, live.base) as (git, tree):
            yield Shown("running", live.key.number, git, ((live.base, tree),))
    elif record.state is TicketState.LANDED and number is None:
        yield Shown("landed", None, control.git, landed_ranges(here, record))
    else:
        kept = newest_work(record.id, attempts, number)
        yield Shown("kept", kept.key.number, control.git, ((kept.base, _tip(kept)),))


def _tip(kept: Attempt) -> str:
    assert kept.tip is not None
    return kept.tip


def _document(shown: Shown) -> dict[str, Any]:
    """`base` and `tip`: the first and the last of it. `tip` is None while an agent works: no commit holds that yet."""
    files = [each for pair in shown.ranges for each in changes(shown.git, *pair)]
    return {
        "state": shown.state,
        "attempt": shown.attempt,
        "base": shown.ranges[0][0] if shown.ranges else None,
        "tip": shown.ranges[-1][1] if shown.ranges and shown.state != "running" else None,
        "files": [{"path": each.path, "added": each.added, "removed": each.removed} for each in files],
        "diff": text_of(shown),
    }


def text_of(shown: Shown, colours: bool = False) -> str:
    return "".join(patch(shown.git, *pair, colours=colours) for pair in shown.ranges)


def _print(shown: Shown) -> None:
    """To a pipe every byte, so that `git apply` takes it; made harmless to a terminal."""
    on_terminal = sys.stdout.isatty()
    colours = on_terminal and "NO_COLOR" not in os.environ
    content = os.fsencode(text_of(shown, colours))
    if on_terminal:
        click.echo(TerminalText(colours=colours).feed(content, final=True), nl=False, color=True)
    else:
        click.echo(content, nl=False)
