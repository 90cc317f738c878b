"""When a daemon that is to stop now may end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ticketd.clock import SystemClock
from ticketd.daemon.chores import Chores
from ticketd.daemon.loop import Ending, Loop
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.pool import Pool, Stop

KEY = AttemptKey("a", 1)


def ending(chores: Chores, state: AttemptState) -> Ending | None:
    attempt = Attempt(KEY, state, 1, "base", "default")
    board = SimpleNamespace(attempts=(attempt,), pool=Pool(stop=Stop.NOW), lane=())
    nothing: Any = None
    loop = Loop(nothing, nothing, chores, nothing, False, lambda: False, lambda: None, nothing)
    decided: Any = SimpleNamespace(board=board)
    return loop._ending(decided)


@pytest.mark.parametrize(("state", "ended"), [(AttemptState.COLLECTING, Ending.STOPPED), (AttemptState.RUNNING, None)])
def test_work_that_cannot_be_kept_just_now_is_left_to_the_next_daemon_and_an_agent_is_not(
    state: AttemptState, ended: Ending | None
) -> None:
    bell: Any = SimpleNamespace(ring=lambda: None)
    chores = Chores(bell, SystemClock(), 1)
    assert ending(chores, state) is None

    def trip(key: AttemptKey) -> None:
        raise OSError("no space left")

    chores.take(KEY, trip)
    chores.close()
    assert ending(chores, state) is ended
