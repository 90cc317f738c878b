"""Durations from estimates, and what has begun already."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from queues import snapshot, ticket

from ticketd.domain.attempt import AttemptState
from ticketd.domain.estimates import Estimate
from ticketd.domain.settings import ReviewClaim, ReviewSettings, Settings
from ticketd.domain.ticket import Gate, TicketState
from ticketd.sim.draw import LEAST_REST, drawn, queue
from ticketd.sim.forecast import at_once
from ticketd.sim.policies import Policy
from ticketd.sim.report import run

M = 720.0
NOW = 1000.0


def test_four_in_five_draws_lie_between_low_and_high_and_half_below_likely() -> None:
    rng = Random(1)
    seconds = [drawn(Estimate(60.0, 100.0, 300.0), rng) for _ in range(10_000)]
    shares = [sum(each < limit for each in seconds) / 10_000 for limit in (60.0, 100.0, 300.0)]
    assert all(abs(share - wanted) < 0.015 for share, wanted in zip(shares, (0.1, 0.5, 0.9), strict=True)), shares


def test_an_estimate_without_a_range_is_certain() -> None:
    assert drawn(Estimate(5.0, 5.0, 5.0), Random(1)) == 5.0
    assert drawn(Estimate(0.0, 0.0, 0.0), Random(1)) == 0.0


def test_the_same_seed_draws_the_same() -> None:
    seen = snapshot(ticket("a"), ticket("b"))
    assert queue(seen, NOW, Random(3)).plays == queue(seen, NOW, Random(3)).plays
    assert queue(seen, NOW, Random(3)).plays != queue(seen, NOW, Random(4)).plays


def test_who_runs_needs_the_rest_and_a_tenth_at_least() -> None:
    seen = snapshot(ticket("fresh", state=TicketState.RUNNING), ticket("overdue", state=TicketState.RUNNING))
    fresh, overdue = seen.attempts
    seen = replace(seen, attempts=(replace(fresh, started_at=NOW - 20.0), replace(overdue, dispatched_at=NOW - 9000.0)))
    rests = {each.claim.ticket: each.rest_s for each in queue(seen, NOW).under_way}
    assert rests == {"fresh": M - 20.0, "overdue": LEAST_REST * M}


def test_what_lands_or_is_being_kept_holds_its_files_but_no_slot() -> None:
    seen = snapshot(
        ticket("kept", state=TicketState.RUNNING, touches=["/x"]),
        ticket("lands", state=TicketState.LANDING, touches=["/y"]),
        ticket("next", 1, touches=["/x", "/y"]),
        slots=1,
    )
    seen = replace(seen, attempts=(replace(seen.attempts[0], state=AttemptState.COLLECTING),))
    outcome = run(queue(seen, NOW), Policy.STRICT)[1]
    assert [(each.ticket, each.start) for each in outcome.runs] == [("next", NOW + LEAST_REST * M)]


def test_gates_are_taken_to_be_opened_at_once() -> None:
    released = Settings(review=ReviewSettings(claim=ReviewClaim.RELEASE))
    seen = snapshot(
        ticket("asked", state=TicketState.REVIEW, gate=Gate.START, attempts=0),
        ticket("done", state=TicketState.REVIEW, gate=Gate.LAND, attempts=1),
        ticket("to-come", gate=Gate.START),
        settings=released,
    )
    # Nothing is held by the first: it has not run yet.
    seen = replace(seen, claims=tuple(claim for claim in seen.claims if claim.ticket == "done"))
    outcome = run(queue(seen, NOW), Policy.STRICT)[1]
    assert {each.ticket for each in outcome.runs} == {"asked", "to-come"}
    assert set(outcome.landed_at) == {"asked", "done", "to-come"}
    nobody_holds = replace(seen, claims=())
    assert {each.ticket for each in run(queue(nobody_holds, NOW), Policy.STRICT)[1].runs} == {"asked", "to-come"}


def test_at_once_can_run_what_neither_overlaps_nor_waits_for_another() -> None:
    records = {r.id: r for r in (ticket("a"), ticket("b", after=("a",)), ticket("c", after=("b",)), ticket("d"))}
    assert at_once(records, [("c", "d")]) in (("a", "d"), ("b", "d"))
    assert at_once(records, []) in (("a", "d"), ("b", "d"), ("c", "d"))
