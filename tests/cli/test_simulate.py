"""`ticketd simulate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sixty
from eyes_yard import NOW, Terminal, Yard

from ticketd.domain.events import EventKind
from ticketd.domain.landing import Landed, Landing, Phase
from ticketd.domain.pool import TargetRecord
from ticketd.domain.ticket import Reason
from ticketd.domain.verdict import Fail, Requeue, ToLanding

POLICIES = ["strict", "estimate", "wave", "fifo", "unordered"]


def by_policy(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["policy"]: each for each in document["policies"]}


def trace(yard: Yard, *tickets: dict[str, Any]) -> str:
    file = yard.root / "trace.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in tickets))
    return str(file)


def test_sixty_tickets_are_compared_under_every_policy(yard: Yard) -> None:
    sixty.write(yard.root)
    document = yard.run("simulate", "--json", "--runs", "2").document()
    policies = document.pop("policies")
    assert document == {"schema": 1, "source": "queue", "tickets": 60, "slots": 8, "seed": 1, "runs": 2}
    assert [each["policy"] for each in policies] == POLICIES
    for each in policies:
        assert (each["landed"], each["left"]) == (60, [])
        assert each["ratio"] >= 1.0
        assert 0 < each["utilisation"] <= 1.0
        assert list(each["waiting_s"]) == ["high", "normal", "low"]
    found = by_policy({"policies": policies})
    assert found["strict"]["makespan_s"]["likely"] < found["wave"]["makespan_s"]["likely"]


def test_the_same_seed_says_the_same_and_another_another(yard: Yard) -> None:
    sixty.write(yard.root)
    asked = ("simulate", "--json", "--policy", "strict", "--runs", "2")
    first = yard.run(*asked).document()["policies"]
    assert yard.run(*asked).document()["policies"] == first
    assert yard.run(*asked, "--seed", "2").document()["policies"] != first


def test_a_trace_is_run_as_it_says(yard: Yard) -> None:
    file = trace(
        yard,
        {"id": "a", "seconds": 60, "landing_s": 5, "touches": ["/x"]},
        {"id": "b", "seconds": 60, "landing_s": 5, "touches": ["/x"]},
        {"id": "c", "seconds": 30, "landing_s": 5, "touches": ["/y"], "priority": "low"},
    )
    document = yard.run("simulate", "--trace", file, "--slots", "2", "--policy", "strict", "--json").document()
    assert (document["source"], document["runs"], document["slots"]) == ("trace", 1, 2)
    assert document["policies"] == [
        {
            "policy": "strict",
            "makespan_s": {"low": 130, "likely": 130, "high": 130},
            "utilisation": 0.577,
            "waiting_s": {
                "normal": {"tickets": 2, "mean": 32, "p90": 65},
                "low": {"tickets": 1, "mean": 0, "p90": 0},
            },
            "overlap_blocked_s": 35,
            "lower_bound_s": 130,
            "bound_is_chain": True,
            "ratio": 1.0,
            "landed": 3,
            "left": [],
        }
    ]


def test_a_person_reads_a_table_and_what_did_not_land(yard: Yard) -> None:
    failing = {"id": "a", "seconds": 60, "retries": 0, "mishaps": [{"ends": "failed", "seconds": 30}]}
    file = trace(yard, failing, {"id": "b", "seconds": 60, "depends_on": ["a"]})
    lines = yard.run("simulate", "--trace", file, "--policy", "fifo").out.splitlines()
    assert lines[0] == "2 traced tickets, 4 slots"
    assert lines[2].split() == ["POLICY", "MAKESPAN", "BOUND", "RATIO", "SLOTS", "USED", "BLOCKED"]
    assert lines[3].split()[:3] == ["fifo", "30", "s"]
    assert lines[-1] == "fifo: 2 did not land: a, b"


def test_a_faulty_trace_is_told_with_its_line(yard: Yard) -> None:
    answer = yard.run("simulate", "--trace", trace(yard, {"id": "a", "second": 1}))
    assert answer.code == 2
    assert "trace.jsonl:1: error: `second` is not a key of a trace (did you mean `seconds`?)" in answer.err
    assert "wiki/_global/simulation.md" in answer.err


def test_a_trace_that_is_not_there_is_told(yard: Yard, tmp_path: Path) -> None:
    answer = yard.run("simulate", "--trace", str(tmp_path / "nowhere"))
    assert (answer.code, "cannot be read: No such file" in answer.err) == (2, True)


def test_trace_and_history_do_not_go_together(yard: Yard) -> None:
    assert yard.run("simulate", "--trace", "x", "--history").code == 2


def test_without_a_past_there_is_no_history(yard: Yard) -> None:
    yard.ticket("a")
    answer = yard.run("simulate", "--history")
    assert (answer.code, "nothing has been done here yet" in answer.err) == (2, True)


def test_nothing_to_simulate_is_said(yard: Yard) -> None:
    assert yard.run("simulate").out == "nothing to simulate\n"


def test_the_history_is_run_again_as_it_was(yard: Yard) -> None:
    """`a` failed once, then landed 7 s after its rebase began; `b` failed for good; `c` is still to come."""
    yard.ticket("a", touches=["/x"], retries=1)
    yard.ticket("b", touches=["/y"], retries=0)
    yard.ticket("c", touches=["/z"])
    yard.sync()
    store = yard.session.store
    yard.finish(yard.start("a", 1), Requeue("failed", failed=True, reason=Reason.AGENT_FAILED))
    yard.finish(key := yard.start("a", 1), ToLanding())
    store.set_phases([Landing(key, "b" * 40, "c" * 40, NOW + 61, Phase.QUEUED)], NOW + 70)
    store.land([Landed(key, "d" * 40)], TargetRecord("origin", "main", "d" * 40, NOW), NOW + 77)
    yard.finish(yard.start("b", 2), Fail(Reason.AGENT_FAILED, "no"))
    assert [event.kind for event in store.events(ticket="a")][-1] is EventKind.LANDED
    document = yard.run("simulate", "--history", "--json", "--policy", "strict").document()
    (strict,) = document["policies"]
    assert (document["source"], document["tickets"]) == ("history", 2)
    assert (strict["makespan_s"]["likely"], strict["landed"], strict["left"]) == (60 + 60 + 7, 1, ["b"])


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_table_fits_a_terminal(yard: Yard, columns: int) -> None:
    sixty.write(yard.root)
    terminal = Terminal(yard, columns, 50, "simulate", "--runs", "2")
    assert terminal.end() == 0
    assert max(map(len, terminal.lines())) <= columns
