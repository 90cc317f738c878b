"""What the scheduler promises, each promise held against every moment of whole runs with whatever can befall them.

`scripts/prove-schedule` asks for 50,000 runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, pairwise

from dice import Dice
from hypothesis import given
from hypothesis import strategies as st
from queues import SETTINGS, ticket
from runs import MOST_TICKETS, SETTINGS_BYTES, TICKET_BYTES, Moment, Run, run, workload
from scene import Scene, witness

from ticketd.domain.estimates import Estimates
from ticketd.domain.scheduler.schedule import PreemptAttempt, Skip, Start
from ticketd.domain.settings import Backfill, SchedulerSettings
from ticketd.domain.ticket import OnFailure, Priority, Size, TicketRecord, TicketState
from ticketd.sim.workload import Ends, Play, Workload

OWN_FAILURES = (Ends.FAILED, Ends.TIMEOUT, Ends.CONFLICT, Ends.VERIFY_FAILED)
SOME_BYTES = SETTINGS_BYTES + 3 * TICKET_BYTES
ALL_BYTES = SETTINGS_BYTES + MOST_TICKETS * TICKET_BYTES


@given(st.binary(min_size=SOME_BYTES, max_size=ALL_BYTES))
def test_every_promise_is_kept_at_every_moment_of_every_run(choices: bytes) -> None:
    assert list(broken_promises(run(workload(choices)))) == []


def broken_promises(ran: Run) -> Iterator[str]:
    """Each with who broke it, and when."""
    for at_moment in AT_EVERY_MOMENT:
        for moment in ran.moments:
            yield from (f"{moment.now:.0f} s: {_said(at_moment)}: {who}" for who in at_moment(moment))
    for moment in ran.moments:
        yield from (f"{moment.now:.0f} s: {broken}" for broken in broken_by_starts(moment))
    for of_all in OF_EVERY_RUN:
        yield from (f"{_said(of_all)}: {who}" for who in of_all(ran))


def broken_by_starts(moment: Moment) -> Iterator[str]:
    scene = Scene(moment)
    for start in moment.decisions:
        if isinstance(start, Start):
            for at_start in AT_EVERY_START:
                yield from (f"{_said(at_start)}: {who}" for who in at_start(scene, start))
            scene.take(start)
    for after in AFTER_ALL_STARTS:
        yield from (f"{_said(after)}: {who}" for who in after(scene, moment))


def _said(promise: Callable[..., object]) -> str:
    return promise.__name__.replace("_", " ")


# --- at every moment ---


def no_two_overlapping_claims_are_held(moment: Moment) -> Iterator[str]:
    shared = moment.snapshot.settings.claims.shared
    for one, other in combinations(moment.snapshot.claims, 2):
        if path := witness(one.patterns, other.patterns, shared):
            yield f"{one.ticket} and {other.ticket} on {path}"


def each_slot_has_one_attempt_and_each_ticket_one_slot(moment: Moment) -> Iterator[str]:
    slots = [attempt.slot for attempt in moment.snapshot.attempts]
    tickets = [attempt.key.ticket for attempt in moment.snapshot.attempts]
    if len(slots) > moment.snapshot.slots or len({*slots}) < len(slots) or len({*tickets}) < len(tickets):
        yield f"{tickets} in {slots}"


def who_is_in_a_slot_is_running_and_who_holds_files_has_not_ended(moment: Moment) -> Iterator[str]:
    records = moment.snapshot.tickets
    in_slots = sorted(attempt.key.ticket for attempt in moment.snapshot.attempts)
    holding = sorted(claim.ticket for claim in moment.snapshot.claims)
    if in_slots != sorted(r.id for r in records.values() if r.state is TicketState.RUNNING):
        yield f"in slots: {in_slots}"
    if holding != sorted(r.id for r in records.values() if r.state in (TicketState.RUNNING, TicketState.LANDING)):
        yield f"holding: {holding}"


def nobody_is_decided_upon_twice(moment: Moment) -> Iterator[str]:
    decided = [d.ticket for d in moment.decisions if not isinstance(d, PreemptAttempt)]
    yield from sorted({id_ for id_ in decided if decided.count(id_) > 1})


def only_dependents_of_what_takes_them_along_are_skipped(moment: Moment) -> Iterator[str]:
    skipped = {d.ticket for d in moment.decisions if isinstance(d, Skip)}
    for record in moment.snapshot.tickets.values():
        if record.state is TicketState.QUEUED:
            before = [moment.snapshot.tickets.get(id_) for id_ in record.ticket.depends_on]
            if any(map(takes_along, before)) is not (record.id in skipped):
                yield record.id


def takes_along(before: TicketRecord | None) -> bool:
    if before is None:
        return False
    failed = before.state is TicketState.FAILED and before.ticket.on_failure is OnFailure.SKIP
    return failed or before.state is TicketState.SKIPPED


AT_EVERY_MOMENT = (
    no_two_overlapping_claims_are_held,
    each_slot_has_one_attempt_and_each_ticket_one_slot,
    who_is_in_a_slot_is_running_and_who_holds_files_has_not_ended,
    nobody_is_decided_upon_twice,
    only_dependents_of_what_takes_them_along_are_skipped,
)

# --- whenever a ticket starts ---


def who_starts_is_ready_and_a_slot_is_free(scene: Scene, start: Start) -> Iterator[str]:
    taken = [attempt.slot for attempt in scene.snapshot.attempts]
    if scene.records[start.ticket] not in scene.ready or not scene.free:
        yield start.ticket
    if start.slot in taken or not 1 <= start.slot <= scene.snapshot.slots:
        yield f"{start.ticket} in slot {start.slot}"


def nobody_starts_on_files_that_are_held(scene: Scene, start: Start) -> Iterator[str]:
    yield from (f"{start.ticket} on those of {id_}" for id_ in scene.holders(scene.records[start.ticket]))


def nobody_passes_who_has_files_reserved(scene: Scene, start: Start) -> Iterator[str]:
    """Strict: nobody at all; else nobody whom this may delay."""
    yield from (f"{start.ticket} passes {id_}" for id_ in scene.keeps_off(scene.records[start.ticket]))


def the_first_profile_with_room_runs_it(scene: Scene, start: Start) -> Iterator[str]:
    if start.agent != (wanted := scene.profile(scene.records[start.ticket])):
        yield f"{start.ticket} on {start.agent}, not {wanted}"


def nobody_that_could_start_has_a_better_turn(scene: Scene, start: Start) -> Iterator[str]:
    mine = scene.turn(scene.records[start.ticket])
    yield from (f"{r.id} before {start.ticket}" for r in scene.ready if scene.turn(r) < mine and scene.may_start(r))


AT_EVERY_START = (
    who_starts_is_ready_and_a_slot_is_free,
    nobody_starts_on_files_that_are_held,
    nobody_passes_who_has_files_reserved,
    the_first_profile_with_room_runs_it,
    nobody_that_could_start_has_a_better_turn,
)

# --- once all have started that were to ---


def no_slot_is_idle_while_somebody_could_start(scene: Scene, _moment: Moment) -> Iterator[str]:
    yield from (record.id for record in scene.ready if scene.free and scene.may_start(record))


def only_for_a_critical_ticket_that_waits_somebody_makes_way(scene: Scene, moment: Moment) -> Iterator[str]:
    made_way = {d.attempt.ticket: d.for_ticket for d in moment.decisions if isinstance(d, PreemptAttempt)}
    for victim, id_ in made_way.items():
        record = scene.records[id_]
        if record not in scene.ready or record.priority is not Priority.CRITICAL or scene.ahead(record):
            yield f"{victim} for {id_}"
        if not made_way.keys() >= {*scene.holders(record)}:
            yield f"{victim} for {id_}, and others are in the way"


def nobody_makes_way_who_is_critical_or_near_the_end_or_has_twice(scene: Scene, moment: Moment) -> Iterator[str]:
    attempts = {attempt.key: attempt for attempt in moment.snapshot.attempts}
    for decision in moment.decisions:
        if isinstance(decision, PreemptAttempt):
            attempt, record = attempts[decision.attempt], scene.records[decision.attempt.ticket]
            elapsed = scene.now - attempt.dispatched_at
            near = elapsed >= 0.75 * scene.snapshot.estimates.of(record.ticket, attempt.agent).likely
            if near or record.preemptions >= 2 or record.priority is Priority.CRITICAL:
                yield record.id


AFTER_ALL_STARTS = (
    no_slot_is_idle_while_somebody_could_start,
    only_for_a_critical_ticket_that_waits_somebody_makes_way,
    nobody_makes_way_who_is_critical_or_near_the_end_or_has_twice,
)

# --- over a whole run ---


def every_ticket_comes_to_an_end_unless_something_stands_in_its_way(ran: Run) -> Iterator[str]:
    yield from (r.id for r in ran.outcome.records.values() if not r.state.is_final and not is_stuck(ran, r))


def is_stuck(ran: Run, record: TicketRecord) -> bool:
    """A person holds it, no profile runs it, the run was aborted, or what it needs will never have landed."""
    records = ran.outcome.records
    aborted = any(r.state is TicketState.FAILED and r.ticket.on_failure is OnFailure.ABORT for r in records.values())
    before = [records.get(id_) for id_ in record.ticket.depends_on]
    return (
        aborted
        or record.held
        or not ran.load.settings.route_of(record.ticket)
        or any(b is None or b.state in LOST or (not b.state.is_final and is_stuck(ran, b)) for b in before)
    )


LOST = (TicketState.FAILED, TicketState.SKIPPED, TicketState.CANCELLED)


def nobody_leaves_the_end_it_has_come_to(ran: Run) -> Iterator[str]:
    pictures = [*(moment.snapshot.tickets for moment in ran.moments), ran.outcome.records]
    for before, after in pairwise(pictures):
        yield from (id_ for id_, r in before.items() if r.state.is_final and after[id_] != r)


def who_lands_lands_once_and_whoever_fails_never(ran: Run) -> Iterator[str]:
    landed = {r.id for r in ran.outcome.records.values() if r.state is TicketState.LANDED}
    yield from sorted(landed ^ ran.outcome.landed_at.keys())


def who_lands_has_spent_a_retry_on_each_failure_of_its_own_and_none_on_making_way(ran: Run) -> Iterator[str]:
    for id_ in ran.outcome.landed_at:
        record, mishaps = ran.outcome.records[id_], ran.load.plays[id_].mishaps
        own = sum(mishap.ends in OWN_FAILURES for mishap in mishaps)
        if (record.failures, record.attempts) != (own, len(mishaps) + 1 + record.preemptions):
            yield id_


def nobody_runs_more_often_than_its_retries_allow(ran: Run) -> Iterator[str]:
    for record in ran.outcome.records.values():
        if record.failures > ran.load.settings.retries_of(record.ticket) or record.preemptions > 2:
            yield record.id


def a_critical_ticket_for_which_one_made_way_starts_at_once(ran: Run) -> Iterator[str]:
    for moment, then in pairwise(ran.moments):
        wanted = {d.for_ticket for d in moment.decisions if isinstance(d, PreemptAttempt)}
        yield from sorted(wanted - {d.ticket for d in then.decisions if isinstance(d, Start)})


OF_EVERY_RUN = (
    every_ticket_comes_to_an_end_unless_something_stands_in_its_way,
    nobody_leaves_the_end_it_has_come_to,
    who_lands_lands_once_and_whoever_fails_never,
    who_lands_has_spent_a_retry_on_each_failure_of_its_own_and_none_on_making_way,
    nobody_runs_more_often_than_its_retries_allow,
    a_critical_ticket_for_which_one_made_way_starts_at_once,
)


# --- no starvation ---

PLACES = ("/x", "/y", "/w/a", "/v/1")
CAME = 300.0


@given(st.binary(min_size=16, max_size=96), st.sampled_from(Backfill))
def test_a_wide_ticket_waits_for_no_stream_of_narrow_ones(choices: bytes, backfill: Backfill) -> None:
    """Strictly, it starts when all that came before it have landed. By estimates, by when that was expected as it came,
    if those take no longer than is likely and whoever passes no longer than to the cautious end."""
    load, elders = stream(Dice(choices), backfill)
    ran = run(load)
    began = next(each.start for each in ran.outcome.runs if each.ticket == "wide")
    if backfill is Backfill.STRICT:
        assert began == max([CAME, *(ran.outcome.landed_at[id_] for id_ in elders)])
    else:
        scenes = [Scene(moment) for moment in ran.moments if moment.now == CAME]
        wide = scenes[0].records["wide"]
        assert began <= CAME + scenes[0].begins_in(wide)


def stream(dice: Dice, backfill: Backfill) -> tuple[Workload, list[str]]:
    """Narrow tickets that come all the time, and which of them came before the wide one."""
    estimates = Estimates(landing_s=0.0)
    records, plays, elders = [ticket("wide", 100, touches=["**"], seen_at=CAME)], {"wide": Play(60.0)}, []
    while dice and len(records) < 20:
        id_, is_elder = f"n{len(records)}", dice.pick([False, False, True])
        times = (0.0, 100.0, CAME) if is_elder else (CAME, CAME + 1, 400.0, 700.0, 1000.0, 1500.0)
        record = ticket(
            id_,
            len(records) + (0 if is_elder else 100),
            touches=[dice.pick(PLACES)],
            size=dice.pick([Size.M, Size.S, Size.L]),
            seen_at=dice.pick(times),
        )
        expected = estimates.of(record.ticket)
        most = expected.likely if is_elder else expected.high
        records.append(record)
        plays[id_] = Play(dice.pick([most, most / 2, 60.0, 0.0]))
        elders += [id_] if is_elder else []
    settings = replace(SETTINGS, scheduler=SchedulerSettings(backfill=backfill))
    return Workload(tuple(records), plays, 8, settings, estimates), elders
