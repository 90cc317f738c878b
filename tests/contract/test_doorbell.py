"""The doorbell: whoever of the daemon's threads rings it, it wakes who waits, and is nobody's undoing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from ticketd.doorbell import Doorbell


def test_a_ring_wakes_who_waits_and_any_number_of_rings_are_one(tmp_path: Path) -> None:
    with closing(Doorbell(tmp_path)) as bell:
        for _ in range(10_000):  # more than a socket holds
            bell.ring()
        assert bell.wait(None)
        assert not bell.wait(0)


def test_a_thread_that_outlasts_the_daemon_may_still_ring(tmp_path: Path) -> None:
    bell = Doorbell(tmp_path)
    bell.close()
    bell.ring()
