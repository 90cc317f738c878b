"""Runs ticketd again and again without paying for its start each time: imports it once, and forks for each command.

Reads a line of JSON for each command, and answers with its wait status as an exit code (-9: killed by SIGKILL):

    {"args": ["start", "--until-idle"], "env": {…}, "out": PATH, "heard": PATH or null, "refuse": 0,
     "store": null, "discard": ""}

`heard`: the points that it passes are written there, none kills. `refuse`: so many starts find no process left.
`store`: instead of a command, a method of the store is called, with these arguments. `discard`: instead of a command,
this worktree goes.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from ticketd import cli, failpoints
from ticketd.app.session import Session
from ticketd.boot.session import open_session
from ticketd.engines.local import LocalEngine
from ticketd.git.control import Control
from ticketd.git.repository import identity
from ticketd.git.worktrees import WorktreePool
from ticketd.ports import NoCapacity


def be(command: dict[str, Any]) -> None:
    """In the child: become that command."""
    os.environ.clear()
    os.environ.update(command["env"])
    out = os.open(command["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd, onto in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(fd, onto)
    if command["heard"]:
        listen(Path(command["heard"]))
    if command["refuse"]:
        refuse(command["refuse"])
    if command["store"] or command["discard"]:
        failpoints.arm(os.environ)
        do_by_hand(open_session(Path(command["repo"])).session, command)
        sys.exit(0)
    sys.argv = ["ticketd", "--repo", command["repo"], *command["args"]]
    cli.main()


def do_by_hand(session: Session, command: dict[str, Any]) -> None:
    if command["store"]:
        method, *given = command["store"]
        getattr(session.store, method)(*given)
    else:
        pool = WorktreePool(Control(session.places.state, identity(session.root)))
        print(pool.discard(command["discard"], True, ()))


def listen(heard: Path) -> None:
    file = os.open(heard, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write_down(name: str) -> None:
        os.write(file, f"{name}\n".encode())

    failpoints.listen(write_down)


def refuse(times: int) -> None:
    start, left = LocalEngine.start, [None] * times

    def start_or_not(self: LocalEngine, spec: Any) -> Any:
        if left and not spec.die_with_parent:
            left.pop()
            return NoCapacity("no process left")
        return start(self, spec)

    LocalEngine.start = start_or_not  # type: ignore[method-assign]


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                be(json.loads(line))
            except SystemExit as asked:
                os._exit(asked.code if isinstance(asked.code, int) else int(bool(asked.code)))
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(70)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(code, flush=True)


if __name__ == "__main__":
    main()
