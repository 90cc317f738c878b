"""Daemon, supervisors and the machine go down while real agents run; and what is to end does, all of it."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from acceptance_yard import Yard, git, wait_until

from ticketd.boot.daemon import open_daemon
from ticketd.boot.session import open_session
from ticketd.domain.ticket import TicketRecord
from ticketd.engines import run
from ticketd.engines.supervisor import cgroups, processes
from ticketd.engines.supervisor.records import read_small
from ticketd.store import open_store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper and /proc")


def script(yard: Yard, text: str, config: str = "") -> None:
    path = yard.root / "agent.sh"
    path.write_text(text)
    yard.config(config, agent=f'[agents.default]\ncommand = ["bash", "{path}"]\n')


def run_dir(yard: Yard, key: str) -> Path:
    return next(yard.state.glob("ticketd/*/runs")) / key


def alive(yard: Yard) -> list[int]:
    """Every process of any run of this yard, by the mark in its environment."""
    mark = f"{processes.MARK}={next(yard.state.glob('ticketd/*/runs')).parent.name}/".encode()
    environments = {pid: read_small(f"/proc/{pid}/environ") or b"" for pid in processes.everyone()}
    found = [pid for pid, text in environments.items() if any(each.startswith(mark) for each in text.split(b"\0"))]
    return [pid for pid in found if processes.stat(pid)[:1] not in ([], [b"Z"])]


def kinds(yard: Yard) -> list[str]:
    with closing(open_store(next(yard.state.glob("ticketd/*/store.db")))) as store:
        return [event.kind for event in store.events(ticket="a")]


def record(yard: Yard) -> TicketRecord:
    """Of the only ticket; without a process for the asking."""
    with closing(open_store(next(yard.state.glob("ticketd/*/store.db")))) as store:
        found = store.ticket("a")
        assert found
        return found


def until_seen(path: Path) -> None:
    wait_until(path.exists, f"{path.name} is there")


def go_down(yard: Yard, key: str) -> None:
    """What the next boot finds of a run that was under way: records of a boot that is over, and no process."""
    started = run.read_started(run_dir(yard, key))
    assert started
    os.kill(started.supervisor_pid, signal.SIGKILL)
    wait_until(lambda: not run.is_held(run_dir(yard, key)), "the supervisor is gone")
    wait_until(lambda: alive(yard) == [], "its agent is gone with it")
    cgroups.remove_cgroup(started.cgroup)
    record = run_dir(yard, key) / "started.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"boot_id": "the one before"}))


def test_a_machine_that_goes_down_costs_no_retry_and_the_agent_goes_on_from_what_was_done(yard: Yard) -> None:
    begun, go = yard.root / "begun", yard.root / "go"
    does = ("append a.txt x", "commit half", "append a.txt y", f"write {begun} x", f"wait-for {go}")
    yard.ticket("a", touches="/a.txt", does=does, retries=0)
    daemon = yard.start()
    until_seen(begun)
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    go_down(yard, "a/1")
    go.touch()
    assert yard.until_idle().returncode == 0
    assert yard.file("a.txt").split() == ["x", "y", "x", "y"]
    last = record(yard)
    assert (last.attempts, last.failures, last.state) == (2, 0, "landed")
    [requeued] = [event for event in yard.json("show", "a")["events"] if event["kind"] == "requeued"]
    assert (requeued["resume"], requeued["deferrals"], requeued["not_before"]) == (1, 0, None)
    assert "broken off" in (run_dir(yard, "a/2") / "brief.md").read_text()
    yard.assert_events_tell_all()


def test_an_agent_that_ended_while_no_daemon_ran_is_collected_once_with_its_exit_code(yard: Yard) -> None:
    begun, go = yard.root / "begun", yard.root / "go"
    script(yard, f"echo x > a.txt; touch {begun}; until test -e {go}; do sleep 0.02; done; exit 3\n")
    yard.ticket("a", touches="/a.txt", retries=0)
    daemon = yard.start()
    until_seen(begun)
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    go.touch()
    until_seen(run_dir(yard, "a/1") / "exit.json")
    for _ in range(2):
        assert yard.until_idle().returncode == 1
    last = record(yard)
    assert (last.reason, last.attempts) == ("agent-failed", 1)
    assert "exit code 3" in last.detail
    assert [kinds(yard).count(kind) for kind in ("agent-ended", "work-kept", "failed")] == [1, 1, 1]
    assert git(yard.control, "show", "refs/ticketd/a/1:a.txt") == "x"


class FastClock:
    """A backoff of 5 s takes 25 ms."""

    def __init__(self) -> None:
        self.begun = time.monotonic()

    def now(self) -> float:
        return 1_790_000_000.0 + self.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self.begun) * 200.0


def test_an_agent_whose_supervisor_is_killed_again_and_again_fails_in_the_end_and_keeps_its_work(yard: Yard) -> None:
    script(yard, "echo x >> a.txt; setsid sleep 1000 & kill -9 $PPID; sleep 1000\n")
    yard.ticket("a", touches="/a.txt", retries=0)
    opened = open_session(yard.work)
    opened = replace(opened, session=replace(opened.session, clock=FastClock()))
    with open_daemon(opened) as daemon:
        daemon.run(os.getpid(), None, until_idle=True)
    last = record(yard)
    assert (last.state, last.reason, last.attempts) == ("failed", "lost", 4)
    assert alive(yard) == []
    assert git(yard.control, "show", "refs/ticketd/a/4:a.txt").split() == ["x"] * 4


# Forks twice into a session of its own, minds no SIGTERM, and puts itself back.
HYDRA = """\
trap '' TERM
echo half > a.txt
setsid bash -c 'trap "" TERM; while :; do setsid bash -c "trap \\"\\" TERM; exec sleep 1000" & wait $!; done' &
setsid sleep 1000 &
"""


@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_all_that_an_agent_has_begun_is_gone_before_its_slot_is_free(yard: Yard, how: str) -> None:
    up = yard.root / "up"
    halt = "kill -STOP $$; " if how == "stop" else ""
    script(yard, f"{HYDRA}touch {up}; {halt}sleep 1000\n", '[limits]\ngrace = "1s"\n')
    yard.ticket("a", touches="/a.txt", retries=0)
    daemon = yard.start()
    until_seen(up)
    wait_until(lambda: len(alive(yard)) >= 4, "all of it runs")
    command = ("cancel", "a") if how == "cancel" else ("stop", "--now")
    assert yard.run(*command).returncode == 0
    wait_until(lambda: record(yard).state != "running", "its ticket is done with")
    assert alive(yard) == []
    assert record(yard).state == ("cancelled" if how == "cancel" else "queued")
    assert git(yard.control, "show", "refs/ticketd/a/1:a.txt") == "half"
    if how != "cancel":
        assert daemon.wait(timeout=60) == 0


def test_a_verification_that_hangs_is_ended_at_its_time_limit_with_the_servers_it_has_begun(yard: Yard) -> None:
    check = yard.root / "check.sh"
    check.write_text("setsid bash -c 'trap \"\" TERM; while :; do sleep 1000; done' & sleep 1000\n")
    yard.config(f'[limits]\nretries = 0\n[landing]\nrepairs = 0\nverify = ["bash", "{check}"]\nverify_timeout = "1s"\n')
    yard.ticket("a", touches="/a.txt", does=("append a.txt x",))
    yard.until_idle()
    assert (record(yard).state, record(yard).reason) == ("failed", "verify-failed")
    assert alive(yard) == []


def test_a_setup_that_outlived_its_daemon_for_a_moment_is_gone_before_the_next_begins(yard: Yard) -> None:
    up, held = yard.root / "up", yard.root / "held"
    os.mkfifo(held)
    setup = yard.root / "setup.sh"
    setup.write_text(f"test -e {up} && exit 0\ntrap '' TERM\nexec 3>{held}\ntouch {up}\nwhile :; do sleep 1000; done\n")
    yard.config(f'slots = 1\n[worktrees]\nsetup = ["bash", "{setup}"]\n')
    yard.ticket("a", touches="/a.txt", does=("append a.txt x",))
    fd = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    try:
        daemon = yard.start()
        until_seen(up)
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        assert alive(yard)
        script(
            yard,
            f"echo x > a.txt; ps -eo args > {yard.root}/ps\n",
            f'slots = 1\n[worktrees]\nsetup = ["bash", "{setup}"]\n',
        )
        assert yard.until_idle().returncode == 0
        assert str(setup) not in (yard.root / "ps").read_text()
        poll = select.poll()
        poll.register(fd, select.POLLHUP)
        assert poll.poll(0), "the first one still holds its pipe"
    finally:
        os.close(fd)
    assert not list(run_dir(yard, "a").glob("*-setup-*"))
