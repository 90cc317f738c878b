"""`ticketd hook`: the pre-push hook."""

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


@hook.command()
@click.pass_context
def install(ctx: click.Context) -> None:
    """Install the hook; one that is there already is kept and runs first."""
    root: Path = ctx.obj["repo"]
    path = files.install(root)
    now = files.status(root)
    if now.state is files.HookState.BY_HAND:
        click.echo(f"{path} calls ticketd already")
        return
    click.echo(f"installed {path}" + (f"; {now.chained.name} runs first" if now.chained else ""))


@hook.command()
@click.pass_context
def uninstall(ctx: click.Context) -> None:
    """Remove the hook and put back the one that was there before."""
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
    now = files.status(ctx.obj["repo"])
    click.echo(json.dumps(_document(now)) if as_json else "\n".join(_lines(now)))


def _document(now: files.HookStatus) -> dict[str, object]:
    return {
        "schema": 1,
        "state": now.state.value,
        "path": str(now.path),
        "chained": str(now.chained) if now.chained else None,
        "hooks_path": now.hooks_path,
        "obstacle": now.obstacle or None,
    }


def _lines(now: files.HookStatus) -> list[str]:
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
