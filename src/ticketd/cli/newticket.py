"""A ticket file that is not there yet: a free id, a check before it is written, and its writing."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ticketd import failpoints
from ticketd.app.tickets import line_of
from ticketd.cli.repository import View
from ticketd.domain import values
from ticketd.domain.lint import lint_across, lint_one, outline_of
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.ticket import GLOBAL_SCOPE
from ticketd.domain.ticketfile import FOLDER, Parsed, parse_ticket
from ticketd.errors import BadInput


def folder_of(scope: str) -> str:
    return FOLDER if scope == GLOBAL_SCOPE else f"{FOLDER}/{scope}"


def write_free(here: View, folder: str, slug: str, text: bytes) -> tuple[str, tuple[Problem, ...]]:
    """Write the ticket under the first id that is free; its path and what lint warns of."""
    for id_ in free_ids(here, slug):
        path = f"{folder}/{id_}.md"
        warnings = check_new(here, path, text)
        if create(here.session.root / path, text):
            return path, warnings
    raise AssertionError("ids do not end")


def free_ids(here: View, slug: str) -> Iterator[str]:
    """`slug`, then `slug-2` and so on, without those in use. An id that was ever used stays used: the store would take
    the new ticket for the old one, which may have landed."""
    taken = {*here.session.store.board().tickets, *(Path(path).stem for path in here.session.files.stamps())}
    numbered = (f"{slug[: values.MAX_ID - 1 - len(str(n))].rstrip('-')}-{n}" for n in itertools.count(2))
    return (id_ for id_ in itertools.chain([slug], numbered) if id_ not in taken)


def check_new(here: View, path: str, text: bytes) -> tuple[Problem, ...]:
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


def create(path: Path, text: bytes) -> bool:
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
    failpoints.hit("file/newticket.create")


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now
