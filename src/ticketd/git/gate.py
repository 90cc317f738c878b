"""The gate: the repository that an agent's `git push` and `git fetch` go to, beside the control repository.

It has no objects of its own (it borrows the control repository's) and takes no refs: its `proc-receive` hook decides
about each push. What it shows lies in a namespace that only a fetch is sent to. So a push finds no branch there, and
the client does not refuse one that is behind before the gate is asked; hiding the branch from pushes would make git
2.39 refuse it as "hidden".
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from ticketd.git.configuration import GATE, quoted
from ticketd.git.door import Git
from ticketd.git.repository import CONTROL
from ticketd.git.tree import remove, write_whole

SHOWN = "refs/namespaces/shown"

# The hooks' place is named because a person's own configuration may name another, for all repositories. Received
# objects are written one by one, so that those which the control repository has are not stored a second time.
_CONFIG = """\
[core]
\trepositoryFormatVersion = 1
\tbare = true
\thooksPath = {hooks}
\talternateRefsPrefixes = refs/target/
[extensions]
\tobjectFormat = {format}
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


def open_gate(gate: Path, module: str, arguments: tuple[str, ...], branch: str) -> None:
    """Make the gate, or put right what is not as it should be. Each file is written as a whole and none is taken away,
    so that a push which is under way meets a gate all the time. `module` decides, called with `arguments`."""
    control = gate.with_name(CONTROL)
    if gate.is_symlink() or (gate.exists() and not gate.is_dir()):
        remove(gate)
    for folder in ("objects/info", "refs/heads", f"{SHOWN}/refs/heads", "hooks"):
        (gate / folder).mkdir(parents=True, exist_ok=True)
    form = Git(control, env={"GIT_DIR": str(control)}).run("rev-parse", "--show-object-format")
    write_whole(gate / "objects" / "info" / "alternates", f"{control / 'objects'}\n")
    write_whole(gate / "config", _CONFIG.format(hooks=quoted(str(gate / "hooks")), format=form))
    write_whole(gate / SHOWN / "HEAD", f"ref: {SHOWN}/refs/heads/{branch}\n")
    if not (gate / "shallow").is_symlink():  # what the control repository lacks, the gate lacks too
        (gate / "shallow").symlink_to(Path("..", CONTROL, "shallow"))
    _write_hook(gate / "hooks" / "proc-receive", module, arguments)
    write_whole(gate / "HEAD", "ref: refs/heads/none\n")


def _write_hook(hook: Path, module: str, arguments: tuple[str, ...]) -> None:
    """Only rewritten where it differs: a script that is being run cannot be replaced under every shell."""
    template = Path(__file__).with_name("proc-receive.tmpl").read_text(encoding="utf-8")
    command = shlex.join((sys.executable, "-E", "-P", "-m", module, *arguments))
    text = template.replace("@PATH@", shlex.quote(os.environ.get("PATH", os.defpath))).replace("@COMMAND@", command)
    if not (hook.is_file() and hook.read_text(errors="replace") == text and os.access(hook, os.X_OK)):
        fresh = hook.with_name("proc-receive.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o755)
        if hook.is_dir():
            remove(hook)
        fresh.replace(hook)


def show_tip(state: Path, branch: str, tip: str) -> None:
    """Where agents that fetch find the target. By hand: no process for it, and nobody else writes there."""
    shown = state / GATE / SHOWN / "refs" / "heads" / branch
    if (state / GATE).is_dir():
        shown.parent.mkdir(parents=True, exist_ok=True)
        write_whole(shown, f"{tip}\n")
