"""What most commands begin with: the repository's session, its tickets as the files are now, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import click

from ticketd.app.act import act_without_daemon
from ticketd.app.session import Session
from ticketd.app.tickets import problems, settings_of, sync
from ticketd.boot.session import Opened, open_session
from ticketd.cli.render.words import safe
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.settings import Settings
from ticketd.errors import StoreTrouble


@dataclass(frozen=True, slots=True)
class View:
    """A repository with its tickets read. `of_settings`: what is wrong with `ticketd.toml`."""

    opened: Opened
    settings: Settings
    of_settings: tuple[Problem, ...]

    @property
    def session(self) -> Session:
        return self.opened.session

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Of all ticket files too; looked for when asked, since with very many that takes seconds."""
        return problems(self.session, self.settings, self.of_settings)

    def tell_errors(self) -> None:
        """Tickets that are missing from what is shown, because their files are faulty."""
        tell_errors(self.problems)

    def now(self) -> float:
        return self.session.clock.now()


def tell_errors(problems: Iterable[Problem]) -> None:
    for problem in problems:
        if problem.severity is Severity.ERROR:
            click.echo(safe(problem), err=True)


def view(ctx: click.Context) -> View:
    """Raises:
    NotSetUp: no git repository, or one without ticketd.
    """
    here = past_view(ctx)
    # Under a broken ticketd.toml every ticket would be judged by the defaults: what was last read stands.
    if not any(problem.severity is Severity.ERROR for problem in here.of_settings):
        _bring_up_to_date(here.session, here.settings)
    return here


def past_view(ctx: click.Context) -> View:
    """With the tickets as they were last read: for what is about attempts that have been.

    Raises:
        NotSetUp: no git repository, or one without ticketd.
    """
    opened = open_session(ctx.obj["repo"], must_be_set_up=True)
    ctx.obj["redact"] = opened.secrets.redact_text
    return View(opened, *settings_of(opened.session))


def _bring_up_to_date(session: Session, settings: Settings) -> None:
    """A store that cannot be written just now can be read all the same; a command that writes fails by itself."""
    try:
        sync(session, settings)
        if not session.is_running():
            act_without_daemon(session, settings)
    except StoreTrouble as trouble:
        click.echo(f"ticketd: this is what was last read of the ticket files: {safe(trouble)}", err=True)
