"""Traces as text."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queues import ticket

from ticketd.domain.ticket import Priority, Size, TicketRecord
from ticketd.sim.trace import parse_trace
from ticketd.sim.workload import Ends, Mishap, Play


def test_id_and_seconds_are_all_it_takes() -> None:
    trace = parse_trace('{"id": "a", "seconds": 60}\n\n{"id": "b", "seconds": 5}\n', "t.jsonl")
    assert trace.problems == ()
    assert [(r.id, r.age, r.ticket.touches.patterns) for r in trace.records] == [("a", 1, ("**",)), ("b", 2, ("**",))]
    assert trace.plays == {"a": Play(60.0), "b": Play(5.0)}


def test_tickets_age_as_they_are_seen() -> None:
    lines = ('{"id": "late", "seconds": 1, "seen_at": 9}', '{"id": "x", "seconds": 1}', '{"id": "y", "seconds": 1}')
    assert [record.id for record in parse_trace("\n".join(lines), "t").records] == ["x", "y", "late"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("nonsense", "the line is not JSON"),
        ("[1]", "no JSON object"),
        ('{"id": "a"}', "`seconds` is missing"),
        ('{"id": "A", "seconds": 1}', "`A`"),
        ('{"id": "a", "seconds": "1m"}', "`seconds` is not a number of seconds"),
        ('{"id": "a", "seconds": -1}', "`seconds` is out of range"),
        ('{"id": "a", "seconds": NaN}', "`seconds` is out of range"),
        ('{"id": "a", "seconds": true}', "`seconds` is not a number of seconds"),
        ('{"id": "a", "seconds": 1, "priorty": "high"}', "did you mean `priority`?"),
        ('{"id": "a", "seconds": 1, "priority": "soon"}', "`soon` is not a value it takes"),
        ('{"id": "a", "seconds": 1, "touches": "x"}', "`touches` is not a list of texts"),
        ('{"id": "a", "seconds": 1, "touches": ["["]}', "`[` is no pattern"),
        ('{"id": "a", "seconds": 1, "retries": -1}', "`retries` is not a whole number"),
        ('{"id": "a", "seconds": 1, "mishaps": [1]}', "`mishaps` is no list of objects"),
        ('{"id": "a", "seconds": 1, "mishaps": [{"end": "lost"}]}', "`end` is not a key of a mishap"),
        ('{"id": "ok", "seconds": 1}', "`ok` is there twice"),
    ],
)
def test_a_fault_names_file_line_and_mend(line: str, what: str) -> None:
    (problem,) = parse_trace('{"id": "ok", "seconds": 1}\n' + line, "t.jsonl").problems
    assert (problem.file, problem.line) == ("t.jsonl", 2)
    assert what in str(problem)
    assert problem.mend


def test_an_empty_trace_is_a_fault() -> None:
    assert [problem.what for problem in parse_trace("\n", "t").problems] == ["the trace has no ticket"]


def rendered(records: Mapping[str, TicketRecord], plays: Mapping[str, Play]) -> str:
    return "".join(json.dumps(line_of(record, plays[id_])) + "\n" for id_, record in records.items())


def line_of(record: TicketRecord, play: Play) -> dict[str, object]:
    ticket = record.ticket
    said: dict[str, object] = {
        "id": ticket.id,
        "scope": ticket.scope,
        "priority": record.priority.value,
        "size": ticket.size.value,
        "touches": list(ticket.touches.patterns),
        "depends_on": list(ticket.depends_on),
        "seconds": play.seconds,
        "landing_s": play.landing_s,
        "seen_at": record.seen_at,
    }
    if ticket.agent:
        said["agent"] = ticket.agent
    if play.mishaps:
        said["mishaps"] = [{"ends": each.ends.value, "seconds": each.seconds} for each in play.mishaps]
    return said


@given(
    st.lists(
        st.tuples(
            st.builds(
                Play,
                st.floats(0, 1e6),
                st.floats(0, 1e3),
                st.lists(st.builds(Mishap, st.sampled_from(Ends), st.floats(0, 1e6))).map(tuple),
            ),
            st.sampled_from(Priority),
            st.sampled_from(Size),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_rendered_is_read_back(drawn: list[tuple[Play, Priority, Size]]) -> None:
    records = {
        f"t{n}": ticket(f"t{n}", n + 1, priority=priority, size=size, seen_at=float(n))
        for n, (_, priority, size) in enumerate(drawn)
    }
    plays = {f"t{n}": play for n, (play, *_) in enumerate(drawn)}
    again = parse_trace(rendered(records, plays), "t")
    assert (again.problems, again.plays) == ((), plays)
    assert [(r.ticket.touches, r.priority, r.ticket.size, r.seen_at) for r in again.records] == [
        (r.ticket.touches, r.priority, r.ticket.size, r.seen_at) for r in records.values()
    ]
