"""The scheduler: who starts, and what everybody else waits on."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from queues import SETTINGS, snapshot, started, ticket, waits

from ticketd.domain.globs import PatternSet, overlap
from ticketd.domain.scheduler.queue import Queue, decide
from ticketd.domain.scheduler.schedule import AskToStart, Skip, Snapshot, Start
from ticketd.domain.scheduler.waits import WaitKind, WaitsOn
from ticketd.domain.settings import AgentProfile, ClaimsSettings, ScopeSettings, Settings
from ticketd.domain.throttle import Throttle
from ticketd.domain.ticket import (
    GLOBAL_SCOPE,
    Gate,
    OnFailure,
    Priority,
    Size,
    Ticket,
    TicketRecord,
    TicketState,
)


def test_all_that_is_ready_starts_at_once_up_to_the_slots() -> None:
    schedule = decide(snapshot(*(ticket(f"t{n}", n) for n in range(5)), slots=3), 0.0)
    assert schedule.decisions == (Start("t0", 1, "default"), Start("t1", 2, "default"), Start("t2", 3, "default"))
    assert waits(schedule, "t3")[0].kind is WaitKind.SLOT


def test_the_global_scope_goes_first_then_priority_then_chain_then_age() -> None:
    schedule = decide(
        snapshot(
            ticket("old", 1),
            ticket("urgent", 5, priority=Priority.HIGH),
            ticket("everyones", 6, scope=GLOBAL_SCOPE, priority=Priority.LOW),
            ticket("chained", 4),
            ticket("last", 7, after=("chained",)),
            ticket("young", 3),
        ),
        0.0,
    )
    assert schedule.order == ("everyones", "urgent", "chained", "old", "young", "last")


def test_a_ticket_inherits_the_priority_of_what_waits_for_it() -> None:
    schedule = decide(
        snapshot(
            ticket("plain", 1),
            ticket("base", 2, priority=Priority.LOW),
            ticket("middle", 3, after=("base",)),
            ticket("critical", 4, after=("middle",), priority=Priority.CRITICAL),
        ),
        0.0,
    )
    assert schedule.order[:2] == ("base", "middle")


def test_the_longer_chain_counts_estimated_time_not_tickets() -> None:
    schedule = decide(
        snapshot(
            ticket("two-small", 1),
            ticket("s1", 3, after=("two-small",), size=Size.S),
            ticket("s2", 4, after=("s1",), size=Size.S),
            ticket("one-large", 2),
            ticket("l1", 5, after=("one-large",), size=Size.L),
        ),
        0.0,
    )
    assert schedule.order[:2] == ("one-large", "two-small")


def test_an_overlap_names_the_ticket_and_a_path_both_can_touch() -> None:
    schedule = decide(
        snapshot(ticket("a", touches=["/src/"], state=TicketState.RUNNING), ticket("b", 1, touches=["/src/x.py"])), 0.0
    )
    assert waits(schedule, "b") == (WaitsOn(WaitKind.OVERLAP, "a", "src/x.py"),)


def test_a_claim_is_held_until_the_ticket_has_landed() -> None:
    landing = ticket("a", touches=["/x"], state=TicketState.LANDING)
    assert not decide(snapshot(landing, ticket("b", 1, touches=["/x"])), 0.0).decisions


def test_a_ticket_held_back_by_overlap_reserves_its_files_against_those_behind_it() -> None:
    schedule = decide(
        snapshot(
            ticket("runs", touches=["/x"], state=TicketState.RUNNING),
            ticket("wide", 1, touches=["/x", "/y"]),
            ticket("narrow", 2, touches=["/y"]),
            ticket("behind-narrow", 3, touches=["/y", "/z"]),
            ticket("free", 4, touches=["/q"]),
        ),
        0.0,
    )
    assert started(schedule) == ["free"]
    assert waits(schedule, "narrow") == (WaitsOn(WaitKind.RESERVED, "wide", "y"),)
    assert waits(schedule, "behind-narrow")[0].kind is WaitKind.RESERVED


def test_shared_paths_never_make_an_overlap() -> None:
    settings = replace(SETTINGS, claims=ClaimsSettings(shared=PatternSet(("/CHANGELOG.md",))))
    schedule = decide(
        snapshot(
            ticket("a", touches=["/a", "/CHANGELOG.md"]),
            ticket("b", 1, touches=["/b", "/CHANGELOG.md"]),
            settings=settings,
        ),
        0.0,
    )
    assert started(schedule) == ["a", "b"]


def test_a_dependency_says_how_it_stands() -> None:
    schedule = decide(
        snapshot(
            ticket("a", state=TicketState.RUNNING),
            ticket("b", 1, after=("a", "ghost")),
        ),
        0.0,
    )
    assert waits(schedule, "b") == (
        WaitsOn(WaitKind.DEPENDENCY, "a", detail="running"),
        WaitsOn(WaitKind.DEPENDENCY, "ghost", detail="there is no such ticket"),
    )


def test_a_landed_dependency_is_waited_for_no_longer() -> None:
    landed = ticket("a", state=TicketState.LANDED)
    assert started(decide(snapshot(landed, ticket("b", 1, after=("a",))), 0.0)) == ["b"]


def test_dependents_of_a_ticket_that_skips_are_skipped() -> None:
    failed = ticket("a", state=TicketState.FAILED, on_failure=OnFailure.SKIP)
    schedule = decide(snapshot(failed, ticket("b", 1, after=("a",))), 0.0)
    assert schedule.decisions == (Skip("b", "a"),)


def test_dependents_of_a_ticket_that_blocks_wait() -> None:
    schedule = decide(snapshot(ticket("a", state=TicketState.FAILED), ticket("b", 1, after=("a",))), 0.0)
    assert waits(schedule, "b")[0].kind is WaitKind.DEPENDENCY


def test_tickets_in_a_cycle_wait_and_hold_up_nobody_else() -> None:
    schedule = decide(snapshot(ticket("a", after=("b",)), ticket("b", 1, after=("a",)), ticket("c", 2)), 0.0)
    assert started(schedule) == ["c"]


def test_a_held_ticket_waits_and_reserves_nothing() -> None:
    schedule = decide(
        snapshot(ticket("a", touches=["/x"], held=True), ticket("b", 1, touches=["/x"])),
        0.0,
    )
    assert started(schedule) == ["b"]
    assert waits(schedule, "a")[0].kind is WaitKind.HELD


def test_a_backoff_ends_when_its_time_has_come() -> None:
    put_off = ticket("a", not_before=10.0)
    early, late = decide(snapshot(put_off), 9.0), decide(snapshot(put_off), 10.0)
    assert (waits(early, "a")[0].kind, early.next_at) == (WaitKind.BACKOFF, 10.0)
    assert started(late) == ["a"]


def test_a_paused_pool_starts_nothing_and_says_why() -> None:
    schedule = decide(snapshot(ticket("a"), paused="lunch"), 0.0)
    assert waits(schedule, "a") == (WaitsOn(WaitKind.PAUSED, detail="lunch"),)


def test_a_scope_runs_no_more_than_its_cap() -> None:
    settings = replace(SETTINGS, scopes={"acme": ScopeSettings("acme", max_slots=1)})
    schedule = decide(snapshot(ticket("a"), ticket("b", 1), ticket("c", 2, scope="globex"), settings=settings), 0.0)
    assert started(schedule) == ["a", "c"]
    assert waits(schedule, "b")[0].kind is WaitKind.SCOPE_CAP


def profiles(*given: AgentProfile, route: tuple[str, ...]) -> Settings:
    return replace(SETTINGS, agents={one.name: one for one in given}, routes={"acme": route})


def test_a_profile_runs_no_more_than_its_cap_and_the_next_of_the_route_takes_what_is_left() -> None:
    settings = profiles(AgentProfile("a", max_slots=2), AgentProfile("b", max_slots=1), route=("a", "b"))
    schedule = decide(snapshot(*(ticket(f"t{n}", n) for n in range(4)), settings=settings), 0.0)
    assert [d.agent for d in schedule.decisions if isinstance(d, Start)] == ["a", "a", "b"]
    detail = "profile a runs 2 at a time; profile b runs 1 at a time"
    assert waits(schedule, "t3") == (WaitsOn(WaitKind.SLOT, detail=detail),)


def test_a_suspended_profile_is_waited_for_unless_the_route_has_another() -> None:
    limited = {"a": Throttle("a", until=60.0, why="rate limited: x")}
    alone = decide(snapshot(ticket("t"), settings=profiles(AgentProfile("a"), route=("a",)), throttles=limited), 0.0)
    assert waits(alone, "t") == (WaitsOn(WaitKind.BACKOFF, detail="a: rate limited: x", until=60.0),)
    assert alone.next_at == 60.0
    both = profiles(AgentProfile("a"), AgentProfile("b"), route=("a", "b"))
    assert decide(snapshot(ticket("t"), settings=both, throttles=limited), 0.0).decisions == (Start("t", 1, "b"),)
    assert decide(snapshot(ticket("t"), settings=both, throttles=limited), 60.0).decisions == (Start("t", 1, "a"),)


def test_after_a_rate_limit_fewer_run_at_once() -> None:
    limited = {"default": Throttle("default", limit=2.9)}
    schedule = decide(snapshot(*(ticket(f"t{n}", n) for n in range(4)), throttles=limited), 0.0)
    assert started(schedule) == ["t0", "t1"]


def test_a_start_gate_asks_a_person_once() -> None:
    gated = ticket("a", gate=Gate.START)
    assert decide(snapshot(gated), 0.0).decisions == (AskToStart("a"),)
    assert started(decide(snapshot(replace(gated, start_approved=True)), 0.0)) == ["a"]


def test_a_ticket_without_an_agent_waits_and_names_the_profile() -> None:
    schedule = decide(snapshot(ticket("a", agent="ghost")), 0.0)
    assert "ghost" in waits(schedule, "a")[0].detail


def test_slots_taken_away_from_the_pool_are_not_filled_again() -> None:
    running = [ticket(f"r{n}", state=TicketState.RUNNING) for n in range(3)]
    assert not decide(snapshot(*running, ticket("a"), slots=2), 0.0).decisions


# --- whatever the queue looks like ---

PATHS = ["/a", "/b", "/a/", "/b/*", "**", "/c", "/d", "*.py", "/a/x.py", "!/a"]
HOLDING = (TicketState.RUNNING, TicketState.LANDING)


@st.composite
def queues(draw: st.DrawFn) -> Snapshot:
    count = draw(st.integers(0, 10))
    records: list[TicketRecord] = []
    held: list[Ticket] = []
    for number in range(count):
        record = ticket(
            f"t{number}",
            draw(st.integers(0, 20)),
            touches=draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3)),
            after=tuple(draw(st.lists(st.sampled_from([f"t{n}" for n in range(10)]), max_size=2, unique=True))),
            priority=draw(st.sampled_from(list(Priority))),
            scope=draw(st.sampled_from([GLOBAL_SCOPE, "acme", "globex"])),
            state=draw(st.sampled_from([TicketState.QUEUED, TicketState.QUEUED, *TicketState])),
            held=draw(st.booleans()) and draw(st.booleans()),
        )
        if record.state is TicketState.REVIEW:
            record = replace(record, state=TicketState.QUEUED)
        if record.state in HOLDING:
            if any(overlap(record.ticket.touches, other.touches) for other in held):
                record = replace(record, state=TicketState.LANDED)
            else:
                held.append(record.ticket)
        records.append(record)
    return snapshot(*records, slots=draw(st.integers(1, 4)))


@given(queues())
def test_what_starts_never_overlaps_what_is_held_or_starts_beside_it(queue: Snapshot) -> None:
    claims = [claim.patterns for claim in queue.claims]
    for id_ in started(decide(queue, 0.0)):
        touches = queue.tickets[id_].ticket.touches
        assert not any(overlap(touches, claim) for claim in claims)
        claims.append(touches)


@given(queues())
def test_every_queued_ticket_is_decided_upon_or_says_what_it_waits_on(queue: Snapshot) -> None:
    schedule = decide(queue, 0.0)
    decided = [decision.ticket for decision in schedule.decisions]
    waiting = [each.ticket for each in schedule.waiting]
    queued = [record.id for record in queue.tickets.values() if record.state is TicketState.QUEUED]
    assert sorted([*decided, *waiting]) == sorted(queued)
    assert all(each.waits_on for each in schedule.waiting)


@given(queues())
def test_no_slot_stays_free_while_a_ticket_waits_only_for_a_slot(queue: Snapshot) -> None:
    schedule = decide(queue, 0.0)
    taken = {*queue.busy, *(d.slot for d in schedule.decisions if isinstance(d, Start))}
    if any(on.kind is WaitKind.SLOT for each in schedule.waiting for on in each.waits_on):
        assert len([slot for slot in range(1, queue.slots + 1) if slot not in taken]) == 0


@given(queues())
def test_nothing_starts_past_a_higher_ranked_ticket_that_only_overlap_holds_back(queue: Snapshot) -> None:
    schedule = decide(queue, 0.0)
    rank = {id_: number for number, id_ in enumerate(schedule.order)}
    for each in schedule.waiting:
        if {on.kind for on in each.waits_on} <= {WaitKind.OVERLAP, WaitKind.RESERVED}:
            touches = queue.tickets[each.ticket].ticket.touches
            later = [id_ for id_ in started(schedule) if rank[id_] > rank[each.ticket]]
            assert not any(overlap(touches, queue.tickets[id_].ticket.touches) for id_ in later)


@given(queues())
def test_the_same_snapshot_gives_the_same_answer_however_its_tickets_are_listed(queue: Snapshot) -> None:
    turned = replace(queue, tickets=dict(reversed(list(queue.tickets.items()))))
    assert decide(turned, 0.0).decisions == decide(queue, 0.0).decisions


@given(queues())
def test_a_finite_queue_whose_tickets_land_runs_them_all_but_those_that_cannot(queue: Snapshot) -> None:
    records = dict(queue.tickets)
    for _ in range(100):
        now = replace(
            queue,
            tickets=records,
            claims=tuple(c for c in queue.claims if records[c.ticket].state in HOLDING),
            attempts=tuple(a for a in queue.attempts if records[a.key.ticket].state is TicketState.RUNNING),
        )
        schedule = decide(now, 0.0)
        in_hand = [r for r in records.values() if r.state in HOLDING]
        if not schedule.decisions and not in_hand:
            break
        for record in in_hand:
            records[record.id] = replace(record, state=TicketState.LANDED)
        for decision in schedule.decisions:
            state = TicketState.SKIPPED if isinstance(decision, Skip) else TicketState.LANDED
            records[decision.ticket] = replace(records[decision.ticket], state=state)
    stuck = {WaitKind.DEPENDENCY, WaitKind.HELD}
    assert all(on.kind in stuck for each in schedule.waiting for on in each.waits_on)


def test_a_backoff_that_nobody_waits_out_any_more_is_not_waited_for() -> None:
    put_off = ticket("a", not_before=10.0)
    queue = Queue(snapshot(put_off), 0.0)
    queue.decide(0.0)
    assert queue.next_at() == 10.0
    queue.update(snapshot(replace(put_off, state=TicketState.CANCELLED)), ["a"], 1.0)
    queue.decide(1.0)
    assert queue.next_at() is None
