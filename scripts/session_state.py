#!/usr/bin/env python3
"""Print the session state as JSON: what `ticketd status --json` prints, for shell scripts and hooks.

    scripts/session_state.py [DIRECTORY] | jq .counts

DIRECTORY (default: here) may be in the user's checkout, in another worktree of it, or in one of ticketd's worktrees.
Exit codes: 0 done; 2 wrong usage; 3 not a git repository, one without ticketd, or ticketd is not installed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
NOT_SET_UP = 3


def main(arguments: Sequence[str]) -> int:
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print(__doc__, file=sys.stdout if arguments[0] in ("-h", "--help") else sys.stderr)
        return 0 if arguments[0] in ("-h", "--help") else 2
    directory = Path(arguments[0] if arguments else ".").absolute()
    os.environ.update(_state_home_of(directory))
    command = ["--repo", str(directory), "status", "--json"]
    if importlib.util.find_spec("ticketd") is None:
        return _elsewhere(command)
    from ticketd.cli import main as ticketd

    sys.argv = ["ticketd", *command]
    ticketd()
    return 0


def _elsewhere(command: Sequence[str]) -> int:
    """This python knows no ticketd: become the one of the project's own environment, or the one that is installed."""
    python, installed = PROJECT / ".venv" / "bin" / "python", shutil.which("ticketd")
    sys.stdout.flush()
    if python.exists():
        os.execv(python, [str(python), "-m", "ticketd", *command])
    if installed:
        os.execv(installed, [installed, *command])
    print(f"session_state.py: ticketd is neither on PATH nor in {PROJECT / '.venv'}", file=sys.stderr)
    print("  Install it, or make that environment.", file=sys.stderr)
    return NOT_SET_UP


def _state_home_of(directory: Path) -> dict[str, str]:
    """Agents do not inherit XDG_STATE_HOME; but one of ticketd's worktrees tells itself where the state is."""
    command = ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"]
    try:
        answer = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    except OSError:
        return {}
    control = Path(answer.stdout.rstrip("\n"))
    state = control.parent
    is_ours = answer.returncode == 0 and control.name == "control.git" and (state / "repository").is_file()
    return {"XDG_STATE_HOME": str(state.parent.parent)} if is_ours and state.parent.name == "ticketd" else {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
