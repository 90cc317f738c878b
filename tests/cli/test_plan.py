"""`ticketd plan`."""

from __future__ import annotations

from collections.abc import Sequence

from eyes_yard import NOW, Yard

from ticketd.app.plan import overlaps, plan
from ticketd.domain.globs import PatternSet
from ticketd.domain.pool import Pool, TargetRecord
from ticketd.domain.settings import ClaimsSettings, Settings
from ticketd.domain.ticket import Size, Ticket, TicketRecord
from ticketd.domain.verdict import ToLanding
from ticketd.ports import Board

S, M, L = 300, 720, 1800


def record(id_: str, touches: Sequence[str], depends_on: Sequence[str] = (), size: Size = Size.M) -> TicketRecord:
    patterns = PatternSet(tuple(touches))
    ticket = Ticket(id_, f"tickets/{id_}.md", id_, touches=patterns, depends_on=tuple(depends_on), size=size)
    return TicketRecord(ticket, age=1)


def board(*records: TicketRecord, slots: int = 8) -> Board:
    return Board({r.id: r for r in records}, (), (), (), Pool(slots), None, None, 0.0)


def test_the_document_is_the_contracts(yard: Yard) -> None:
    yard.ticket("a", touches=["src/x.py"], size="S")
    yard.ticket("b", touches=["src/*.py"], size="S")
    yard.ticket("c", touches=["docs/**"], depends_on=["a"], size="L")
    assert yard.run("plan", "--json").document() == {
        "schema": 1,
        "tickets": 3,
        "slots": 4,
        "levels": [["a", "b"], ["c"]],
        "width": 2,
        "critical_path": ["a", "c"],
        "critical_path_s": S + L,
        "makespan_s": {"low": 1260, "likely": 2100, "high": 3360},
        "overlaps": [{"a": "a", "b": "b", "path": "src/x.py"}],
        "stuck": [],
    }


def test_a_person_reads_the_same(yard: Yard) -> None:
    yard.ticket("a", touches=["src/x.py"])
    yard.ticket("b", touches=["src/*.py"])
    yard.ticket("c", touches=["docs/**"], depends_on=["a"])
    yard.ticket("d", touches=["other/**"], depends_on=["nowhere"])
    out = yard.run("plan").out
    for said in (
        "takes about 24 min (14 min to 38 min)",
        "longest chain, 24 min: a → c",
        "level 1 (3): a, b, d",
        "level 2 (1): c",
        "depends on nowhere, and there is no such ticket",
    ):
        assert said in out, said
    assert "a        b     src/x.py" in out


def test_nothing_to_run_is_said(yard: Yard) -> None:
    assert yard.run("plan").out == "nothing to run\n"


def test_what_overlaps_takes_its_time_one_after_the_other() -> None:
    apart = plan(board(record("a", ["a/**"]), record("b", ["b/**"])), Settings())
    together = plan(board(record("a", ["x/**"]), record("b", ["x/**"])), Settings())
    assert (apart["makespan_s"]["likely"], together["makespan_s"]["likely"]) == (M, 2 * M)


def test_slots_count() -> None:
    records = [record(f"t{number}", [f"{number}/**"]) for number in range(6)]
    assert [plan(board(*records, slots=n), Settings())["makespan_s"]["likely"] for n in (1, 2, 8)] == [6 * M, 3 * M, M]


def test_shared_files_are_no_overlap() -> None:
    records = {r.id: r for r in (record("a", ["x/**", "LOG"]), record("b", ["y/**", "LOG"]), record("c", ["**"]))}
    shared = Settings(claims=ClaimsSettings(shared=PatternSet(("LOG",))))
    assert set(overlaps(records, Settings())) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert set(overlaps(records, shared)) == {("a", "c"), ("b", "c")}


def test_equal_claims_are_compared_once_and_reported_for_each_pair() -> None:
    records = {r.id: r for r in [record(f"t{number:03}", ["**"]) for number in range(100)]}
    found = overlaps(records, Settings())
    assert len(found) == 4950
    assert list(found) == sorted(found)


def test_tickets_that_never_get_ready_are_named_and_end_nothing() -> None:
    planned = plan(
        board(record("a", ["a"], ["b"]), record("b", ["b"], ["a"]), record("c", ["c"], ["a"]), record("d", ["d"])),
        Settings(),
    )
    assert {each["ticket"] for each in planned["stuck"]} == {"a", "b", "c"}
    assert planned["makespan_s"]["likely"] == M


def test_dependents_of_a_failure_are_stuck(yard: Yard) -> None:
    yard.busy()
    yard.ticket("after", depends_on=["broken"], touches=["after/**"])
    assert yard.run("plan", "--json").document()["stuck"] == [
        {"ticket": "after", "why": "depends on broken, which is failed"}
    ]


def test_what_has_landed_is_no_obstacle(yard: Yard) -> None:
    yard.ticket("first", touches=["a/**"])
    yard.ticket("then", touches=["b/**"], depends_on=["first"])
    yard.sync()
    yard.finish(key := yard.start("first", 1), ToLanding())
    yard.session.store.land(key, "d" * 40, TargetRecord("origin", "main", "d" * 40, NOW), "", NOW)
    document = yard.run("plan", "--json").document()
    assert (document["tickets"], document["stuck"], document["levels"]) == (1, [], [["then"]])
