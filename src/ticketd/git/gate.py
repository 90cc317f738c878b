"""A gate: a repository beside the control repository, whose `proc-receive` hook decides what becomes of a push.

There is one that an agent's `git push` and `git fetch` go to, and one for people who want it. A gate has no objects of
its own, its directory of objects being the control repository's, and its refs never move by a push. What it shows lies
in a namespace that only a fetch is sent to: so a push finds no branch there, and the client does not refuse one that
is behind before the gate is asked. (Were the branch hidden from pushes, git 2.39 would decline it as "hidden".)
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from pathlib import Path

from ticketd import failpoints
from ticketd.git.configuration import GATE, PEOPLE, quoted
from ticketd.git.door import Git
from ticketd.git.repository import CONTROL
from ticketd.git.tree import lead, remove, write_whole

SHOWN = "refs/namespaces/shown"

# The hooks' place is named because a person's own configuration may name another, for all repositories. Received
# objects are written one by one, so that those which are there already are not stored a second time.
_CONFIG = """\
[core]
\trepositoryFormatVersion = 1
\tbare = true
\thooksPath = {hooks}
[extensions]
\tobjectFormat = {format}
\tpreciousObjects = true
[receive]
\tprocReceiveRefs = refs
\tadvertisePushOptions = true
\tunpackLimit = 1000000
\tautogc = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""


HOOK = "#!/bin/sh\n# Made by ticketd, which decides here what becomes of a push.\n"


def open_gate(gate: Path, command: str, branch: str, tip: str | None) -> None:
    """Make the gate, or put right what is not as it should be. Each file is written as a whole and none is taken away,
    so that a push which is under way meets a gate all the time. `command` is the hook's, for a shell; `tip` is what the
    target `branch` is at, as far as that is known."""
    control = gate.with_name(CONTROL)
    if gate.is_symlink() or (gate.exists() and not gate.is_dir()):
        remove(gate)
    for folder in ("refs/heads", f"{SHOWN}/refs/heads", "hooks"):
        (gate / folder).mkdir(parents=True, exist_ok=True)
    form = Git(control, env={"GIT_DIR": str(control)}).run("rev-parse", "--show-object-format")
    for shared in ("objects", "shallow"):
        lead(gate / shared, Path("..", CONTROL, shared))
    write_whole(gate / "config", _CONFIG.format(hooks=quoted(str(gate / "hooks")), format=form))
    write_whole(gate / SHOWN / "HEAD", f"ref: {SHOWN}/refs/heads/{branch}\n")
    _write_hook(gate / "hooks" / "proc-receive", f"{HOOK}exec {command}\n")
    write_whole(gate / "HEAD", "ref: refs/heads/none\n")
    heads = gate / SHOWN / "refs" / "heads"
    for other in [path for path in heads.rglob("*") if path.is_file() and path != heads / branch]:
        remove(other)  # the target was another branch before, maybe one whose name is in the way of this one's
    if tip is not None:
        _show(gate, branch, tip)


def _write_hook(hook: Path, text: str) -> None:
    if hook.is_file() and hook.read_text(errors="replace") == text and os.access(hook, os.X_OK):
        return
    fresh = hook.with_name("proc-receive.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o755)
    if hook.is_dir():
        remove(hook)
    fresh.replace(hook)
    failpoints.hit("file/gate.hook")


def for_agents(control: Path, branch: str) -> str:
    """The command that decides about an agent's push. Nothing of its environment counts but what names its ticket."""
    path = shlex.quote(os.environ.get("PATH", os.defpath))
    named = " ".join(f'{name}="${name}"' for name in ("HOME", "TICKETD_TICKET", "TICKETD_ATTEMPT", failpoints.VARIABLE))
    return f"env -i PATH={path} LC_ALL=C.UTF-8 {named} {_python('ticketd.git.gate_main', str(control), branch)}"


def for_people(root: Path, state: Path) -> str:
    """The command that decides about a person's push, with that person's environment: it holds the credentials."""
    return _python("ticketd.boot.receive", str(root), str(state))


def _python(module: str, *arguments: str) -> str:
    return shlex.join((sys.executable, "-E", "-P", "-m", module, *arguments))


def show_tip(state: Path, branch: str, tip: str) -> None:
    """Where agents that fetch find the target, and what a push need not send. By hand: no process for it, and nobody
    else writes there. As well as can be: a gate that somebody has damaged must not hold up a landing."""
    for gate in (state / GATE, state / PEOPLE):
        if gate.is_dir():
            with contextlib.suppress(OSError):
                _show(gate, branch, tip)


def _show(gate: Path, branch: str, tip: str) -> None:
    shown = gate / SHOWN / "refs" / "heads" / branch
    shown.parent.mkdir(parents=True, exist_ok=True)
    write_whole(shown, f"{tip}\n")
