"""Where a process can be told to die, for the proof that nothing is lost by it: right after each durable step.

`TICKETD_FAILPOINT=NAME[:N]` in its environment makes a process of ticketd kill itself (SIGKILL) when it passes the
point of that name for the Nth time. Nothing else arms a point, and one that is not armed costs a comparison.

What is durable goes through few doors: a transaction of the store, a git command that writes, a file put in its place.
Each door has its point, and the point is named after the function that came through it; so a step that is new has one
too, and the test that listens to a whole run asks for a sentence about it here. `engines/supervisor.py` has points of
its own: it imports nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType

from ticketd.errors import BadInput

VARIABLE = "TICKETD_FAILPOINT"
POINTS: dict[str, str] = {}
"""Each point, and what has just become durable where it is passed."""

_heard: Callable[[str], None] | None = None


def hit(name: str) -> None:
    """This point is passed: something has become durable."""
    if _heard is not None:
        _heard(name)


def passed(door: str, way: str = "", through: tuple[str, ...] = ()) -> None:
    """Like `hit`, at a door that many come through: the point is that of whoever called the door's function. Functions
    named in `through` are of the door, too."""
    if _heard is not None:
        _heard(f"{door}/{_caller(sys._getframe(2), through)}{way and '/'}{way}")


def _caller(frame: FrameType | None, through: tuple[str, ...]) -> str:
    while frame is not None:
        code, module = frame.f_code, frame.f_globals.get("__name__", "")
        if module != "contextlib" and code.co_name not in through and not code.co_name.startswith("<"):
            return f"{module.rpartition('.')[2]}.{code.co_name}"
        frame = frame.f_back
    return "nobody"


def arm(environ: Mapping[str, str]) -> None:
    """Raises:
    BadInput: the environment names a point that is not there.
    """
    if not (said := environ.get(VARIABLE)):
        return
    name, _, number = said.partition(":")
    if name not in POINTS or not (number or "1").isdecimal():
        raise BadInput(
            f"{VARIABLE} is {said!r}, and there is no such point", mend="wiki/_global/failpoints.md lists all."
        )
    listen(_Death(name, int(number or 1)))


def listen(heard: Callable[[str], None] | None) -> None:
    """Each point that is passed from now on is told, in the thread that passes it."""
    global _heard
    _heard = heard


class _Death:
    """Counts over all threads."""

    def __init__(self, name: str, left: int) -> None:
        self._name, self._left, self._counting = name, left, threading.Lock()

    def __call__(self, name: str) -> None:
        with self._counting:
            self._left -= name == self._name
            if self._left == 0 and name == self._name:
                os.write(2, f"ticketd: killed at the failpoint {name}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)
