"""The real agent CLIs, through the real daemon, against the scripted model: a night of what befalls them, in one pool.

`scripts/agent-clis` installs them; a CLI that is not there is skipped. What is asserted of tokens is exact: the model
knows what it has reported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acceptance_yard import Yard, make_yard, wait_until
from model_clis import ALL, CLIS, Cli
from model_script import Fault, Part, Plan, Trouble, Write
from model_server import ModelServer

CONFLICT, VERIFY = "conflicts with origin/main", "What was done for this ticket is here, on top of"
LANDS = ("edit", "verify", "conflict", "limited", "overloaded", "hang", "crash")
CONFIG = """\
slots = 8
[landing]
verify = ["sh", "-c", "! grep -rs WRONG work"]
reruns = 0
[limits]
stall = "6s"
grace = "1s"
"""


def plans(go: Path) -> dict[str, Plan]:
    commit = "git add -A && git commit -q -m work"
    mend = Part((Write("README.md", "mine and theirs"), commit), say="Mended.", heard=CONFLICT)
    right = Part((Write("work/verify", "right"),), say="Mended.", heard=VERIFY)
    wait = f"for i in $(seq 600); do test -e {go} && break; sleep 0.1; done"
    done = {name: Part((Write(f"work/{name}", "done"), commit)) for name in LANDS}
    die = 'test "$TICKETD_ATTEMPT" -gt 1 || kill -9 $PPID'
    return {
        "edit": Plan((done["edit"],)),
        "verify": Plan((Part((Write("work/verify", "WRONG"), commit)), right)),
        "conflict": Plan((Part((wait, Write("README.md", "mine"), commit)), mend)),
        "limited": Plan((done["limited"],), (Fault(status=429, retry_after="1"),)),
        "overloaded": Plan((done["overloaded"],), (Fault(status=529),)),
        "hang": Plan((done["hang"],), (Fault(Trouble.SILENT),)),
        "crash": Plan((Part((die, *done["crash"].steps)),)),
        "dear": Plan((Part((Write("work/dear", "kept"), commit, *["true"] * 12)),), scale=40),
    }


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as served:
        yield served


def set_up(yard: Yard, cli: Cli, model: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is told "later" holds up its account: those tickets have one of their own."""
    for name, value in cli.environ(model.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{cli.path()}{os.pathsep}{os.environ['PATH']}")
    price = f'[prices."{cli.model}"]\ninput = 10.0\noutput = 10.0\ncache_read = 10.0\n'
    profiles = [cli.profile(name) for name in ("default", "limited", "overloaded")]
    yard.config(CONFIG + price, agent="\n".join(profiles))
    model.plans.update(plans(yard.root / "go"))
    for name in model.plans:
        front: dict[str, Any] = {"agent": name} if name in ("limited", "overloaded") else {}
        front |= {"budget_usd": 0.5, "retries": 0} if name == "dear" else {}
        touches = "/README.md" if name == "conflict" else f"/work/{name}"
        yard.ticket(name, touches=touches, does=(f"TICKETD-RUN {name}",), **front)


@pytest.mark.parametrize("name", ALL)
def test_a_night_of_an_agent(name: str, model: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = ALL[name]
    if not cli.is_installed():
        pytest.skip(f"{name} is not installed in {CLIS}; `scripts/agent-clis {name}` does")
    yard = make_yard(tmp_path, monkeypatch)
    set_up(yard, cli, model, monkeypatch)
    daemon = yard.start("--until-idle")
    wait_until(lambda: "answered" in model.ledger.came("conflict"), "the agent whose work will conflict has begun")
    yard.push_by_hand("README.md", "theirs\n")
    (yard.root / "go").touch()
    assert daemon.wait(timeout=120) == 1  # the one without budget has failed

    lines = {line["id"]: line for line in yard.json("list")["tickets"]}
    told = {id_: (line["state"], line["reason"]) for id_, line in lines.items()}
    assert told == {**dict.fromkeys(LANDS, ("landed", None)), "dear": ("failed", "budget")}, lines
    assert (yard.file("README.md"), yard.file("work/verify")) == ("mine and theirs", "right")
    assert [yard.json("show", id_)["failures"] for id_ in ("limited", "overloaded")] == [0, 0]
    assert lines["hang"]["attempts"] >= 2 and lines["crash"]["attempts"] >= 2
    for id_ in ("verify", "conflict") if cli.resumes else ():
        assert len(model.ledger.sessions(id_)) == 1, f"{id_} was mended in another session"
    assert_tokens(yard, model)
    yard.assert_events_tell_all()


def assert_tokens(yard: Yard, model: ModelServer) -> None:
    """To the digit; of one that is killed what was under way may be missing."""
    rows = {row["name"]: row["tokens"] for row in yard.json("cost", "--by", "ticket")["rows"]}
    for id_ in set(LANDS) - {"crash"}:
        reported, tokens = model.ledger.tokens(id_, side=False), rows[id_]
        fresh = reported.input - reported.cached
        assert (tokens["input"], tokens["cache_read"], tokens["output"]) == (fresh, reported.cached, reported.output), (
            id_
        )
