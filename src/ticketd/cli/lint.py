"""`ticketd lint`: what is wrong with ticket files and `ticketd.toml`."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import click

from ticketd.app.brief import template_problems
from ticketd.app.queries import problem_document
from ticketd.cli.render.words import safe
from ticketd.cli.repository import view
from ticketd.domain import lint as across_files
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.settings import Settings
from ticketd.errors import BadInput
from ticketd.files import CONFIG, TICKETS
from ticketd.ports import TicketFiles


@dataclass(frozen=True, slots=True)
class Finding:
    """The ticket files by path, and all faults, those of `ticketd.toml` and of the brief's template first."""

    files: tuple[str, ...]
    problems: tuple[Problem, ...]


def read_all(files: TicketFiles, landed: Collection[str]) -> Finding:
    """Every file as it is on disk now; nothing that was stored of it counts."""
    parsed_settings = files.settings()
    settings = parsed_settings.settings or Settings()
    found = [files.read(path, stamp, settings).parsed for path, stamp in files.stamps().items()]
    own = {problem for parsed in found for problem in parsed.problems}
    across = across_files.lint(found, settings, landed)
    of_config = (*parsed_settings.problems, *template_problems(files, settings))
    return Finding(tuple(parsed.path for parsed in found), (*of_config, *sorted({*own, *across})))


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def lint(ctx: click.Context, paths: tuple[Path, ...], as_json: bool) -> None:
    """Check ticket files: all, or those named. Exits 1 if there is an error; warnings alone are 0."""
    session = view(ctx).session
    finding = read_all(session.files, session.store.landed())
    if paths:
        wanted = {name for path in paths for name in _named(session.root, path, finding.files)}
        problems = tuple(problem for problem in finding.problems if problem.file in wanted)
        finding = Finding(tuple(name for name in finding.files if name in wanted), problems)
    errors = sum(problem.severity is Severity.ERROR for problem in finding.problems)
    if as_json:
        click.echo(json.dumps(_document(finding, errors)))
    else:
        click.echo("\n".join([*map(safe, finding.problems), _verdict(finding, errors)]))
    ctx.exit(1 if errors else 0)


def _named(root: Path, path: Path, files: Collection[str]) -> list[str]:
    """The files that a path on the command line stands for: one, or all in a folder.

    Raises:
        BadInput: it is no ticket, and no folder of tickets.
    """
    given = path.absolute() if path.exists() or path.is_symlink() else root / path
    if not (given.exists() or given.is_symlink()):
        raise BadInput(f"there is no file {path}", mend=f"Name ticket files below {root / TICKETS}.")
    # Its folder resolved and not itself: a ticket that is a symbolic link is a fault to be named.
    real = given.parent.resolve() / given.name if given.name != ".." else given.resolve()
    name = real.relative_to(root).as_posix() if real.is_relative_to(root) else ""
    below = [file for file in files if file == name or file.startswith(f"{name}/")]
    if name == CONFIG or (name and (below or name == TICKETS)):
        return below or [name]
    if name.startswith(f"{TICKETS}/") and given.is_dir():
        return []
    raise BadInput(f"{path} is not a ticket file", mend=f"Tickets are *.md files in {root / TICKETS}.")


def _verdict(finding: Finding, errors: int) -> str:
    tickets = _count(len(finding.files), "ticket")
    if not finding.problems:
        return f"ok: {tickets}, no faults"
    warnings = len(finding.problems) - errors
    return f"{tickets}: {_count(errors, 'error')}, {_count(warnings, 'warning')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _document(finding: Finding, errors: int) -> dict[str, object]:
    return {
        "schema": 1,
        "tickets": len(finding.files),
        "errors": errors,
        "warnings": len(finding.problems) - errors,
        "problems": [problem_document(problem) for problem in finding.problems],
    }
