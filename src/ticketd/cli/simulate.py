"""`ticketd simulate`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ticketd.app.simulate import from_history, from_queue, from_trace, simulation
from ticketd.cli.repository import View, view
from ticketd.errors import BadInput
from ticketd.sim.policies import Policy
from ticketd.sim.workload import Workload

RUNS = 5


@click.command()
@click.option(
    "--policy",
    "policies",
    multiple=True,
    type=click.Choice([str(policy) for policy in Policy]),
    help="Only this one; may be given more than once.",
)
@click.option("--trace", type=click.Path(path_type=Path), help="Tickets with their durations: a file of JSON lines.")
@click.option("--history", is_flag=True, help="What this repository has done already, with the time it really took.")
@click.option("--slots", type=click.IntRange(1, 1000), help="As if there were so many.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the durations drawn for current tickets.")
@click.option(
    "--runs",
    type=click.IntRange(1, 1000),
    default=RUNS,
    show_default=True,
    help="How often to draw; a trace and the history are run once.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def simulate(
    ctx: click.Context,
    policies: tuple[str, ...],
    trace: Path | None,
    history: bool,
    slots: int | None,
    seed: int,
    runs: int,
    as_json: bool,
) -> None:
    """What each scheduling policy would make of the current tickets, a trace or the history, under a virtual clock."""
    if trace is not None and history:
        raise BadInput("--trace and --history do not go together", mend="Ask for one of them.")
    here = view(ctx)
    source = "trace" if trace is not None else "history" if history else "queue"
    loads = _loads(here, trace, history, slots, seed, runs)
    document = simulation(source, loads, [Policy(each) for each in policies] or list(Policy), seed)
    if as_json:
        click.echo(json.dumps(document))
        return
    if source == "queue":
        here.tell_errors()
    from ticketd.cli.render.simulate import show_simulation

    show_simulation(document)


def _loads(here: View, trace: Path | None, history: bool, slots: int | None, seed: int, runs: int) -> list[Workload]:
    if trace is not None:
        return from_trace(trace, here.settings, slots)
    if history:
        return from_history(here.session, here.settings, slots)
    return from_queue(here.session, here.settings, slots, seed, runs)
