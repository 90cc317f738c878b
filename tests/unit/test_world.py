"""The virtual world: who runs when, and what never happens in it, whatever the policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queues import SETTINGS, ticket

from ticketd.domain.globs import overlap
from ticketd.domain.settings import ScopeSettings, Settings
from ticketd.domain.ticket import OnFailure, Priority, TicketRecord, TicketState
from ticketd.domain.verdict import backoff
from ticketd.sim.policies import Policy
from ticketd.sim.report import Measures, apart_in, compare, measure, run
from ticketd.sim.workload import Ends, Mishap, Play, Workload
from ticketd.sim.world import Outcome

M = 60.0


def load(
    *records: TicketRecord, slots: int = 8, settings: Settings = SETTINGS, landing_s: float = 0.0, **plays: Play
) -> Workload:
    """Each takes a minute, unless its play says otherwise."""
    named = {name.replace("_", "-"): play for name, play in plays.items()}
    return Workload(records, {r.id: named.get(r.id, Play(M, landing_s)) for r in records}, slots, settings)


def outcome(workload: Workload, policy: Policy = Policy.STRICT) -> Outcome:
    return run(workload, policy)[1]


def starts(of: Outcome) -> dict[str, float]:
    """The last start of each."""
    return {each.ticket: each.start for each in of.runs}


def test_what_is_apart_runs_side_by_side_up_to_the_slots() -> None:
    assert outcome(load(*(ticket(f"t{n}", n) for n in range(6)), slots=2)).makespan_s == 3 * M


def test_a_claim_is_held_until_it_has_landed() -> None:
    records = ticket("a", 1, touches=["/x"]), ticket("b", 2, touches=["/x"])
    done = outcome(load(*records, landing_s=5.0))
    assert starts(done) == {"a": 0.0, "b": M + 5.0}


def test_the_lane_lands_one_at_a_time() -> None:
    done = outcome(load(*(ticket(f"t{n}", n) for n in range(3)), landing_s=10.0))
    assert sorted(done.landed_at.values()) == [M + 10.0, M + 20.0, M + 30.0]


def test_dependents_wait_until_what_they_need_has_landed() -> None:
    done = outcome(load(ticket("a"), ticket("b", after=("a",)), landing_s=7.0))
    assert starts(done)["b"] == M + 7.0


def test_a_ticket_that_is_seen_later_joins_then() -> None:
    done = outcome(load(ticket("a"), ticket("late", seen_at=1000.0)))
    assert starts(done) == {"a": 0.0, "late": 1000.0}


def test_a_failure_uses_up_a_retry_and_runs_again() -> None:
    flaky = Play(M, mishaps=(Mishap(Ends.FAILED, 10.0),))
    done = outcome(load(ticket("a", retries=1), a=flaky))
    assert [(each.start, each.end) for each in done.runs] == [(0.0, 10.0), (10.0, 10.0 + M)]
    assert done.records["a"].failures == 1


def test_who_asks_to_be_run_later_waits_out_the_backoff() -> None:
    done = outcome(load(ticket("a"), a=Play(M, mishaps=(Mishap(Ends.LATER, 10.0),) * 2)))
    assert [each.start for each in done.runs] == [0.0, 10.0 + backoff(1), 20.0 + backoff(1) + backoff(2)]


def test_what_fails_in_the_lane_holds_its_files_until_then() -> None:
    broken = Play(M, 5.0, (Mishap(Ends.VERIFY_FAILED, M),))
    done = outcome(load(ticket("a", 1, touches=["/x"], retries=0), ticket("b", 2, touches=["/x"]), a=broken))
    assert done.records["a"].state is TicketState.FAILED
    assert starts(done)["b"] == M + 5.0


def test_dependents_of_a_failure_are_skipped_or_left() -> None:
    broken = Play(M, mishaps=(Mishap(Ends.FAILED, M),))
    for policy in Policy:
        done = outcome(
            load(
                ticket("a", retries=0, on_failure=OnFailure.SKIP),
                ticket("goes-along", after=("a",)),
                ticket("b", retries=0),
                ticket("stays", after=("b",)),
                a=broken,
                b=broken,
            ),
            policy,
        )
        assert (done.records["goes-along"].state, done.records["stays"].state) == ("skipped", "queued"), policy


def test_an_abort_lets_nothing_more_start() -> None:
    broken = Play(M / 2, mishaps=(Mishap(Ends.FAILED, M / 2),))
    records = ticket("a", 1, retries=0, on_failure=OnFailure.ABORT), ticket("b", 2), ticket("c", 3)
    assert set(starts(outcome(load(*records, slots=2, a=broken)))) == {"a", "b"}


def test_a_wave_waits_for_its_last() -> None:
    records = [ticket(f"t{n}", n) for n in range(4)]
    plays = {"t0": Play(10.0), "t1": Play(100.0)}
    assert starts(outcome(load(*records, slots=2, **plays), Policy.WAVE))["t2"] == 100.0
    assert starts(outcome(load(*records, slots=2, **plays)))["t2"] == 10.0


def test_fifo_never_passes_a_blocked_head() -> None:
    records = ticket("a", 1, touches=["/x"]), ticket("b", 2, touches=["/x"]), ticket("c", 3, touches=["/y"])
    assert starts(outcome(load(*records), Policy.FIFO)) == {"a": 0.0, "b": M, "c": M}
    assert starts(outcome(load(*records)))["c"] == 0.0


def test_without_order_a_wide_ticket_is_passed() -> None:
    records = ticket("a", 1, touches=["/x"]), ticket("wide", 2, touches=["/x", "/y"]), ticket("b", 3, touches=["/y"])
    assert starts(outcome(load(*records), Policy.UNORDERED))["b"] == 0.0
    assert starts(outcome(load(*records)))["b"] == 2 * M


def test_blocked_seconds_count_what_is_ready_while_a_slot_is_free() -> None:
    records = ticket("a", 1, touches=["/x"]), ticket("b", 2, touches=["/x"]), ticket("c", 3, after=("a",))
    assert outcome(load(*records, slots=2)).blocked_s == M
    assert outcome(load(*records, slots=1)).blocked_s == 0.0


# --- whatever the queue ---

PATHS = ("/x", "/y", "/z", "/dir/a", "/dir/b", "/dir/**", "/dir/*.py")


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    count = draw(st.integers(1, 12))
    caps = {"acme": ScopeSettings("acme", max_slots=draw(st.sampled_from([None, 1, 2])))}
    records = [
        ticket(
            f"t{n}",
            n,
            touches=draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=2)),
            after=tuple(f"t{d}" for d in draw(st.sets(st.integers(0, n - 1), max_size=2))) if n else (),
            priority=draw(st.sampled_from(Priority)),
            scope=draw(st.sampled_from(["acme", "globex", "_global"])),
            seen_at=float(draw(st.sampled_from([0, 0, 0, 50]))),
            retries=draw(st.integers(0, 2)),
            on_failure=draw(st.sampled_from([OnFailure.BLOCK, OnFailure.SKIP])),
        )
        for n in range(count)
    ]
    mishap = st.builds(Mishap, st.sampled_from(Ends), st.floats(0, 100))
    mishaps = st.one_of(st.just([]), st.just([]), st.lists(mishap, max_size=2))
    plays = {
        r.id: Play(draw(st.floats(0, 100)), draw(st.sampled_from([0.0, 3.0])), tuple(draw(mishaps))) for r in records
    }
    return Workload(tuple(records), plays, draw(st.integers(1, 4)), replace(SETTINGS, scopes=caps))


@settings(max_examples=150, deadline=None)
@given(workloads(), st.sampled_from(Policy))
def test_overlapping_tickets_never_run_at_once_nor_two_in_a_slot(workload: Workload, policy: Policy) -> None:
    done = outcome(workload, policy)
    for one, other in combinations(done.runs, 2):
        if one.start < other.end and other.start < one.end:
            assert one.slot != other.slot
            a, b = (done.records[each.ticket].ticket.touches for each in (one, other))
            assert overlap(a, b) is None


@settings(max_examples=150, deadline=None)
@given(workloads(), st.sampled_from(Policy))
def test_every_ticket_of_a_finite_queue_ends_or_waits_for_one_that_failed(workload: Workload, policy: Policy) -> None:
    records = outcome(workload, policy).records
    lost = {r.id for r in records.values() if r.state in (TicketState.FAILED, TicketState.SKIPPED)}
    for record in sorted(records.values(), key=lambda r: r.age):
        if record.state is TicketState.QUEUED:
            assert lost.intersection(record.ticket.depends_on)
            lost.add(record.id)
        else:
            assert record.state.is_final


@settings(max_examples=300, deadline=None)
@given(workloads(), st.sampled_from(Policy))
def test_nothing_is_quicker_than_the_bound(workload: Workload, policy: Policy) -> None:
    measured = measure(workload, policy, apart_in(workload))
    assert measured.makespan_s >= measured.bound.seconds - 1e-6, measured.bound


@settings(max_examples=50, deadline=None)
@given(workloads(), st.randoms(use_true_random=False))
def test_the_same_tickets_in_any_order_of_telling_run_the_same(workload: Workload, rng: Random) -> None:
    told = list(workload.records)
    rng.shuffle(told)
    again = replace(workload, records=tuple(told))
    assert [outcome(workload, p).runs for p in Policy] == [outcome(again, p).runs for p in Policy]


def makespans(measured: Iterable[Measures]) -> list[float]:
    return [each.makespan_s for each in measured]


@pytest.mark.parametrize("policy", Policy)
def test_a_pool_without_overlap_stays_within_five_in_a_hundred_of_the_bound(policy: Policy) -> None:
    rng = Random(1)
    records = [ticket(f"t{n:03}", n) for n in range(400)]
    plays = {r.id: Play(rng.uniform(240, 900)) for r in records}
    measured = compare([Workload(tuple(records), plays, 8, SETTINGS)], [policy])[policy][0]
    assert measured.landed == 400
    assert (measured.ratio <= 1.05) is (policy is not Policy.WAVE)
