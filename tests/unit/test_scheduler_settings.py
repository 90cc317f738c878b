"""What the settings of the scheduler change, by example: aging, fair shares, caps, backfill, preemption."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from queues import SETTINGS, snapshot, started, ticket, waits

from ticketd.domain.estimates import Estimate, Estimates
from ticketd.domain.scheduler.queue import Queue, decide
from ticketd.domain.scheduler.schedule import PreemptAttempt, Snapshot
from ticketd.domain.scheduler.waits import WaitKind, WaitsOn
from ticketd.domain.settings import AgentProfile, Backfill, Preempt, SchedulerSettings, ScopeSettings, Settings
from ticketd.domain.ticket import GLOBAL_SCOPE, Priority, Size, TicketRecord, TicketState

HOUR = 3600.0
ESTIMATES = Estimates(
    {
        (Size.S, None, None): Estimate(50.0, 100.0, 200.0),
        (Size.M, None, None): Estimate(500.0, 1000.0, 2000.0),
        (Size.L, None, None): Estimate(5000.0, 10_000.0, 20_000.0),
    },
    landing_s=0.0,
)


def scheduler(**said: object) -> Settings:
    return replace(SETTINGS, scheduler=SchedulerSettings(**said))  # type: ignore[arg-type]


def running(id_: str, **said: object) -> TicketRecord:
    return ticket(id_, state=TicketState.RUNNING, **said)  # type: ignore[arg-type]


def at(times: Mapping[str, float], queue: Snapshot) -> Snapshot:
    """Its attempts were dispatched then."""
    attempts = tuple(replace(a, dispatched_at=times.get(a.key.ticket, 0.0)) for a in queue.attempts)
    return replace(queue, attempts=attempts)


# --- aging ---


def order(queue: Snapshot, now: float) -> tuple[str, ...]:
    return decide(queue, now).order


def test_waiting_lifts_a_ticket_by_one_priority_each_time() -> None:
    queue = snapshot(
        ticket("low", 0, priority=Priority.LOW),
        *(
            ticket(p, n, priority=Priority(p), seen_at=9 * HOUR)
            for n, p in enumerate(["critical", "high", "normal"], 1)
        ),
        settings=scheduler(aging_s=HOUR),
    )
    assert order(queue, HOUR - 1) == ("critical", "high", "normal", "low")
    assert order(queue, HOUR) == ("critical", "high", "low", "normal")
    assert order(queue, 2 * HOUR) == ("critical", "low", "high", "normal")


def test_waiting_lifts_nobody_past_high_nor_past_the_global_scope() -> None:
    queue = snapshot(
        ticket("old", 0, priority=Priority.LOW),
        ticket("critical", 1, priority=Priority.CRITICAL, seen_at=99 * HOUR),
        ticket("everyones", 2, priority=Priority.LOW, scope=GLOBAL_SCOPE, seen_at=99 * HOUR),
        settings=scheduler(aging_s=HOUR),
    )
    assert order(queue, 99 * HOUR) == ("everyones", "critical", "old")


def test_without_aging_waiting_lifts_nobody() -> None:
    queue = snapshot(ticket("old", 0, priority=Priority.LOW), ticket("new", 1), settings=scheduler(aging_s=None))
    assert order(queue, 1000 * HOUR) == ("new", "old")


def test_a_queue_kept_in_memory_sees_a_ticket_rise() -> None:
    pool = snapshot(
        ticket("low", 0, priority=Priority.LOW),
        ticket("normal", 1, seen_at=9 * HOUR),
        running("busy"),
        slots=1,
        settings=scheduler(aging_s=HOUR),
    )
    queue = Queue(pool, 0.0)
    assert started(queue.schedule(HOUR - 1)) == []
    queue.update(replace(pool, attempts=()), [], HOUR)
    assert started(queue.schedule(HOUR)) == ["low"]


# --- fair shares ---


def three_scopes(settings: Settings) -> Snapshot:
    """The first scope alone has enough for all slots, and more urgent."""
    return snapshot(
        *(ticket(f"a{n}", n, scope="acme", priority=Priority.HIGH) for n in range(6)),
        *(ticket(f"b{n}", 10 + n, scope="bell") for n in range(6)),
        *(ticket(f"c{n}", 20 + n, scope="cape", priority=Priority.LOW) for n in range(6)),
        slots=4,
        settings=settings,
    )


def test_with_fair_shares_the_scope_with_the_fewest_slots_is_next() -> None:
    assert started(decide(three_scopes(scheduler(fair_share=True)), 0.0)) == ["a0", "b0", "c0", "a1"]
    assert started(decide(three_scopes(scheduler()), 0.0)) == ["a0", "a1", "a2", "a3"]


def test_fair_shares_count_what_runs_already() -> None:
    queue = snapshot(
        running("r1", scope="acme"),
        running("r2", scope="acme"),
        running("r3", scope="bell"),
        *(ticket(f"a{n}", n, scope="acme", priority=Priority.HIGH) for n in range(2)),
        *(ticket(f"b{n}", 10 + n, scope="bell") for n in range(2)),
        slots=5,
        settings=scheduler(fair_share=True),
    )
    assert started(decide(queue, 0.0)) == ["b0", "a0"]


def test_the_global_scope_has_no_share_and_goes_first() -> None:
    everyones = [ticket(f"g{n}", 50 + n, scope=GLOBAL_SCOPE, priority=Priority.LOW) for n in range(3)]
    queue = three_scopes(scheduler(fair_share=True))
    queue = replace(queue, tickets={**queue.tickets, **{r.id: r for r in everyones}})
    assert started(decide(queue, 0.0)) == ["g0", "g1", "g2", "a0"]


# --- who reserves ---


def test_a_wide_ticket_keeps_all_below_it_from_starting_until_it_has_run() -> None:
    narrow = [ticket(f"n{n}", n, touches=[f"/d{n}"]) for n in range(1, 5)]
    schedule = decide(snapshot(running("busy"), ticket("wide", touches=["**"]), *narrow), 0.0)
    assert started(schedule) == []
    assert waits(schedule, "n4") == (WaitsOn(WaitKind.RESERVED, "wide", "d4"),)
    assert started(decide(snapshot(ticket("wide", touches=["**"]), *narrow), 0.0)) == ["wide"]


@pytest.mark.parametrize(
    "capped",
    [
        replace(SETTINGS, scopes={"acme": ScopeSettings("acme", max_slots=1)}),
        replace(
            SETTINGS, agents={**SETTINGS.agents, "one": AgentProfile("one", max_slots=1)}, routes={"acme": ("one",)}
        ),
    ],
    ids=["scope", "profile"],
)
def test_a_ticket_without_room_reserves_nothing(capped: Settings) -> None:
    queue = snapshot(
        running("busy", scope="acme"),
        ticket("no-room", 1, touches=["/x"], scope="acme"),
        ticket("passes", 2, touches=["/x"], scope="bell"),
        settings=capped,
    )
    queue = replace(queue, attempts=tuple(replace(a, agent="one") for a in queue.attempts))
    assert started(decide(queue, 0.0)) == ["passes"]
    assert started(decide(replace(queue, settings=SETTINGS), 0.0)) == ["no-room"]


# --- backfill ---


def backfilled(backfill: Backfill, now: float) -> list[str]:
    """`wide` waits for `busy`, which is expected to land at 1000 s; the others overlap `wide` alone."""
    queue = snapshot(
        running("busy", touches=["/x"]),
        ticket("wide", 1, touches=["**"]),
        ticket("long", 2, touches=["/y"]),
        ticket("short", 3, touches=["/z"], size=Size.S),
        settings=scheduler(backfill=backfill),
        estimates=ESTIMATES,
    )
    return started(decide(queue, now))


def test_by_estimates_one_passes_that_is_expected_to_be_gone_in_time() -> None:
    assert backfilled(Backfill.ESTIMATE, 0.0) == ["short"]
    assert backfilled(Backfill.STRICT, 0.0) == []


def test_who_passes_is_taken_to_need_the_cautious_end_of_its_estimate() -> None:
    assert backfilled(Backfill.ESTIMATE, 800.0) == ["short"]
    assert backfilled(Backfill.ESTIMATE, 801.0) == []


def test_nobody_passes_one_that_waits_for_what_is_overdue() -> None:
    assert backfilled(Backfill.ESTIMATE, 5000.0) == []


# --- preemption ---

CRITICAL = ticket("critical", 50, priority=Priority.CRITICAL)


def made_way(*records: TicketRecord, slots: int | None = None, now: float = 100.0, **times: float) -> list[str]:
    """Who makes way; all slots are taken, unless said."""
    in_slots = sum(record.state is TicketState.RUNNING for record in records)
    queue = snapshot(
        *records,
        slots=in_slots if slots is None else slots,
        settings=scheduler(preempt=Preempt.CRITICAL),
        estimates=ESTIMATES,
    )
    decisions = decide(at(times, queue), now).decisions
    return [d.attempt.ticket for d in decisions if isinstance(d, PreemptAttempt)]


def test_who_has_run_the_shortest_makes_way() -> None:
    assert made_way(running("a"), running("b"), running("c"), CRITICAL, a=10.0, b=60.0, c=30.0) == ["b"]


def test_nobody_makes_way_where_preemption_is_off_or_a_slot_is_free() -> None:
    queue = snapshot(running("a"), CRITICAL, slots=1, estimates=ESTIMATES)
    assert decide(queue, 100.0).decisions == ()
    assert made_way(running("a"), CRITICAL, slots=2) == []


def test_nobody_makes_way_near_its_end() -> None:
    assert made_way(running("a"), running("b", size=Size.S), CRITICAL, b=26.0, now=100.0) == ["b"]
    assert made_way(running("a"), running("b", size=Size.S), CRITICAL, b=25.0, now=100.0) == ["a"]


def test_nobody_makes_way_that_is_critical_or_has_done_so_twice() -> None:
    assert made_way(running("a", priority=Priority.CRITICAL), CRITICAL) == []
    assert made_way(running("a", preemptions=2), running("b"), CRITICAL, a=90.0) == ["b"]
    assert made_way(running("a", preemptions=2), CRITICAL) == []


def test_who_is_in_the_way_makes_way_though_others_have_run_shorter() -> None:
    on_x = ticket("critical", 50, touches=["/x"], priority=Priority.CRITICAL)
    assert made_way(running("a", touches=["/x"]), running("b"), on_x, b=99.0) == ["a"]
    assert made_way(running("a", touches=["/x"]), running("b"), on_x, slots=8, b=99.0) == ["a"]


def test_nobody_makes_way_where_two_are_in_the_way() -> None:
    on_both = ticket("critical", 50, touches=["/x", "/y"], priority=Priority.CRITICAL)
    assert made_way(running("a", touches=["/x"]), running("b", touches=["/y"]), on_both) == []


def test_one_makes_way_for_each_and_no_more_while_they_are_being_ended() -> None:
    other = ticket("other", 51, priority=Priority.CRITICAL)
    records = (running("a"), running("b"), running("c"), CRITICAL, other)
    assert made_way(*records, a=1.0, b=2.0, c=3.0) == ["c", "b"]
    queue = snapshot(*records, slots=3, settings=scheduler(preempt=Preempt.CRITICAL), estimates=ESTIMATES)
    ending = tuple(replace(a, preempted=a.key.ticket in ("b", "c")) for a in queue.attempts)
    assert decide(replace(queue, attempts=ending), 100.0).decisions == ()


def test_nobody_makes_way_for_one_that_would_not_get_the_place() -> None:
    """Who made way would rank above; or another waits for the slot, or for the files, and ranks above."""
    everyones = ticket("everyones", 60, scope=GLOBAL_SCOPE)
    on_x = ticket("everyones", 60, scope=GLOBAL_SCOPE, touches=["/x"])
    assert made_way(running("a", scope=GLOBAL_SCOPE), CRITICAL) == []
    assert made_way(running("a", age=1), CRITICAL, ticket("b", after=("a",), priority=Priority.CRITICAL)) == []
    assert made_way(running("a"), CRITICAL, everyones) == []
    assert made_way(running("a", touches=["/x"]), CRITICAL, on_x) == []


def test_a_queue_kept_in_memory_knows_who_has_become_critical() -> None:
    """After a pause, and by a bump that leaves the ticket where it is in the queue."""
    heir = ticket("heir", 1, touches=["/a"])
    after = ticket("after", 2, after=("heir",), priority=Priority.CRITICAL)
    pool = snapshot(
        running("a"), heir, after, slots=1, settings=scheduler(preempt=Preempt.CRITICAL), estimates=ESTIMATES
    )
    queue = Queue(replace(pool, paused="lunch"), 0.0)
    assert queue.schedule(0.0).decisions == ()
    queue.update(pool, [], 1.0)
    assert queue.schedule(1.0).decisions == ()
    bumped = replace(pool, tickets={**pool.tickets, "heir": replace(heir, bumped=Priority.CRITICAL)})
    queue.update(replace(bumped, paused="lunch"), ["heir"], 2.0)
    assert queue.schedule(2.0).decisions == ()
    queue.update(bumped, [], 3.0)
    assert [d.for_ticket for d in queue.schedule(3.0).decisions if isinstance(d, PreemptAttempt)] == ["heir"]


# --- routes ---


def test_the_route_of_the_scope_comes_before_that_of_the_size_and_falls_back_when_full() -> None:
    settings = Settings(
        agents={name: AgentProfile(name, max_slots=cap) for name, cap in (("a", 1), ("b", 1), ("c", None))},
        routes={"acme": ("a", "b"), "M": ("c",)},
    )
    schedule = decide(
        snapshot(*(ticket(f"t{n}", n) for n in range(3)), ticket("other", 9, scope="bell"), settings=settings), 0.0
    )
    agents = [(d.ticket, d.agent) for d in schedule.decisions]  # type: ignore[union-attr]
    assert agents == [("t0", "a"), ("t1", "b"), ("other", "c")]


@pytest.mark.parametrize(
    ("scope", "size", "agent"),
    [("acme", "S", "cheap"), ("acme", "M", "deep"), ("bell", "S", "quick"), ("bell", "M", "default")],
)
def test_the_route_of_a_size_in_a_scope_comes_first(scope: str, size: str, agent: str) -> None:
    names = ("cheap", "deep", "quick", "default")
    routes = {"acme.S": ("cheap",), "acme": ("deep",), "S": ("quick",)}
    settings = Settings(agents={name: AgentProfile(name) for name in names}, routes=routes)
    route = settings.route_of(ticket("t", scope=scope, size=Size(size)).ticket)
    assert [profile.name for profile in route] == [agent]
