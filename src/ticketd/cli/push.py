"""`ticketd push`: land the checked-out branch by hand."""

from __future__ import annotations

import click

from ticketd.errors import BadInput
from ticketd.git import push as landing
from ticketd.git.hook_main import target_of


@click.command()
@click.option("--dry-run", "-n", is_flag=True, help="Say what would happen; change nothing.")
@click.option("--no-verify", is_flag=True, help="Do not run the pre-push hooks.")
@click.option("--verbose", "-v", is_flag=True, help="Show what git and the hooks said.")
@click.option("--push-option", "-o", multiple=True, metavar="TEXT", help="Given to the server, as by git push -o.")
@click.argument("refspecs", nargs=-1, metavar="")
@click.pass_context
def push(
    ctx: click.Context,
    dry_run: bool,
    no_verify: bool,
    verbose: bool,
    push_option: tuple[str, ...],
    refspecs: tuple[str, ...],
) -> None:
    """Rebase the checked-out branch onto the target and push it there, never by force.

    Exits 0 only if the target at the remote contains HEAD afterwards.
    """
    remote, branch = target_of(ctx.obj["repo"])
    if refspecs:
        raise BadInput(
            f"ticketd push takes no remote and no refspec, but got: {' '.join(refspecs)}",
            mend=f"it pushes the checked-out branch to {branch} of {remote}; for anything else use git push",
        )
    options = ("--no-verify",) * no_verify + tuple(f"--push-option={text}" for text in push_option)
    answer = landing.push(ctx.obj["repo"], remote, branch, options, dry_run=dry_run)
    if answer.said and (verbose or answer.code):
        click.echo(answer.said.rstrip(), err=True)
    click.echo(f"ticketd: {answer.message}", err=bool(answer.code))
    ctx.exit(answer.code)
