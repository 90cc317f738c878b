"""`ticketd add`: write a ticket file."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import click

from ticketd.app.tickets import line_of, sync
from ticketd.cli.render.words import safe
from ticketd.cli.repository import View, view
from ticketd.domain import values
from ticketd.domain.lint import lint_across, lint_one, outline_of
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.ticket import GLOBAL_SCOPE, Size
from ticketd.domain.ticketfile import FOLDER, Parsed, parse_ticket
from ticketd.domain.ticketrender import render_ticket
from ticketd.domain.values import MAX_BYTES, Fault
from ticketd.errors import BadInput


@click.command()
@click.argument("title")
@click.option("--touches", multiple=True, metavar="PATTERN", help="Files it will change (gitignore syntax); repeat it.")
@click.option("--depends-on", multiple=True, metavar="ID", help="A ticket that lands first; repeat it.")
@click.option("--priority", default="normal", help="critical, high, normal (default) or low; or P0 to P3.")
@click.option("--size", default="M", help="S, M (default) or L.")
@click.option("--scope", default=GLOBAL_SCOPE, help="The part of the product that it serves (default: _global).")
@click.option("--body", default="", metavar="TEXT", help="The agent's brief; `-` reads it from standard input.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def add(
    ctx: click.Context,
    title: str,
    touches: tuple[str, ...],
    depends_on: tuple[str, ...],
    priority: str,
    size: str,
    scope: str,
    body: str,
    as_json: bool,
) -> None:
    """Write a ticket file and queue it."""
    with _as_bad_input("TITLE"):
        title = values.title(title)
    with _as_bad_input("--priority"):
        urgency = values.priority(priority)
    with _as_bad_input("--size"):
        effort = values.choice(Size, size)
    with _as_bad_input("--scope"):
        scope = values.name(scope)
    text = render_ticket(
        title, touches=touches, depends_on=depends_on, priority=urgency, size=effort, body=_body(body)
    ).encode()
    here = view(ctx)
    folder = FOLDER if scope == GLOBAL_SCOPE else f"{FOLDER}/{scope}"
    path, warnings = _write_free(here, folder, values.slug(title), text)
    sync(here.session, here.settings)
    here.session.ring()
    for warning in warnings:
        click.echo(safe(warning), err=True)
    click.echo(json.dumps({"schema": 1, "id": Path(path).stem, "path": path}) if as_json else path)


@contextlib.contextmanager
def _as_bad_input(what: str) -> Iterator[None]:
    try:
        yield
    except Fault as fault:
        raise BadInput(f"{what}: {fault.what}", mend=fault.mend) from None


def _body(given: str) -> str:
    if given != "-":
        return given
    raw = sys.stdin.buffer.read(MAX_BYTES + 1)
    with _as_bad_input("--body -"):
        return values.decode(raw) if raw.strip() else ""


def _write_free(here: View, folder: str, slug: str, text: bytes) -> tuple[str, tuple[Problem, ...]]:
    """Write the ticket under the first id that is free; its path and what lint warns of."""
    # An id that was ever used stays used: the store would take the new ticket for the old one, which may have landed.
    taken = {*here.session.store.board().tickets, *(Path(path).stem for path in here.session.files.stamps())}
    for id_ in _ids(slug, taken):
        path = f"{folder}/{id_}.md"
        warnings = _checked(here, path, text)
        if _create(here.session.root / path, text):
            return path, warnings
    raise AssertionError("ids do not end")


def _ids(slug: str, taken: Collection[str]) -> Iterator[str]:
    numbered = (f"{slug[: values.MAX_ID - 1 - len(str(n))].rstrip('-')}-{n}" for n in itertools.count(2))
    return (id_ for id_ in itertools.chain([slug], numbered) if id_ not in taken)


def _checked(here: View, path: str, text: bytes) -> tuple[Problem, ...]:
    """The warnings about a ticket that is not written yet.

    Raises:
        BadInput: it would bring an error into the tree, be it in its own file or in another's.
    """
    parsed = parse_ticket(path, text, here.settings)
    brought = [*parsed.problems, *lint_one(parsed, here.settings), *_news(here, parsed)]
    errors = [problem for problem in brought if problem.severity is Severity.ERROR]
    if errors:
        said = "\n".join(f"{p.what} ({p.mend})" if p.mend else p.what for p in errors)
        raise BadInput(said, mend="No ticket was written.")
    return tuple(problem for problem in brought if problem.file == path)


def _news(here: View, parsed: Parsed) -> list[Problem]:
    """What is wrong across the files with this one among them, and was not without it."""
    store = here.session.store
    others, landed = store.outlines(), store.landed()

    def line(path: str, id_: str) -> int:
        return parsed.lines.of("depends_on", id_) if path == parsed.path else line_of(here.session, path, id_)

    after = lint_across([*others, outline_of(parsed)], landed, line)
    return sorted({*after} - {*lint_across(others, landed, line)})


def _create(path: Path, text: bytes) -> bool:
    """Whole or not at all, and never over another file: False if there is one. A daemon reads at any moment, and half
    a brief would be a brief."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".adding-", dir=path.parent) as scratch:
            scratch.write(text)
            scratch.flush()
            Path(scratch.name).chmod(0o666 & ~_umask())
            _place(Path(scratch.name), path, text)
    except FileExistsError:
        if path.parent.is_dir():
            return False
        raise BadInput(f"{path.parent} is not a directory", mend="Move it away, then try again.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", mend="Mend that, then try again.") from None
    return True


def _place(scratch: Path, path: Path, text: bytes) -> None:
    try:
        os.link(scratch, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with path.open("xb") as file:
            file.write(text)


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now
