"""The documents of `--json`, held against the contract's words and shapes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from eyes_yard import BASE, NOW, TIP, Yard

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.landing import Landed
from ticketd.domain.pool import Stop, TargetRecord
from ticketd.domain.report import NOTHING_REPORTED
from ticketd.domain.ticket import Reason, TicketState
from ticketd.domain.verdict import Cancel, Fail, Requeue, ToLanding

KINDS = {"dependency", "overlap", "reserved", "slot", "gate", "backoff", "budget", "scope-cap", "held", "paused"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

STATUS: dict[str, object] = {
    "schema": int,
    "daemon": {"running": bool, "pid": (int, None), "since": (TIME, None), "paused": bool, "engine": str},
    "target": {"remote": str, "branch": str, "sha": (str, None)},
    "counts": {str(state): int for state in TicketState},
    "cost_usd": float,
}
BUSY = {
    "slot": int,
    "state": str,
    "ticket": str,
    "attempt": int,
    "agent": str,
    "pid": int,
    "started_at": TIME,
    "base": str,
    "behind": int,
    "drift": str,
    "worktree": str,
}
QUEUED = {"ticket": str, "rank": int, "priority": str, "scope": str, "waits_on": list}


def fits(value: Any, shape: Any) -> bool:
    """Whether a value has the keys and types of a shape; it may have more keys."""
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(key in value and fits(value[key], of) for key, of in shape.items())
    if isinstance(shape, tuple):
        return any(fits(value, each) for each in shape)
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and shape.fullmatch(value) is not None
    return value is None if shape is None else isinstance(value, shape)


def waits(document: Any) -> dict[str, list[Any]]:
    return {entry["ticket"]: entry["waits_on"] for entry in document["queue"]}


def test_status_has_the_shape_of_the_contract(yard: Yard) -> None:
    yard.busy()
    with yard.daemon():
        document = yard.run("status", "--json").document()
    assert fits(document, STATUS), document
    assert all(fits(slot, BUSY) for slot in document["slots"] if slot["state"] == "busy")
    assert [fits(slot, {"slot": int, "why": str}) for slot in document["slots"] if slot["state"] == "idle"] == [
        True
    ] * 2
    assert all(fits(entry, QUEUED) for entry in document["queue"])
    assert all(on["kind"] in KINDS for entry in document["queue"] for on in entry["waits_on"])
    assert [{k: each[k] for k in ("ticket", "attempt", "phase")} for each in document["landing"]] == [
        {"ticket": "on-its-way", "attempt": 1, "phase": "queued"}
    ]
    assert document["daemon"]["running"] and document["target"]["sha"] == BASE


def test_counts_agree_with_the_parts(yard: Yard) -> None:
    yard.busy()
    with yard.daemon():
        document = yard.run("status", "--json").document()
    counts = document["counts"]
    assert sum(counts.values()) == 10
    assert counts["queued"] == len(document["queue"]) == len({entry["ticket"] for entry in document["queue"]})
    assert counts["running"] == sum(slot["state"] == "busy" for slot in document["slots"])
    assert (counts["landing"], counts["review"]) == (len(document["landing"]), len(document["review"]))
    assert [entry["rank"] for entry in document["queue"]] == [1, 2, 3, 4]


def test_each_queued_ticket_says_what_it_waits_on(yard: Yard) -> None:
    yard.busy()
    with yard.daemon():
        found = waits(yard.run("status", "--json").document())
    assert found["client-cache"] == [{"kind": "overlap", "ticket": "retry-uploader", "path": "src/upload/client.py"}]
    assert found["client-docs"] == [{"kind": "dependency", "ticket": "client-cache", "detail": "queued"}]
    assert found["user-table"] == [{"kind": "dependency", "ticket": "db-schema", "detail": "running"}]
    assert [on["kind"] for on in found["on-hold"]] == ["held"]


def test_only_a_ticket_about_to_start_waits_on_nothing(yard: Yard) -> None:
    yard.ticket("first", touches=["a/**"])
    yard.ticket("second", touches=["b/**"])
    with yard.daemon():
        assert waits(yard.run("status", "--json").document()) == {"first": [], "second": []}
    without = yard.run("status", "--json").document()
    assert [on["kind"] for entry in without["queue"] for on in entry["waits_on"]] == ["slot", "slot"]
    assert {slot["why"] for slot in without["slots"]} == {"no daemon runs; `ticketd start` starts one"}


def test_a_stop_asked_of_a_daemon_that_has_ended_holds_nothing_back(yard: Yard) -> None:
    yard.ticket("first")
    yard.sync()
    yard.session.store.ask_stop(Stop.DRAIN, NOW)
    document = yard.run("status", "--json").document()
    assert document["daemon"]["stopping"] is None
    assert [on["kind"] for on in waits(document)["first"]] == ["slot"]


def test_a_ticket_that_a_person_must_let_run_is_in_review_though_no_daemon_runs(yard: Yard) -> None:
    yard.ticket("first", gate="start")
    review = yard.run("status", "--json").document()["review"]
    assert [(each["ticket"], each["gate"]) for each in review] == [("first", "start")]


def test_the_gate_is_told_by_what_is_held_not_by_words(yard: Yard) -> None:
    yard.busy()
    review = yard.run("status", "--json").document()["review"]
    assert {each["ticket"]: each["gate"] for each in review} == {"first-asked": "start", "last-asked": "land"}


def test_a_ticket_that_ran_before_may_wait_before_its_next_start(yard: Yard) -> None:
    yard.ticket("again", gate="start")
    yard.sync()
    key = yard.start("again", 1)
    yard.session.store.attempt_over(key, 75, "exited", "it runs", NOW)
    yard.session.store.close_attempt(key, None, Requeue("as if it runs"), NOTHING_REPORTED, NOW, retire=False)
    yard.session.store.ask_to_start("again", NOW)
    (review,) = yard.run("status", "--json").document()["review"]
    assert (review["gate"], review["attempt"]) == ("start", 1)


def test_idle_slots_say_how_many_wait_on_what(yard: Yard) -> None:
    yard.busy()
    with yard.daemon():
        slots = yard.run("status", "--json").document()["slots"]
    (idle,) = {slot["why"] for slot in slots if slot["state"] == "idle"}
    assert idle == "of what is queued, 2 wait for dependencies, 1 overlap a running one, 1 are held"


def test_work_that_is_being_kept_is_in_no_slot(yard: Yard) -> None:
    yard.ticket("first")
    yard.sync()
    yard.session.store.attempt_over(yard.start("first", 1), 0, "exited", "exit code 0", NOW)
    document = yard.run("status", "--json").document()
    assert document["collecting"] == [{"ticket": "first", "attempt": 1}]
    assert document["counts"]["running"] == 1
    assert {slot["state"] for slot in document["slots"]} == {"idle"}


def test_failures_come_with_what_mends_them(yard: Yard) -> None:
    yard.busy()
    (ended,) = yard.run("status", "--json").document()["ended"]
    assert (ended["ticket"], ended["reason"]) == ("broken", "agent-failed")
    assert ended["mend"] == ["ticketd logs broken", "ticketd retry broken"]


def test_what_was_ended_in_the_middle_of_its_work_comes_with_the_way_to_that_work(yard: Yard) -> None:
    yard.ticket("slow", retries=0)
    yard.sync()
    yard.finish(yard.start("slow", 1), Fail(Reason.TIMEOUT, "ran longer than 20 s"))
    (ended,) = yard.run("status", "--json").document()["ended"]
    assert ended["mend"] == ["ticketd logs slow", "ticketd checkout slow", "ticketd retry slow"]


def test_problems_of_ticket_files_are_in_the_document_and_not_on_stderr(yard: Yard) -> None:
    yard.busy()
    answer = yard.run("status", "--json")
    (problem,) = [p for p in answer.document()["problems"] if p["severity"] == "error"]
    assert (problem["file"], problem["line"]) == ("tickets/wrong.md", 2)
    assert "touches" in problem["what"] + problem["mend"]
    assert answer.err == ""


def test_status_is_no_failure_when_tickets_have_failed(yard: Yard) -> None:
    yard.busy()
    assert yard.run("status", "--json").code == yard.run("status").code == 0


def test_list_names_each_ticket_once_and_takes_states(yard: Yard) -> None:
    yard.busy()
    document = yard.run("list", "--json").document()
    keys = {"id", "state", "reason", "attempts", "landed_sha"}
    assert document["schema"] == 1 and len(document["tickets"]) == 10
    assert all(keys <= set(ticket) for ticket in document["tickets"])
    some = yard.run("list", "--state", "failed", "--state", "landing", "--json").document()["tickets"]
    assert {(t["id"], t["state"]) for t in some} == {("broken", "failed"), ("on-its-way", "landing")}


def test_show_has_the_attempts_and_where_their_work_is(yard: Yard) -> None:
    yard.busy()
    document = yard.run("show", "broken", "--json").document()
    (attempt,) = document["attempt_list"]
    assert (attempt["exit_code"], attempt["reason"], attempt["tip"]) == (0, Reason.AGENT_FAILED, TIP)
    assert attempt["ref"] == "refs/ticketd/broken/1"
    assert attempt["log"] == str(yard.session.places.log(AttemptKey("broken", 1)))
    assert document["body"].startswith("# About broken")
    waiting = yard.run("show", "client-cache", "--json").document()
    assert [on["kind"] for on in waiting["waits_on"]] == ["overlap"]


@pytest.mark.parametrize("verdict", [ToLanding(), Cancel("enough")])
def test_what_has_not_failed_needs_no_mending(yard: Yard, verdict: ToLanding | Cancel) -> None:
    yard.ticket("first")
    yard.sync()
    yard.finish(yard.start("first", 1), verdict)
    assert yard.run("show", "first", "--json").document()["mend"] == []


def test_show_says_how_long_a_ticket_is_expected_to_take_and_from_what_that_is_known(yard: Yard) -> None:
    ids = [f"done-{number}" for number in range(6)]
    for id_ in (*ids, "next"):
        yard.ticket(id_, touches=[f"{id_}/**"], size="S")
    yard.sync()
    assert yard.run("show", "next", "--json").document()["estimate_s"] == {
        "low": 188,
        "likely": 300,
        "high": 480,
        "from": 0,
    }
    assert "5 min (3 to 8), going by its size alone" in yard.run("show", "next").out
    for id_ in ids:
        key = yard.start(id_, 1)
        yard.finish(key, ToLanding())
        yard.session.store.land([Landed(key, TIP)], TargetRecord("origin", "main", TIP, NOW), NOW + 90)
    learned = yard.run("show", "next", "--json").document()["estimate_s"]
    assert learned["from"] == 6
    assert 60 < learned["likely"] < 300
    assert "learned from 6 attempts" in yard.run("show", "next").out
    assert "expected" not in yard.run("show", "done-0").out
