"""The real daemon with an agent that has sessions, a home and lines that can be read: a stand-in for real CLIs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acceptance_yard import Yard, git, make_yard
from test_capacity import FastClock

from ticketd.agents.command import CommandAgent
from ticketd.app.keeping import Keeping
from ticketd.app.trees import Trees
from ticketd.boot.daemon import open_daemon
from ticketd.boot.session import open_session
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.globs import NOTHING
from ticketd.domain.report import Report, Usage
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.ticket import TicketRecord
from ticketd.domain.verdict import Requeue
from ticketd.ports import Agent, AgentResult, Exited, Kept, Launch, Said, SaidKind, Store, Task

PROGRAM = """
import json, os, subprocess, sys, time
from pathlib import Path
def say(**words): print(json.dumps(words), flush=True)
ticket, number = os.environ["TICKETD_TICKET"], os.environ["TICKETD_ATTEMPT"]
session, fresh, home = os.environ["OLD"], os.environ["FRESH"], Path(os.environ["OWN"])
say(session=session or fresh, usage=int(number))
memory, marks = home / "memory", Path(os.environ["TICKETD_REPO"]).parent
if ticket == "mends":
    seen = (os.environ["LEFT"], session, sys.stdin.read(), (home / "conf").read_text())
    Path("seen-" + number).write_text("|".join(seen))
    Path("work").write_text(memory.read_text() if session else "bad")
    memory.write_text("good")
elif ticket == "returns":
    (marks / ("returns-" + number)).touch()
    Path("seen-" + number).write_text(session)
    Path("work").write_text("good" if number != "1" else "bad")
elif ticket in ("holds-1", "holds-2"):
    (marks / ticket).touch()
    while not (marks / ("holds-2" if ticket == "holds-1" else "returns-2")).exists(): time.sleep(0.02)
    Path(ticket).touch()
elif ticket == "between":
    Path(ticket).touch()
elif ticket == "loops":
    Path("half").write_text("kept")
    for _ in range(8):
        say(kind="action", text="make test"); say(kind="result", text="exit code 2", failed=True)
    time.sleep(1000)
elif ticket == "leaves":
    Path("done").write_text("x")
    forks = ["sh", "-c", "setsid sleep 1000 & echo $!"]
    child = subprocess.Popen(forks, stdout=subprocess.PIPE, start_new_session=True)
    Path(os.environ["TICKETD_REPO"], "..", "left-pid").write_text(child.stdout.readline().decode())
"""


class Talker(CommandAgent):
    """As a real one: its own memory in its home, sessions by name, JSON lines."""

    name = "talker"
    program = "talker"
    resumes = True
    resumes_elsewhere = True
    reads_lines = True

    def launch(self, task: Task) -> Launch:
        env = {"OLD": task.session or "", "FRESH": task.fresh, "OWN": str(task.home), "LEFT": str(task.budget_usd)}
        return Launch((sys.executable, "-c", PROGRAM), env, {"conf": "ours"}, reads_brief=False)

    def read(self, line: str) -> Iterable[Said]:
        told = json.loads(line)
        if "kind" in told:
            yield Said(SaidKind(told["kind"]), told["text"], told.get("failed", False))

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        first = json.loads(log.read_text().partition("\n")[0])
        report = Report(first["session"], 0.5, (Usage("m", input=first["usage"]),))
        return AgentResult("done" if exited and exited.code == 0 else "failed", report=report)


class HomeLover(Talker):
    resumes_elsewhere = False


def run(yard: Yard, agent: Agent | None = None, slots: int = 3) -> Store:
    """The pool, to its end."""
    opened = open_session(yard.work)
    opened = replace(opened, session=replace(opened.session, clock=FastClock(time.monotonic())))
    with open_daemon(opened) as daemon:
        daemon.works = replace(daemon.works, agent_of=lambda profile: agent or Talker())
        daemon.run(os.getpid(), slots, until_idle=True)
    return opened.session.store


def record(store: Store, ticket: str) -> TicketRecord:
    found = store.ticket(ticket)
    assert found is not None
    return found


def what_failed_verification_is_mended_in_the_same_session(yard: Yard, store: Store) -> None:
    first, second = store.attempts("mends")
    session = first.report.session
    assert session and second.report.session == session
    landed = [git(yard.origin, "show", f"main:{name}") for name in ("seen-1", "seen-2", "work")]
    assert landed == ["9.0|||ours", f"8.5|{session}||ours", "good"]


def each_run_is_told_with_what_it_has_used(yard: Yard, store: Store) -> None:
    said = [(each.report.cost_usd, [usage.input for usage in each.report.usage]) for each in store.attempts("mends")]
    assert said == [(0.5, [1]), (0.5, [2])]


def one_that_is_ended_for_a_loop_keeps_its_work_and_what_it_has_used(yard: Yard, store: Store) -> None:
    failed = record(store, "loops")
    (attempt,) = store.attempts("loops")
    assert (failed.state, failed.reason, attempt.ended_for) == ("failed", "agent-failed", "loop")
    assert "8 times in a row: make test: exit code 2" in failed.detail
    assert attempt.tip != attempt.base
    assert attempt.report.session


def what_a_run_has_left_alive_is_ended_though_it_has_done_well(yard: Yard, store: Store) -> None:
    assert record(store, "leaves").state == "landed"
    with pytest.raises(ProcessLookupError):
        os.kill(int((yard.root / "left-pid").read_text()), 0)


def the_events_tell_all_of_it(yard: Yard, store: Any) -> None:
    assert store.disagreements() == []


def a_home_goes_with_its_ticket(yard: Yard, store: Store) -> None:
    opened = open_session(yard.work)
    with open_daemon(opened) as daemon:
        keeping = Keeping(daemon.works, Trees([], [], []), daemon.recovering)
        keeping.step()
    assert [each.name for each in opened.session.places.agents.iterdir()] == ["loops"]


def test_a_pool_of_agents_with_sessions_comes_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yard = make_yard(tmp_path, monkeypatch)
    yard.config('[landing]\nverify = ["sh", "-c", "! grep -q bad work"]\n')
    for id_ in ("mends", "loops", "leaves"):
        yard.ticket(id_, touches=f"/{id_}", retries=0, budget_usd=9)
    store = run(yard)
    what_failed_verification_is_mended_in_the_same_session(yard, store)
    each_run_is_told_with_what_it_has_used(yard, store)
    one_that_is_ended_for_a_loop_keeps_its_work_and_what_it_has_used(yard, store)
    what_a_run_has_left_alive_is_ended_though_it_has_done_well(yard, store)
    the_events_tell_all_of_it(yard, store)
    a_home_goes_with_its_ticket(yard, store)


def test_a_worktree_is_kept_while_the_work_is_in_the_lane_for_the_session_is_found_in_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its verification fails only when others have taken two worktrees and are in one of them still."""
    yard = make_yard(tmp_path, monkeypatch)
    verify = f"while ! test -e {tmp_path}/holds-2; do sleep 0.02; done; ! grep -q bad work"
    yard.config(f"[landing]\nverify = {json.dumps(['sh', '-c', verify])}\n")
    for priority, id_ in (("critical", "returns"), ("high", "holds-1"), ("normal", "between"), ("low", "holds-2")):
        yard.ticket(id_, touches=f"/{id_}", retries=0, priority=priority)
    store = run(yard, HomeLover(), slots=2)
    first, second = store.attempts("returns")
    assert first.worktree == second.worktree
    assert git(yard.origin, "show", "main:seen-2") == first.report.session


def test_the_daemon_that_comes_next_keeps_it_too_until_its_ticket_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = make_yard(tmp_path, monkeypatch)
    yard.ticket("returns", touches="/returns")
    opened = open_session(yard.work)
    store = opened.session.store
    with open_daemon(opened) as daemon:
        daemon.works = replace(daemon.works, agent_of=lambda profile: HomeLover())
        daemon.intake.sync(daemon.current.settings)
        key = store.dispatch(Start("returns", 1, "default"), record(store, "returns"), "b" * 40, NOTHING, 1.0)
        assert isinstance(key, AttemptKey)
        made_way = Requeue("it made way", preempted=True)
        store.attempt_started(key, "1", 4242, 2.0)
        store.add_worktree("1")
        store.attempt_over(key, 0, "exited", "", 3.0)
        store.close_attempt(key, Kept("c" * 40, ("work",)), made_way, Report("its-session"), 4.0, retire=False)
        assert daemon._trees().take("b" * 40) == "2"
        store.cancel("returns", 5.0)
        assert daemon._trees().take("b" * 40) == "1"
