"""The command line: parse, call a use case, render. One module per command, imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from ticketd import failpoints
from ticketd.errors import TicketdError

COMMANDS = {
    "init": "init",
    "start": "start",
    "stop": "stop",
    "status": "status",
    "list": "list_",
    "show": "show",
    "cost": "cost",
    "explain": "explain",
    "logs": "logs",
    "attach": "attach",
    "diff": "diff",
    "events": "events",
    "add": "add",
    "lint": "lint",
    "plan": "plan",
    "simulate": "simulate",
    "retry": "steer",
    "cancel": "steer",
    "hold": "steer",
    "unhold": "steer",
    "bump": "steer",
    "pause": "steer",
    "resume": "steer",
    "slots": "steer",
    "review": "review",
    "land": "land",
    "revert": "revert",
    "checkout": "checkout",
    "path": "path",
    "hook": "hook",
    "push": "push",
    "doctor": "doctor",
    "demo": "demo",
}
"""Command to the module of this package that holds it."""


class Commands(click.Group):
    """Imports a command's module only when it is wanted: `status` should not pay for what `demo` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ticketd.cli.{COMMANDS[cmd_name]}")
        command = getattr(module, cmd_name if cmd_name != "list" else "list_")
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TicketdError as error:
            error.retold(ctx.obj["redact"])
            raise


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--repo",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="A directory inside the repository (default: here).",
)
@click.version_option(package_name="ticketd")
@click.pass_context
def cli(ctx: click.Context, repo: Path) -> None:
    """Runs coding agents on tickets, each in a worktree of its own, and lands their work on main."""
    ctx.obj = {"repo": repo.absolute(), "redact": str}


def main() -> None:
    """The one error boundary: what a user causes is told in words; a traceback is always a bug of ours."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the caller (`ticketd list >&-`)
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for the life of the process
    try:
        failpoints.arm(os.environ)
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as asked:
        code = asked.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 130
    except TicketdError as error:
        from ticketd.cli.render.words import safe

        click.echo("ticketd: " + safe(error, keep="\n"), err=True)
        code = error.exit_code
    except BrokenPipeError:
        # The reader went away (`ticketd list | head`); Python would complain once more at exit.
        sys.stderr.close()
        code = 141
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        click.echo(f"ticketd: {error.strerror or error}{where}\n  `ticketd doctor` looks closer.", err=True)
        code = 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered would fail once more at exit
    sys.exit(code if isinstance(code, int) else 0)
