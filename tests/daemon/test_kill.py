"""kill -9 at every write the daemon makes, then a daemon that finds what is left: each ticket lands exactly once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from acceptance_yard import Yard, git, make_yard

DRIVER = Path(__file__).with_name("kill_driver.py")
TICKETS = {"a": "/x.txt", "b": "/x.txt", "c": "/y.txt"}


def tickets(yard: Yard) -> None:
    """Two that overlap, and one that fails once and leaves work uncommitted."""
    yard.ticket("a", touches="/x.txt", does=("append x.txt a", "commit a"))
    yard.ticket("b", touches="/x.txt", does=("append x.txt b",))
    yard.ticket("c", touches="/y.txt", does=("append y.txt c", "fail-first 1"))


def run_and_kill(yard: Yard, when: str, number: int) -> bool:
    """Whether it was killed, not done."""
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(yard.work), when, str(number)], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def check(yard: Yard) -> None:
    assert Counter(yard.subjects()) == Counter(["first", *TICKETS])
    assert yard.file("x.txt").splitlines() == ["a", "b"]
    assert {line["state"] for line in yard.json("list")["tickets"]} == {"landed"}
    refs = git(yard.control, "for-each-ref", "--format=%(refname)", "refs/ticketd/").splitlines()
    for line in yard.json("list")["tickets"]:
        attempts = yard.json("show", line["id"])["attempt_list"]
        assert all(attempt["ref"] in refs for attempt in attempts if attempt["ref"])
    assert git(yard.control, "fsck", "--no-dangling", "--connectivity-only") == ""
    log = git(yard.origin, "reflog", "show", "--format=%H", "main").splitlines()
    for newer, older in pairwise(log):
        git(yard.origin, "merge-base", "--is-ancestor", older, newer)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_each_write_once_every_ticket_still_lands_once(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, killed = 1, True
    while killed:
        root = tmp_path / str(number)
        root.mkdir()
        yard = make_yard(root, monkeypatch)
        tickets(yard)
        killed = run_and_kill(yard, when, number)
        done = yard.until_idle()
        assert done.returncode == 0, (number, done.stdout, done.stderr)
        check(yard)
        number += 3
    assert number > 20


def test_killed_again_and_again_within_one_run_every_ticket_still_lands_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = make_yard(tmp_path, monkeypatch)
    tickets(yard)
    step, kills = 1, 0
    while run_and_kill(yard, "after", step):
        kills += 1
        step = step % 7 + 2
    check(yard)
    assert kills > 3
