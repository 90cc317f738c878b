"""`ticketd plan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import sixty
from eyes_yard import NOW, Terminal, Yard

from ticketd.app.plan import plan as plan_at
from ticketd.cli.render.gantt import gantt
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.budget import DaySpent
from ticketd.domain.claims import Claim
from ticketd.domain.days import day_of
from ticketd.domain.globs import PatternSet
from ticketd.domain.landing import Landed
from ticketd.domain.overlaps import overlaps
from ticketd.domain.pool import Pool, TargetRecord
from ticketd.domain.settings import BudgetSettings, Settings
from ticketd.domain.ticket import Size, Ticket, TicketRecord, TicketState
from ticketd.domain.verdict import ToLanding
from ticketd.ports import Board

S, M, L = 300, 720, 1800


def record(id_: str, touches: Sequence[str], depends_on: Sequence[str] = (), size: Size = Size.M) -> TicketRecord:
    patterns = PatternSet(tuple(touches))
    ticket = Ticket(id_, f"tickets/{id_}.md", id_, touches=patterns, depends_on=tuple(depends_on), size=size)
    return TicketRecord(ticket, age=1)


def board(*records: TicketRecord, slots: int = 8) -> Board:
    return Board({r.id: r for r in records}, (), (), (), Pool(slots), None, None, 0.0)


def plan(of: Board, settings: Settings, now: float = NOW) -> dict[str, Any]:
    return plan_at(of, settings, now)


def ends(planned: dict[str, Any]) -> float:
    """When the chart does: every ticket at its likely time."""
    return max((row["end_s"] for row in planned["gantt"]), default=0)


def test_the_document_is_the_contracts(yard: Yard) -> None:
    yard.ticket("a", touches=["src/x.py"], size="S")
    yard.ticket("b", touches=["src/*.py"], size="S")
    yard.ticket("c", touches=["docs/**"], depends_on=["a"], size="L")
    document = yard.run("plan", "--json").document()
    makespan = document.pop("makespan_s")
    assert list(makespan) == ["low", "likely", "high"]
    assert makespan["low"] < makespan["likely"] < makespan["high"]
    assert document.pop("one_more_slot_s") == 0
    assert document == {
        "schema": 1,
        "tickets": 3,
        "slots": 4,
        "levels": [["a", "b"], ["c"]],
        "width": 2,
        "critical_path": ["a", "c"],
        "critical_path_s": S + L,
        "ceiling": {"mean": 1.1, "at_once": 2, "chain": ["a", "c"], "chain_s": S + L},
        "gantt": [
            {"ticket": "a", "slot": 1, "start_s": 0, "end_s": S},
            {"ticket": "b", "slot": 1, "start_s": S, "end_s": S + S},
            {"ticket": "c", "slot": 2, "start_s": S, "end_s": S + L},
        ],
        "depends_on": {"c": ["a"]},
        "overlaps": [{"a": "a", "b": "b", "path": "src/x.py"}],
        "stuck": [],
        "over_budget": [],
    }


def test_a_person_reads_the_same(yard: Yard) -> None:
    yard.ticket("a", touches=["src/x.py"])
    yard.ticket("b", touches=["src/*.py"])
    yard.ticket("c", touches=["docs/**"], depends_on=["a"])
    yard.ticket("d", touches=["other/**"], depends_on=["nowhere"])
    out = yard.run("plan").out
    for said in (
        "could use 1.5 slots in the mean, 2 at one moment; one more would gain nothing",
        "longest chain, 24 min: a → c",
        "1  ╞a",
        "level 1 (3): a, b, d",
        "level 2 (1): c",
        "depends on nowhere, and there is no such ticket",
    ):
        assert said in out, said
    assert "a        b     src/x.py" in out


def test_graphviz_gets_the_edges(yard: Yard) -> None:
    yard.ticket("a", touches=['src/"x".py'])
    yard.ticket("b", touches=["src/*.py"])
    yard.ticket("c", touches=["docs/**"], depends_on=["a"])
    lines = [line.strip() for line in yard.run("plan", "--dot").out.splitlines()]
    assert (lines[0], lines[-1]) == ("digraph plan {", "}")
    assert '"a" -> "c" [style=bold];' in lines
    assert '"a" -> "b" [dir=none, style=dashed, constraint=false, label="src/\\"x\\".py"];' in lines
    assert yard.run("plan", "--dot", "--json").code == 2


def test_the_same_queue_is_planned_the_same() -> None:
    records = [record(f"t{number}", [f"{number % 3}/**"]) for number in range(9)]
    assert plan(board(*records, slots=2), Settings()) == plan(board(*records, slots=2), Settings())


def test_one_more_slot_gains_what_it_gains() -> None:
    records = [record(f"t{number}", [f"/{number}/**"]) for number in range(6)]
    gains = [plan(board(*records, slots=n), Settings())["one_more_slot_s"] for n in (1, 2, 6)]
    assert gains[0] > gains[1] > gains[2] == 0


def test_running_tickets_count_with_the_rest_of_their_time() -> None:
    running = replace(record("a", ["/x"]), state=TicketState.RUNNING, attempts=1)
    attempt = Attempt(AttemptKey("a", 1), AttemptState.RUNNING, 2, "0" * 40, "default", started_at=NOW - 500)
    half_done = replace(
        board(running, record("b", ["/x"])), attempts=(attempt,), claims=(Claim("a", 1, running.ticket.touches),)
    )
    assert plan(half_done, Settings())["gantt"] == [
        {"ticket": "a", "slot": 2, "start_s": 0, "end_s": M - 500},
        {"ticket": "b", "slot": 1, "start_s": M - 500, "end_s": 2 * M - 500},
    ]


def test_what_a_budget_holds_is_told_and_who_may_mend_it() -> None:
    spent = DaySpent(day_of(NOW), {"acme": 2.0})
    budgets = Settings(budget=BudgetSettings(ticket=3.0, scope=2.0))
    acme = record("acme", ["/a"])
    acme = replace(acme, ticket=replace(acme.ticket, scope="acme"))
    of = replace(board(replace(record("dear", ["/d"]), spent_usd=3.0), acme, record("free", ["/f"])), spent=spent)
    planned = plan(of, budgets)
    assert [(each["ticket"], "raise `ticket`" in each["why"]) for each in planned["stuck"]] == [("dear", True)]
    (held,) = planned["over_budget"]
    assert held["ticket"] == "acme" and "scope acme has cost $2.00 today, of $2.00" in held["why"]


def test_held_tickets_and_theirs_cannot_run_as_it_stands() -> None:
    planned = plan(board(replace(record("a", ["/a"]), held=True), record("b", ["/b"], ["a"])), Settings())
    assert [(each["ticket"], each["why"]) for each in planned["stuck"]] == [
        ("a", "held by a person; `ticketd unhold a` lets it go"),
        ("b", "depends on a, which cannot run either"),
    ]
    assert planned["gantt"] == []


# --- the chart ---


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_sixty_tickets_fit_a_terminal(yard: Yard, columns: int) -> None:
    sixty.write(yard.root)
    terminal = Terminal(yard, columns, 50, "plan")
    assert terminal.end() == 0
    lines = terminal.lines()
    assert max(map(len, lines)) <= columns
    bars = [line for line in lines if "┤" in line]
    assert [line.split()[0] for line in bars] == [str(slot) for slot in range(1, 9)]
    assert any("╡" in line for line in bars)
    assert "\x1b[1;31m╞" in terminal.raw


def test_without_colour_the_longest_chain_still_shows(yard: Yard) -> None:
    sixty.write(yard.root)
    terminal = Terminal(yard, 80, 50, "plan", NO_COLOR="1")
    assert terminal.end() == 0
    assert "╞" in terminal.raw
    assert "\x1b[31m" not in terminal.raw


def bar(ticket: str, slot: int, start: float, end: float) -> dict[str, Any]:
    return {"ticket": ticket, "slot": slot, "start_s": start, "end_s": end}


def test_bars_stand_where_their_time_is() -> None:
    rows = [bar("a", 1, 0, 300), bar("b", 1, 300, 600), bar("a-long-name", 2, 300, 600)]
    assert [text.plain for text in gantt(rows, {"b"}, 23, 8)] == [
        "   0         5m",
        "1  ├a───────┤╞b═══════╡",
        "2            ├a-long-…┤",
    ]


def test_of_a_long_queue_the_beginning_is_shown() -> None:
    rows = [bar(f"t{number}", 1, number * 60, number * 60 + 60) for number in range(100)]
    *chart, told = (text.plain for text in gantt(rows, (), 40, 8))
    assert told == "the first 5 min of 1 h 40 min"
    assert all(f"t{number}" in chart[-1] for number in range(5))


def test_more_slots_than_fit_are_counted() -> None:
    rows = [bar(f"t{slot}", slot, 0, 60) for slot in range(1, 51)]
    assert gantt(rows, (), 80, 32)[-1].plain == "… and 18 more slots (`ticketd plan --json` has all)"


def test_nothing_to_run_is_said(yard: Yard) -> None:
    assert yard.run("plan").out == "nothing to run\n"


def test_what_overlaps_takes_its_time_one_after_the_other() -> None:
    apart = plan(board(record("a", ["a/**"]), record("b", ["b/**"])), Settings())
    together = plan(board(record("a", ["x/**"]), record("b", ["x/**"])), Settings())
    assert (ends(apart), ends(together)) == (M, 2 * M)


def test_slots_count() -> None:
    records = [record(f"t{number}", [f"/{number}/**"]) for number in range(6)]
    assert [ends(plan(board(*records, slots=n), Settings())) for n in (1, 2, 8)] == [6 * M, 3 * M, M]


def test_shared_files_are_no_overlap() -> None:
    records = {r.id: r for r in (record("a", ["x/**", "LOG"]), record("b", ["y/**", "LOG"]), record("c", ["**"]))}
    assert set(overlaps(records)) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert set(overlaps(records, PatternSet(("LOG",)))) == {("a", "c"), ("b", "c")}


def test_equal_claims_are_compared_once_and_reported_for_each_pair() -> None:
    records = {r.id: r for r in [record(f"t{number:03}", ["**"]) for number in range(100)]}
    found = overlaps(records)
    assert len(found) == 4950
    assert list(found) == sorted(found)


def test_tickets_that_never_get_ready_are_named_and_end_nothing() -> None:
    planned = plan(
        board(record("a", ["a"], ["b"]), record("b", ["b"], ["a"]), record("c", ["c"], ["a"]), record("d", ["d"])),
        Settings(),
    )
    assert {each["ticket"] for each in planned["stuck"]} == {"a", "b", "c"}
    assert ends(planned) == M


def test_dependents_of_a_failure_are_stuck(yard: Yard) -> None:
    yard.busy()
    yard.ticket("after", depends_on=["broken"], touches=["after/**"])
    stuck = yard.run("plan", "--json").document()["stuck"]
    assert {"ticket": "after", "why": "depends on broken, which is failed"} in stuck


def test_what_has_landed_is_no_obstacle(yard: Yard) -> None:
    yard.ticket("first", touches=["a/**"])
    yard.ticket("then", touches=["b/**"], depends_on=["first"])
    yard.sync()
    yard.finish(key := yard.start("first", 1), ToLanding())
    yard.session.store.land([Landed(key, "d" * 40)], TargetRecord("origin", "main", "d" * 40, NOW), NOW)
    document = yard.run("plan", "--json").document()
    assert (document["tickets"], document["stuck"], document["levels"]) == (1, [], [["then"]])
