"""Failure sends work back to where it can be mended, cheapest first."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queues import SETTINGS, ticket

from ticketd.domain.repair import Repair, RepairKind, Unmended, as_told, from_told, some
from ticketd.domain.settings import LandingSettings, Limits, Settings
from ticketd.domain.ticket import Reason, TicketRecord, TicketState
from ticketd.domain.verdict import Fail, Finish, Requeue, ToLanding, after_attempt, after_failure

RUNNING = ticket("t", touches=["/src/"], state=TicketState.RUNNING)
MERGE = Repair(RepairKind.CONFLICT, "b" * 40, "c" * 40, "conflicts with origin/main in x", "b" * 40, "c" * 40)
MEND = Repair(RepairKind.VERIFY, "b" * 40, "c" * 40, "`make` failed", log="/logs/1")
DONE = Finish("exited", "done", "", changed=("src/a.py",))


def settings(repairs: int, retries: int) -> Settings:
    return replace(SETTINGS, landing=LandingSettings(repairs=repairs), limits=Limits(retries=retries))


def sent_back(record: TicketRecord, verdict: Requeue) -> TicketRecord:
    """As the store does it."""
    return replace(
        record,
        failures=record.failures + verdict.failed,
        repair=verdict.repair or (None if verdict.failed else record.repair),
        repairs=record.repairs + (verdict.repair is not None),
    )


def rung(verdict: Requeue | Fail) -> str:
    return "fail" if isinstance(verdict, Fail) else "repair" if verdict.repair else "fresh"


def test_work_that_does_not_land_is_repaired_first_then_begun_afresh_then_a_persons() -> None:
    record, rungs = RUNNING, []
    while not rungs or rungs[-1] != "fail":
        verdict = after_failure(record, settings(2, 1), Reason.CONFLICT, "no", MERGE)
        rungs.append(rung(verdict))
        record = sent_back(record, verdict) if isinstance(verdict, Requeue) else record
    assert rungs == ["repair", "repair", "fresh", "fail"]


def test_what_cannot_be_mended_uses_up_no_repair() -> None:
    verdict = after_failure(RUNNING, settings(2, 1), Reason.VERIFY_FAILED, "no such worktree")
    assert rung(verdict) == "fresh"


MISHAPS = st.lists(st.sampled_from(["conflict", "verify", "agent", "timeout", "idle", "half", "nothing"]), min_size=40)


def judged(record: TicketRecord, mishap: str, by: Settings) -> Requeue | Fail:
    """How the attempt that `record` is of came out: each time badly, by the ticket's own fault."""
    match mishap:
        case "conflict":
            return after_failure(record, by, Reason.CONFLICT, "no", MERGE)
        case "verify":
            return after_failure(record, by, Reason.VERIFY_FAILED, "no", MEND)
        case "agent":
            finish = Finish("exited", "failed", "exit code 3")
        case "timeout":
            finish = Finish("timeout", "failed", "60 s")
        case "idle":
            finish = replace(DONE, unmended=Unmended("it changed nothing"))
        case "half":
            finish = replace(DONE, unmended=Unmended("markers are left", record.repair))
        case _:
            finish = replace(DONE, changed=())
    verdict = after_attempt(record, finish, by, 0.0)
    assert isinstance(verdict, Requeue | Fail)
    return verdict


@given(st.integers(0, 3), st.integers(0, 3), MISHAPS)
def test_repairs_and_attempts_are_bounded_whatever_goes_wrong(repairs: int, retries: int, mishaps: list[str]) -> None:
    by, record, rungs = settings(repairs, retries), RUNNING, []
    for mishap in mishaps:
        verdict = judged(record, mishap, by)
        rungs.append(rung(verdict))
        if isinstance(verdict, Fail):
            break
        assert verdict.repair is None or mishap not in ("idle", "nothing")
        record = sent_back(record, verdict)
    assert rungs[-1] == "fail"
    assert rungs.count("repair") <= repairs
    assert rungs.count("fresh") == retries


def test_an_agent_that_fails_while_it_mends_gets_the_same_again() -> None:
    mending = replace(RUNNING, repair=MERGE, repairs=1)
    verdict = after_attempt(mending, Finish("exited", "failed", "exit code 3"), settings(2, 1), 0.0)
    assert verdict == Requeue("exit code 3", reason=Reason.AGENT_FAILED, repair=MERGE)


@pytest.mark.parametrize(("repair", "reason"), [(MERGE, Reason.CONFLICT), (MEND, Reason.VERIFY_FAILED)])
def test_a_repair_that_mended_nothing_fails_with_what_it_was_to_mend(repair: Repair, reason: Reason) -> None:
    mending = replace(RUNNING, repair=repair, repairs=1)
    finish = replace(DONE, changed=(), unmended=Unmended("it changed nothing"))
    assert after_attempt(mending, finish, settings(2, 0), 0.0) == Fail(reason, "it changed nothing")


def test_a_repair_that_mended_it_lands() -> None:
    assert after_attempt(replace(RUNNING, repair=MERGE, repairs=1), DONE, settings(2, 1), 0.0) == ToLanding()


TEXTS = st.text(max_size=8)


@given(
    st.builds(
        Repair,
        kind=st.sampled_from(RepairKind),
        base=TEXTS,
        tip=TEXTS,
        told=TEXTS,
        merges=st.none() | TEXTS,
        messages=st.lists(TEXTS, max_size=3).map(tuple),
    )
)
def test_a_repair_comes_out_of_json_as_it_went_in(repair: Repair) -> None:
    assert from_told(json.loads(json.dumps(as_told(repair)))) == repair


def test_no_repair_is_nothing() -> None:
    assert as_told(None) is from_told(None) is None


def test_of_many_paths_some_are_named_and_the_others_counted() -> None:
    assert some(("a", "b")) == "a, b"
    assert some([f"f{n}" for n in range(7)]) == "f0, f1, f2, f3, f4 and 2 more"
