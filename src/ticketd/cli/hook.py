"""`ticketd hook`: the pre-push hook, and the gate for people."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from ticketd.git import hook as files
from ticketd.git.hook_main import hook_code


@click.group()
def hook() -> None:
    """The pre-push hook: rebases a branch that has fallen behind the target, and asks to push again."""


GATE_HELP = "A gate too: on the target's branch a plain `git push` rebases, verifies and lands in one."


@hook.command()
@click.option("--gate", is_flag=True, help=GATE_HELP)
@click.pass_context
def install(ctx: click.Context, gate: bool) -> None:
    """Install the hook; one that is there already is kept and runs first."""
    root: Path = ctx.obj["repo"]
    if gate:
        click.echo(_install_gate(root))
    path = files.install(root)
    now = files.status(root)
    if now.state is files.HookState.BY_HAND:
        click.echo(f"{path} calls ticketd already")
        return
    click.echo(f"installed {path}" + (f"; {now.chained.name} runs first" if now.chained else ""))


def _install_gate(root: Path) -> str:
    """Imported here: the hook itself has no time for it."""
    from ticketd.boot.people import install_gate

    wired = install_gate(root)
    return f"installed the gate: git push on {wired.branch} goes to {wired.gate}, which lands it"


@hook.command()
@click.option("--gate", is_flag=True, help="Remove the gate alone.")
@click.pass_context
def uninstall(ctx: click.Context, gate: bool) -> None:
    """Remove the hook and put back the one that was there before; and the gate, if there is one."""
    from ticketd.boot.people import find_gate

    if find_gate(ctx.obj["repo"]).uninstall():
        click.echo("removed the gate: git push goes to the remote again")
    elif gate:
        click.echo("the gate is not installed")
    if gate:
        return
    path = files.uninstall(ctx.obj["repo"])
    if path is None:
        click.echo("the hook is not installed")
    else:
        click.echo(f"put the earlier hook back: {path}" if path.exists() else f"removed {path}")


@hook.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Say whether the hook is installed, and where."""
    from ticketd.boot.people import find_gate

    now, gate = files.status(ctx.obj["repo"]), find_gate(ctx.obj["repo"])
    wired = str(gate.gate) if gate.installed else None
    click.echo(json.dumps(_document(now, wired)) if as_json else "\n".join(_lines(now, wired)))


def _document(now: files.HookStatus, gate: str | None) -> dict[str, object]:
    return {
        "schema": 1,
        "state": now.state.value,
        "path": str(now.path),
        "chained": str(now.chained) if now.chained else None,
        "hooks_path": now.hooks_path,
        "obstacle": now.obstacle or None,
        "gate": gate,
    }


def _lines(now: files.HookStatus, gate: str | None) -> list[str]:
    said = {
        files.HookState.INSTALLED: f"installed: {now.path}",
        files.HookState.BY_HAND: f"installed by hand: {now.path}",
        files.HookState.OTHER: f"not installed; another hook is there: {now.path}",
        files.HookState.NONE: "not installed",
    }
    lines = [said[now.state]]
    if now.chained:
        lines.append(f"runs first: {now.chained}")
    if now.hooks_path is not None:
        lines.append(f"core.hooksPath: {now.hooks_path}")
    if now.obstacle and now.state in (files.HookState.OTHER, files.HookState.NONE):
        lines.append(now.obstacle)
    if gate:
        lines.append(f"gate: {gate}")
    return lines


@hook.command(hidden=True)
@click.argument("name", type=click.Choice(["pre-push"]))
@click.argument("remote", default="")
@click.argument("url", default="")
@click.pass_context
def run(ctx: click.Context, name: str, remote: str, url: str) -> None:
    """Do what the hook does; git's list of refs is on standard input."""
    lines = os.fsdecode(sys.stdin.buffer.read())
    ctx.exit(hook_code(ctx.obj["repo"], remote, url, lines))
