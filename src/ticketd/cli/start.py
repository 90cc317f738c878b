"""`ticketd start`: run the daemon."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType

import click

from ticketd.app.sandbox import notice
from ticketd.boot.daemon import open_daemon, require_settings
from ticketd.cli.display import Display
from ticketd.cli.farewell import farewell
from ticketd.cli.render.words import safe
from ticketd.cli.repository import View, view
from ticketd.daemon.loop import Ending
from ticketd.daemon.main import Daemon
from ticketd.domain.pool import Stop
from ticketd.errors import BadInput, DaemonRuns, TicketdError

READY_S = 30.0
DRAINING = b"\ndraining: running agents finish and land; ^C again ends them now and keeps their work\n"


@click.command()
@click.option("--slots", type=click.IntRange(1, 1000), help="How many agents run at once (default: ticketd.toml, 8).")
@click.option("--until-idle", is_flag=True, help="End when nothing can run any more: exit 0 if all landed, else 1.")
@click.option("--detach", is_flag=True, help="Run in the background; `ticketd status` shows it.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", help="Where agents run.")
@click.pass_context
def start(ctx: click.Context, slots: int | None, until_idle: bool, detach: bool, engine: str) -> None:
    """Run tickets until told to stop."""
    if engine == "ray":
        raise BadInput("the ray engine is not built yet", mend="Leave out --engine.")
    here = view(ctx)
    require_settings(here.session)
    _require_agent(here)
    if unprotected := notice(here.settings, here.session):
        click.echo(safe(unprotected), err=True)
    if detach:
        _detach(here, slots, until_idle)
        return
    _log_to(here)
    with open_daemon(here.opened) as daemon:
        ending, interrupted = _run(daemon, here, slots, until_idle)
    ctx.exit(farewell(here.session, ending, until_idle, interrupted))


class Redacted(logging.Formatter):
    """Tracebacks too."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


def _log_to(here: View) -> None:
    logging.raiseExceptions = False  # a log that finds no room is no news for a terminal
    here.session.places.daemon_log.touch(mode=0o600)
    handler = logging.FileHandler(here.session.places.daemon_log)
    handler.setFormatter(Redacted(here.opened.secrets.redact_text))
    logging.basicConfig(handlers=[handler])


def _require_agent(here: View) -> None:
    if not here.settings.agents:
        raise BadInput(
            "no agent is configured",
            mend='Name one in ticketd.toml, as in: [agents.default] command = ["./agent.sh"]; `ticketd init` writes '
            "what it finds installed.",
        )


def _run(daemon: Daemon, here: View, slots: int | None, until_idle: bool) -> tuple[Ending, bool]:
    """The first ^C drains, the second one ends agents at once; SIGTERM does that right away."""
    interrupts = 0

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += 1
        if not sys.stdout.isatty():  # a terminal has it in the status
            # os.write: the handler may have come in the middle of a buffered write.
            os.write(2, b"\nending agents now; their work is kept\n" if interrupts > 1 else DRAINING)
        daemon.stop(Stop.NOW if interrupts > 1 else Stop.DRAIN)

    def on_term(_number: int, _frame: FrameType | None) -> None:
        daemon.stop(Stop.NOW)

    signal.signal(signal.SIGINT, on_interrupt)
    signal.signal(signal.SIGTERM, on_term)
    signal.signal(signal.SIGHUP, on_term)
    with Display(here.session, here.settings, until_idle):
        ending = daemon.run(os.getpid(), slots, until_idle)
    return ending, interrupts > 0


def _detach(here: View, slots: int | None, until_idle: bool) -> None:
    """Start another ticketd in a session of its own and wait until it holds the repository."""
    here.opened.lock.take()
    here.opened.lock.release()
    command = [sys.executable, "-m", "ticketd", "--repo", str(here.session.root), "start"]
    command += [f"--slots={slots}"] if slots else []
    command += ["--until-idle"] if until_idle else []
    log = here.session.places.daemon_log
    log.touch(mode=0o600)
    with log.open("ab") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd=here.session.root
        )
    if not _is_up(here, child):
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
        raise TicketdError(f"the daemon did not start:\n{last}", mend=f"All it said is in {log}.")
    click.echo(f"ticketd runs in the background (pid {child.pid}); it logs to {log}")


def _is_up(here: View, child: subprocess.Popen[bytes]) -> bool:
    waited = 0.0
    while waited < READY_S:
        record = here.session.store.board().daemon
        if here.session.is_running() and record is not None and record.pid == child.pid:
            return True
        try:
            if child.wait(timeout=0.05) == DaemonRuns.exit_code:
                raise DaemonRuns("another daemon was faster", mend="`ticketd status` shows it.")
            return child.returncode == 0
        except subprocess.TimeoutExpired:
            waited += 0.05
    return False
