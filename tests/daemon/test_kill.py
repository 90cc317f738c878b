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


def run_and_kill(yard: Yard, when: str, number: int, *kind: str) -> bool:
    """Whether it was killed, not done."""
    command = [sys.executable, str(DRIVER), str(yard.work), when, str(number), *kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def fresh_yard(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> Yard:
    root = tmp_path / str(number)
    root.mkdir()
    return make_yard(root, monkeypatch)


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


# A death after each kind of step is staged in test_failpoints.py; these go along one run, write by write.
@pytest.mark.parametrize(("when", "first"), [("before", 1), ("after", 4)])
def test_killed_at_writes_all_along_a_run_every_ticket_still_lands_once(
    when: str, first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, killed = first, True
    while killed:
        yard = fresh_yard(tmp_path, number, monkeypatch)
        tickets(yard)
        killed = run_and_kill(yard, when, number)
        done = yard.until_idle()
        assert done.returncode == 0, (number, done.stdout, done.stderr)
        check(yard)
        number += 6
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


@pytest.mark.parametrize(("when", "number"), [("before", 1), ("after", 1), ("after", 2), ("after", 3)])
def test_killed_while_an_agent_makes_way_its_ticket_still_goes_on_from_what_it_had_done(
    when: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = make_yard(tmp_path, monkeypatch)
    begun, go = tmp_path / "begun", tmp_path / "go"
    yard.config(f'slots = 1\n[scheduler]\npreempt = "critical"\n[landing]\nverify = ["sh", "-c", "{_until(begun)}"]\n')
    yard.ticket("early", touches="/early.txt", does=("append early.txt x",))
    yard.ticket(
        "long", touches="/long.txt", does=("append long.txt x", "commit begun", f"write {begun} x", f"wait-for {go}")
    )
    yard.ticket("urgent", touches="/y", does=(f"write {go} x", "write y x"), priority="critical", depends_on=["early"])
    assert run_and_kill(yard, when, number, "preempted")
    done = yard.until_idle()
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert sorted(yard.subjects()) == ["begun", "begun", "early", "first", "urgent"]
    assert yard.file("long.txt").split() == ["x", "x"]
    shown = yard.json("show", "long")
    assert (shown["attempts"], shown["failures"]) == (2, 0)
    yard.assert_events_tell_all()


def _until(path: Path) -> str:
    """Verification of the first waits for the long one to have begun: then only preemption can let the last run."""
    return f"until test -e {path}; do sleep 0.02; done"


AGENT = """\
both() { printf 'mine\\ntheirs\\n' > README.md; }
test -z "$TICKETD_REPAIR" || { git rev-parse -q --verify MERGE_HEAD > /dev/null && both; exit; }
grep -q theirs README.md && { both; exit; }
echo mine > README.md
cd OTHER && echo theirs > README.md && git commit -qam theirs && git push -q origin HEAD:main
"""


def test_killed_at_each_write_of_a_repair_it_is_begun_again_and_lands_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, killed = 1, True
    while killed:
        yard = fresh_yard(tmp_path, number, monkeypatch)
        root = yard.root
        git(root, "clone", "-q", str(yard.origin), str(root / "other"))
        (root / "agent.sh").write_text(AGENT.replace("OTHER", str(root / "other")))
        yard.config(agent=f'[agents.default]\ncommand = ["sh", "{root / "agent.sh"}"]\n')
        yard.ticket("edit", touches="/README.md", retries=0)
        killed = run_and_kill(yard, "after", number, "requeued")
        done = yard.until_idle()
        assert done.returncode == 0, (number, done.stdout, done.stderr)
        assert yard.subjects() == ["first", "theirs", "edit"]
        assert yard.file("README.md") == "mine\ntheirs"
        shown = yard.json("show", "edit")
        assert (shown["failures"], shown["repairs"]) == (0, 1)
        yard.assert_events_tell_all()
        number += 1
    assert number > 8


@pytest.mark.parametrize(("when", "first"), [("before", 1), ("after", 2)])
def test_killed_at_writes_all_along_a_train_every_ticket_still_lands_once(
    when: str, first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted from where the first of three is kept; the second one fails its verification, so there is a bisection."""
    number, killed = first, True
    while killed:
        yard = fresh_yard(tmp_path, number, monkeypatch)
        bad = '["sh", "-c", "! grep -q BAD *.txt"]'
        yard.config(f"[limits]\nretries = 0\n[landing]\nrepairs = 0\ntrain = 3\nlanes = 2\nverify = {bad}\n")
        for id_, text in (("a", "good"), ("b", "BAD"), ("c", "good")):
            yard.ticket(id_, touches=f"/{id_}.txt", does=(f"write {id_}.txt {text}",))
        killed = run_and_kill(yard, when, number, "work-kept")
        assert yard.until_idle().returncode == 1
        assert sorted(yard.subjects()) == ["a", "c", "first"], number
        assert {each["id"]: each["state"] for each in yard.json("list")["tickets"]} == {
            "a": "landed",
            "b": "failed",
            "c": "landed",
        }
        assert git(yard.control, "rev-parse", "--verify", "refs/ticketd/b/1")
        yard.assert_events_tell_all()
        number += 2
    assert number > 5
