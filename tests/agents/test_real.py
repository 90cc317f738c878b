"""The real agent CLIs, through the real daemon, against the scripted model: a night of what befalls them, in one pool.

`scripts/agent-clis` installs them; a CLI that is not there is skipped. What is asserted of tokens is exact: the model
knows what it has reported.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from acceptance_yard import Yard, git, lent_yard, wait_until
from model_clis import ALL, CLIS, Cli
from model_script import Fault, Part, Plan, Trouble, Write
from model_server import ModelServer

from ticketd.agents import PRESETS
from ticketd.domain.settings import AgentProfile
from ticketd.ports import Agent, Exited, Task

CONFLICT, VERIFY = "conflicts with origin/main", "What was done for this ticket is here, on top of"
LANDS = ("edit", "verify", "conflict", "limited", "overloaded", "hang", "crash")
NEED_SHELL = ("verify", "conflict", "dear")
# In a file: some have no command run that holds `$(`. It keeps the processor a little busy: one that only sleeps shows
# no sign of progress.
WAIT = """\
for i in $(seq 600); do
    test -e "${0%/*}/$TICKETD_TICKET" && break
    for j in $(seq 5000); do :; done
    sleep 0.1
done
"""
NIGHT_S = 300.0
"""So that a night ends that went wrong; on a loaded machine some take minutes."""
CONFIG = """\
slots = 8
[landing]
verify = ["sh", "-c", "! grep -rs WRONG work"]
reruns = 0
[limits]
stall = "{stall}s"
grace = "1s"
"""


def plans(go: Path, cli: Cli) -> dict[str, Plan]:
    """One that has no shell edits only; where the others would wait for the test, its model does."""
    commit = "git add -A && git commit -q -m work"
    mend = Part((Write("README.md", "mine and theirs"), commit), say="Mended.", heard=CONFLICT)
    right = Part((Write("work/verify", "right"),), say="Mended.", heard=VERIFY)
    wait = f"sh {go}/wait"
    done = {name: Part((Write(f"work/{name}", "done"), commit)) for name in LANDS}
    # What some have used is asked of their files each 10 s only: one that is quicker had come to its end before.
    # And some end one that does the same again and again.
    dear = (Write("work/dear", "WRONG"), commit, *(f"sleep 1; : {number}" for number in range(20)))
    night = {
        "edit": Plan((done["edit"],)),
        "verify": Plan((Part((Write("work/verify", "WRONG"), commit)), right)),
        "conflict": Plan((Part((wait, Write("README.md", "mine"), commit)), mend)),
        "limited": Plan((done["limited"],), (Fault(status=429, retry_after="1"),)),
        "overloaded": Plan((done["overloaded"],), (Fault(status=529),)),
        "hang": Plan((done["hang"],), (Fault(Trouble.SILENT),)),
        "crash": Plan((Part((wait, *done["crash"].steps)),)),
        "dear": Plan((Part(dear),), scale=40),
    }
    if cli.has_shell:
        return night
    night["crash"] = Plan((done["crash"],), (Fault(Trouble.SILENT),))
    return {name: plan for name, plan in night.items() if name not in NEED_SHELL}


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as served:
        yield served


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    with lent_yard(tmp_path, monkeypatch) as made:
        yield made


def set_up(yard: Yard, cli: Cli, model: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is told "later" holds up its account: those tickets have one of their own."""
    for name, value in cli.environ(model.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{cli.path()}{os.pathsep}{os.environ['PATH']}")
    price = f'[prices."{cli.model}"]\ninput = 10.0\noutput = 10.0\ncache_read = 10.0\n'
    profiles = [cli.profile(name) for name in ("default", "limited", "overloaded")]
    yard.config(CONFIG.format(stall=cli.stall_s) + price, agent="\n".join(profiles))
    (yard.root / "go").mkdir()
    (yard.root / "go/wait").write_text(WAIT)
    model.plans.update(plans(yard.root / "go", cli))
    for name in model.plans:
        front: dict[str, Any] = {"agent": name} if name in ("limited", "overloaded") else {}
        front |= {"budget_usd": 0.5, "retries": 0} if name == "dear" else {}
        touches = "/README.md" if name == "conflict" else f"/work/{name}"
        yard.ticket(name, touches=touches, does=(f"TICKETD-RUN {name}",), **front)


@pytest.mark.parametrize("name", ALL)
def test_a_night_of_an_agent(name: str, model: ModelServer, yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = ALL[name]
    if not cli.is_installed():
        pytest.skip(f"{name} is not installed in {CLIS}; `scripts/agent-clis {name}` does")
    set_up(yard, cli, model, monkeypatch)
    lands = [id_ for id_ in LANDS if id_ in model.plans]
    daemon = yard.start("--until-idle")
    wait_until(lambda: bool(model.ledger.came("crash")), "the agent that is to be killed has begun")
    wait_until(lambda: kills(yard, "crash"), "its process is known")
    (yard.root / "go/crash").touch()
    if "conflict" in lands:
        wait_until(lambda: "answered" in model.ledger.came("conflict"), "the agent whose work will conflict has begun")
        yard.push_by_hand("README.md", "theirs\n")
        (yard.root / "go/conflict").touch()
    assert daemon.wait(timeout=NIGHT_S) == ("dear" in model.plans)  # the one without budget has failed

    lines = {line["id"]: line for line in yard.json("list")["tickets"]}
    told = {id_: (line["state"], line["reason"]) for id_, line in lines.items()}
    dear = {"dear": ("failed", "budget")} if "dear" in model.plans else {}
    assert told == {**dict.fromkeys(lands, ("landed", None)), **dear}, lines
    if cli.has_shell:
        assert (yard.file("README.md"), yard.file("work/verify")) == ("mine and theirs", "right")
        assert all(yard.json("show", id_)["repairs"] for id_ in ("verify", "conflict"))
    assert [yard.json("show", id_)["failures"] for id_ in ("limited", "overloaded")] == [0, 0]
    assert lines["hang"]["attempts"] == 2 and lines["crash"]["attempts"] == 2
    for id_ in ("verify", "conflict") if cli.resumes else ():
        assert len(model.ledger.sessions(id_)) == 1, f"{id_} was mended in another session"
    assert_tokens(yard, model, cli)


@pytest.mark.parametrize("name", [name for name in ALL if PRESETS[name].resumes_elsewhere])
def test_one_that_goes_on_elsewhere_works_where_it_is_started(name: str, model: ModelServer, tmp_path: Path) -> None:
    """And not where its session began: another agent may be at work there."""
    cli, agent = ALL[name], PRESETS[name]
    if not cli.is_installed():
        pytest.skip(f"{name} is not installed in {CLIS}; `scripts/agent-clis {name}` does")
    model.plans["edit"] = Plan((Part((Write("first", "done"),)), Part((Write("second", "done"),), heard="Go on")))
    here, there = (tmp_path / name for name in ("here", "there"))
    session = None
    for tree, brief in ((here, "TICKETD-RUN edit"), (there, "TICKETD-RUN edit\nGo on")):
        tree.mkdir()
        git(tree, "init", "-q")
        session = one_run(agent, cli, model, tree, brief, session)
        assert session
    assert [(tree / "second").exists() for tree in (here, there)] == [False, True]
    assert len(model.ledger.sessions("edit")) == 1


def one_run(agent: Agent, cli: Cli, model: ModelServer, tree: Path, brief: str, session: str | None) -> str | None:
    """Its session, after a run in `tree`."""
    home, told, log = (tree.parent / name for name in ("home", "brief", f"{tree.name}.log"))
    told.write_text(brief)
    own = {"HOME": str(tree.parent), "PATH": f"{cli.path()}{os.pathsep}{os.environ['PATH']}"}
    environ = {**own, **cli.environ(model.url)}
    profile = AgentProfile("default", cli.name, model=cli.model)
    launch = agent.launch(Task(profile, told, home, True, environ, session, fresh=str(uuid4())))
    for name, text in launch.files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    with told.open() as stdin, log.open("w") as out:
        env = {**environ, **launch.env}
        done = subprocess.run(launch.argv, cwd=tree, env=env, stdin=stdin, stdout=out, stderr=out, timeout=NIGHT_S)
    result = agent.read_result(Exited(done.returncode, None, "exited", "", None, 0.0, None, None, 0), log, home)
    assert result.outcome == "done", log.read_text()
    return result.report.session


def kills(yard: Yard, ticket: str) -> bool:
    """Asked once: between two looks its pid may be known no more, and the pid 0 is this test and all around it."""
    pid = next((slot["pid"] for slot in yard.status()["slots"] if slot.get("ticket") == ticket), None)
    if pid:
        os.kill(pid, signal.SIGKILL)
    return bool(pid)


def assert_tokens(yard: Yard, model: ModelServer, cli: Cli) -> None:
    """To the digit; of one that is killed what was under way may be missing."""
    rows = {row["name"]: row["tokens"] for row in yard.json("cost", "--by", "ticket")["rows"]}
    for id_ in set(LANDS) & set(model.plans) - {"crash"}:
        reported, tokens = model.ledger.tokens(id_, side=False), rows[id_]
        cached = reported.cached if cli.tells_cached else 0
        told = (tokens["input"], tokens["cache_read"], tokens["output"])
        assert told == (reported.input - cached, cached, reported.output), id_
