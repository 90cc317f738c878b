"""`ticketd stop`: the intent, the wait, and how it ends."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hands_yard import Hands, git, make_hands

from ticketd.domain.events import EventKind
from ticketd.domain.pool import DaemonRecord, Stop
from ticketd.doorbell import DaemonLock, Doorbell


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    hands = make_hands(tmp_path)
    hands.ticket("paint", "say hi")
    hands.ok("slots")
    return hands


@pytest.fixture
def daemon(hands: Hands) -> Iterator[DaemonLock]:
    """Something that holds the daemon's lock and does nothing."""
    lock = DaemonLock(hands.state)
    lock.take()
    yield lock
    lock.release()


def stop_of(hands: Hands) -> Stop | None:
    with hands.store() as store:
        return store.pool().stop


def begin(hands: Hands, *args: str) -> tuple[subprocess.Popen[str], str]:
    """`ticketd stop` under way, and its first line."""
    process = subprocess.Popen(
        hands.command("stop", *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=hands.work
    )
    assert process.stdout is not None
    return process, process.stdout.readline()


def test_without_a_daemon_it_exits_4(hands: Hands) -> None:
    assert "no daemon runs" in hands.refused(4, "stop")
    assert stop_of(hands) is None


def test_without_a_set_up_it_exits_3(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "bare")
    assert "`ticketd init`" in Hands(tmp_path, tmp_path / "bare").refused(3, "stop")


def test_it_asks_rings_and_waits_until_the_daemon_is_gone(hands: Hands, daemon: DaemonLock) -> None:
    bell = Doorbell(hands.state)
    process, line = begin(hands)
    assert line == "stopping; nothing runs\n"
    assert bell.wait(0)
    assert stop_of(hands) is Stop.DRAIN
    assert process.poll() is None
    daemon.release()
    assert process.communicate()[0] == "stopped\n"
    assert process.returncode == 0
    bell.close()


def test_now_names_the_agents_it_ends(hands: Hands, daemon: DaemonLock) -> None:
    hands.dispatch("paint")
    assert hands.ok("stop", "--no-wait") == "stopping; waiting for 1 agent (paint)\n"
    assert hands.ok("stop", "--now", "--no-wait") == "stopping now; ending 1 agent (paint); their work is kept\n"
    assert stop_of(hands) is Stop.NOW


def test_what_cannot_be_ended_is_named_while_it_waits(hands: Hands, daemon: DaemonLock) -> None:
    key = hands.dispatch("paint")
    with hands.store() as store:
        store.held_up(key, "cannot be ended: 7 (cat)\x1b[31m")
    process, _ = begin(hands, "--now")
    assert process.stdout is not None
    assert process.stdout.readline() == "paint/1: cannot be ended: 7 (cat)\\x1b[31m\n"
    daemon.release()
    assert process.communicate()[0] == "stopped\n"


def test_a_drain_does_not_call_off_an_end(hands: Hands, daemon: DaemonLock) -> None:
    hands.ok("stop", "--now", "--no-wait")
    hands.ok("stop", "--no-wait")
    assert stop_of(hands) is Stop.NOW


def test_ctrl_c_leaves_the_drain_going(hands: Hands, daemon: DaemonLock) -> None:
    process, _ = begin(hands)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert "no longer waiting; the daemon still stops" in out
    assert stop_of(hands) is Stop.DRAIN


def test_a_daemon_that_was_still_coming_up_is_asked_again(hands: Hands, daemon: DaemonLock) -> None:
    """It clears what was asked of its predecessor, and with it what was asked of itself too early."""
    process, _ = begin(hands)
    with hands.store() as store:
        store.daemon_started(DaemonRecord(1, 5.0, "local"))
        while not [e for e in store.events(limit=1000) if e.kind is EventKind.STOP_ASKED][1:]:
            assert process.poll() is None
        daemon.release()
    assert process.communicate()[0] == "stopped\n"


def test_it_does_not_wait_for_a_daemon_that_was_started_since(hands: Hands, daemon: DaemonLock) -> None:
    with hands.store() as store:
        store.daemon_started(DaemonRecord(1, 5.0, "local"))
    process, _ = begin(hands)
    with hands.store() as store:
        store.daemon_started(DaemonRecord(1, 6.0, "local"))
    assert process.communicate()[0] == "stopped\n"
    assert process.returncode == 0
    assert stop_of(hands) is None
