"""A remote that lies, stalls or is locked: asked again, never hot, and nobody else waits for it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from acceptance_yard import git, wait_until
from hypothesis import given
from hypothesis import strategies as st
from lane_yard import LaneYard

from ticketd.app.session import Works
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.landing import Landing, Phase, tried_since
from ticketd.git.control import Control
from ticketd.git.target import RemoteTarget
from ticketd.ports import Unreachable

GOOD = 'verify = ["true"]'
DAY = 86_400.0


def stand_in(root: Path, text: str) -> tuple[str, ...]:
    """What is run for ssh; `$*` ends in the command that the server is to run."""
    program = root / "ssh"
    program.write_text(f'#!/bin/sh\nfor command; do :; done\ncase "$1" in -G) exit 1;; esac\n{text}\n')
    program.chmod(0o755)
    return (f"core.sshCommand={program}",)


def over_ssh(lane: LaneYard, text: str) -> RemoteTarget:
    control = lane.works.history
    assert isinstance(control, Control)
    url = f"ssh://host{lane.yard.origin}"
    return RemoteTarget(control, url, url, "main", stand_in(lane.yard.root, text), timeout_s=20.0)


def test_a_push_that_arrived_before_the_connection_broke_lands_once_and_is_pushed_once(lane: LaneYard) -> None:
    lane.config(GOOD)
    pushes = lane.yard.root / "pushes"
    counts = f'case "$command" in *receive-pack*) echo x >> {pushes};; esac'
    object.__setattr__(lane.works, "target", over_ssh(lane, f'{counts}\neval "$command"'))
    hook = lane.yard.origin / "hooks" / "post-receive"
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    hook.chmod(0o755)
    lane.kept("a")
    lane.until_quiet()
    lane.time_passes()
    assert (lane.states("a"), lane.subjects()) == (["landed"], ["Work of a"])
    assert pushes.read_text().split() == ["x"]


def test_a_lock_left_on_the_server_is_told_with_its_mend_and_never_asked_about_hotly(lane: LaneYard) -> None:
    lane.config(GOOD)
    lane.kept("a")
    lock = lane.yard.origin / "refs" / "heads" / "main.lock"
    lock.touch()
    lane.until_quiet()
    for _ in range(3):
        lane.until_quiet()  # it is not due
    waits = lane.landing("a")
    assert (waits.phase, waits.not_before is not None) == (Phase.BLOCKED, True)
    assert "has to remove that file" in waits.trouble
    assert "refs/heads/main.lock" in waits.trouble
    assert len(lane.verified()) == 1
    lock.unlink()
    lane.time_passes()
    assert (lane.states("a"), len(lane.verified())) == (["landed"], 1)


def test_while_a_fetch_stalls_worktrees_are_made(lane: LaneYard) -> None:
    began, go = lane.yard.root / "began", lane.yard.root / "go"
    asked = lane.yard.root / "asked"
    stalls = (
        f"if test -e {asked}; then touch {began}; until test -e {go}; do sleep 0.02; done; fi; touch {asked}\n"
        'eval "$command"'
    )
    target, said = over_ssh(lane, stalls), []
    moved = lane.outsider(o="x")
    asking = threading.Thread(target=lambda: said.append(target.tip()))
    asking.start()
    try:
        wait_until(began.exists, "the fetch has begun")
        lane.works.worktrees.prepare("1", git(lane.yard.work, "rev-parse", "main"), None, keep_ignored=False)
        assert said == []
    finally:
        go.touch()
        asking.join()
    assert said == [moved]


class Away:
    def tip(self) -> Unreachable:
        return Unreachable("away")


class Jumping:
    """A clock that a person, or a time server, sets."""

    def __init__(self, works: Works) -> None:
        self._clock = works.session.clock
        self.ahead = 0.0

    def now(self) -> float:
        return self._clock.now() + self.ahead

    def monotonic(self) -> float:
        return self._clock.monotonic()


def test_a_clock_set_a_day_ahead_or_back_fails_nobody_and_leaves_nobody_waiting(lane: LaneYard) -> None:
    lane.config(GOOD)
    lane.kept("a", "b")
    clock, target = Jumping(lane.works), lane.works.target
    object.__setattr__(lane.works.session, "clock", clock)
    object.__setattr__(lane.works, "target", Away())
    for clock.ahead in (0.0, DAY, 0.0, -DAY):
        lane.turn()
        assert lane.states("a", "b") == ["landing", "landing"]
        since, not_before = lane.landing("a").trouble_since, lane.landing("a").not_before
        assert since is not None
        assert not_before is not None
        assert since <= clock.now()
        assert not_before <= clock.now() + 60.0
    object.__setattr__(lane.works, "target", target)
    clock.ahead = DAY
    lane.until_quiet()
    assert lane.states("a", "b") == ["landed", "landed"]


BEGUN = Landing(AttemptKey("a", 1), "base", "tip", queued_at=0.0)


@given(st.lists(st.floats(1.0, 60.0), min_size=1), st.integers(0, 200), st.floats(3601.0, 10 * DAY))
def test_only_the_time_in_which_it_was_tried_wears_out_the_patience(pauses: list[float], at: int, jump: float) -> None:
    """`jump`: nobody tries for that long, at some point."""
    now, tried, landing = 1000.0, 0.0, replace(BEGUN, trouble_since=1000.0, not_before=1000.0)
    for number, pause in enumerate(pauses):
        now += pause + (jump if number == at % len(pauses) else 0.0)
        tried += pause
        since = tried_since(landing, now, 3600.0)
        landing = replace(landing, trouble_since=since, not_before=now)
        assert now - since <= tried + 1e-3
    assert now - tried_since(landing, now, 3600.0) >= tried - max(pauses) - 1e-3
