"""The daemon ends what has used up its budget, keeps the work, and goes on from it when there is money again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acceptance_yard import SCRIPTED, Yard, git, make_yard

from ticketd.agents.scripted import ScriptedAgent
from ticketd.boot.daemon import open_daemon
from ticketd.boot.session import open_session
from ticketd.cli.farewell import farewell
from ticketd.daemon.loop import Ending
from ticketd.domain.report import Report, Usage
from ticketd.ports import AgentResult, Exited, Said, SaidKind

SPENDS = "spends "
PRICES = '[prices."paid"]\ninput = 1\noutput = 10\n'


class PaidAgent(ScriptedAgent):
    """Says how many tokens it uses, as it goes; one that is ended has no time to sum them up."""

    reads_lines = True

    def read(self, line: str) -> Iterable[Said]:
        if line.startswith(SPENDS):
            yield Said(SaidKind.USAGE, usage=Usage("paid", output=int(line.removeprefix(SPENDS))))

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        result = super().read_result(exited, log, home)
        if exited is None:
            return result
        said = (each.usage for line in log.read_text().splitlines() for each in self.read(line))
        return replace(result, report=Report(usage=(Usage("paid", output=sum(each.output for each in said if each)),)))


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    return make_yard(tmp_path, monkeypatch)


def run(yard: Yard) -> Any:
    opened = open_session(yard.work)
    with open_daemon(opened) as daemon:
        daemon.works = replace(daemon.works, agent_of=lambda _: PaidAgent())
        daemon.run(os.getpid(), None, until_idle=True)
    return opened.session.store


def test_where_only_midnight_helps_a_run_until_idle_ends_and_says_so(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    yard.config(f"[budget]\nday = 0.5\n{PRICES}", SCRIPTED)
    yard.ticket("dear", touches="/a", does=("append a line", "say spends 60000"))
    yard.ticket("held", touches="/b", does=("append b line",), depends_on=["dear"])
    assert run(yard).ticket("held").attempts == 0
    assert farewell(open_session(yard.work).session, Ending.IDLE, until_idle=True, interrupted=False) == 1
    assert capsys.readouterr().out.splitlines() == [
        "1 of 2 tickets landed",
        "  held: queued: held waits for midnight: today has cost $0.60, of $0.50",
        "    the next `ticketd start` takes up what waits, or raise `day` under [budget]",
    ]
    assert "today has cost $0.60, of $0.50; waits for midnight" in yard.run("plan").stdout
    assert "waits for midnight" in yard.run("explain", "held").stdout
    yard.config(f"[budget]\nday = 5\n{PRICES}", SCRIPTED)
    assert run(yard).ticket("held").state == "landed"


def test_what_uses_up_its_budget_is_ended_and_goes_on_when_that_is_raised(yard: Yard, tmp_path: Path) -> None:
    go = tmp_path / "go"
    yard.config(f"[budget]\nticket = 1\n{PRICES}", SCRIPTED)
    yard.ticket("dear", touches="/a", does=("append a line", "say spends 150000", f"wait-for {go}"))
    yard.ticket("fails", touches="/b", does=("say spends 60000", "exit 1"), retries=5)
    yard.ticket("cheap", touches="/c", does=("append c x", "say spends 60000"))
    store = run(yard)
    told = {id_: store.ticket(id_) for id_ in ("dear", "fails", "cheap")}
    assert {id_: (str(r.reason or r.state), r.spent_usd) for id_, r in told.items()} == {
        "dear": ("budget", 1.5),
        "fails": ("budget", 1.2),
        "cheap": ("landed", 0.6),
    }
    assert (told["dear"].attempts, told["fails"].attempts) == (1, 2)
    assert "raise `ticket` under [budget]" in told["dear"].detail
    assert git(yard.control, "show", "refs/ticketd/dear/1:a") == "line"

    yard.config(f"[budget]\nticket = 5\n{PRICES}", SCRIPTED)
    go.touch()
    assert yard.run("retry", "dear").returncode == 0
    assert run(yard).ticket("dear").spent_usd == 3.0
    assert yard.file("a") == "line\nline"
    yard.assert_events_tell_all()
