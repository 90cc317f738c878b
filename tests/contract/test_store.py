"""The store: every change with its event, and what may never be false refused by the schema itself."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ticketd.cli.render.told import Teller
from ticketd.domain.attempt import AttemptKey, AttemptState, Drift
from ticketd.domain.estimates import Estimates, Sample, learn
from ticketd.domain.events import EventKind
from ticketd.domain.globs import NOTHING, PatternSet
from ticketd.domain.landing import Landed, Phase
from ticketd.domain.lint import Outline
from ticketd.domain.pool import PAUSED_BY_A_PERSON, DaemonRecord, Stop, TargetRecord
from ticketd.domain.repair import Repair, RepairKind
from ticketd.domain.report import NOTHING_REPORTED, Report
from ticketd.domain.review import Stale
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.settings import Settings
from ticketd.domain.throttle import Capacity, Limited, Served, Throttle
from ticketd.domain.ticket import Gate, Priority, Reason, Size, TicketRecord, TicketState
from ticketd.domain.ticketfile import parse_ticket
from ticketd.domain.verdict import Cancel, Fail, Requeue, ToLanding, Verdict
from ticketd.domain.widening import Collision
from ticketd.errors import BadInput, TicketdError
from ticketd.ports import FoundFile, Kept, Pulse
from ticketd.store import SqliteStore, open_store
from ticketd.store.migrations import SHAPE, shape_of
from ticketd.store.reading import MOST_CHANGES
from ticketd.store.ticketfiles import BATCH

BASE, TIP, LANDED = "b" * 40, "c" * 40, "d" * 40
TARGET = TargetRecord("origin", "main", LANDED, 9.0)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return open_store(tmp_path / "state" / "store.db")


def found(id_: str, *, touches: str | None = None, scope: str = "", body: str = "do it", **front: object) -> FoundFile:
    path = f"tickets/{scope}/{id_}.md" if scope else f"tickets/{id_}.md"
    lines = "".join(f"{key}: {value}\n" for key, value in front.items())
    text = f"---\ntouches: ['{touches or '/' + id_}']\n{lines}---\n# {id_}\n\n{body}\n"
    parsed = parse_ticket(path, text.encode(), Settings())
    assert parsed.ticket is not None, parsed.problems
    return FoundFile(str(hash(text)), parsed)


def add(store: SqliteStore, *files: FoundFile) -> None:
    store.save_files(files, [], 1.0)


def dispatch(store: SqliteStore, id_: str, slot: int = 1, agent: str = "default", batch: int = 0) -> AttemptKey | str:
    record = store.ticket(id_)
    assert record is not None
    return store.dispatch(Start(id_, slot, agent), record, BASE, NOTHING, 2.0, batch)


def run(store: SqliteStore, id_: str, verdict: Verdict, slot: int = 1) -> AttemptKey:
    key = dispatch(store, id_, slot)
    assert isinstance(key, AttemptKey), key
    store.set_worktree(key, str(slot))
    store.attempt_started(key, str(slot), 123, 3.0)
    store.attempt_over(key, 0, "exited", "", 4.0)
    store.close_attempt(key, Kept(TIP, ("x",)), verdict, Report(cost_usd=0.5), 5.0, retire=False)
    return key


def state(store: SqliteStore, id_: str) -> TicketState:
    record = store.ticket(id_)
    assert record is not None
    return record.state


def kinds(store: SqliteStore, id_: str) -> list[EventKind]:
    return [event.kind for event in store.events(ticket=id_)]


def test_tickets_seen_together_age_in_order_of_id(store: SqliteStore) -> None:
    add(store, found("b"), found("a"))
    add(store, found("0-later"))
    assert [(r.id, r.age) for r in store.board().tickets.values()] == [("a", 1), ("b", 2), ("0-later", 3)]


def test_a_ticket_comes_back_as_it_was_written(store: SqliteStore) -> None:
    file = found("full", touches="src/**", priority="high", size="L", timeout="90s", verify="make test", labels="[x]")
    add(store, file)
    record = store.ticket("full")
    assert record is not None and record.ticket == file.parsed.ticket
    assert store.file("tickets/full.md") == file


def test_a_changed_file_changes_the_ticket_and_keeps_its_age(store: SqliteStore) -> None:
    add(store, found("a"), found("b"))
    add(store, found("a", body="do something else"))
    record = store.ticket("a")
    assert record is not None
    assert (record.age, record.ticket.body) == (1, "# a\n\ndo something else")
    assert kinds(store, "a") == [EventKind.TICKET_ADDED, EventKind.TICKET_CHANGED]


def test_a_deleted_file_withdraws_its_ticket_and_a_returned_one_queues_it_again(store: SqliteStore) -> None:
    add(store, found("a"))
    store.save_files([], ["tickets/a.md"], 2.0)
    assert state(store, "a") is TicketState.CANCELLED
    add(store, found("a"))
    assert state(store, "a") is TicketState.QUEUED


def test_a_second_file_with_the_same_id_does_not_replace_the_first(store: SqliteStore) -> None:
    add(store, found("a", body="first"))
    add(store, found("a", scope="acme", body="second"))
    record = store.ticket("a")
    assert record is not None and "first" in record.ticket.body


def test_a_moved_file_is_the_same_ticket(store: SqliteStore) -> None:
    add(store, found("a"))
    store.save_files([found("a", scope="acme")], ["tickets/a.md"], 2.0)
    record = store.ticket("a")
    assert record is not None
    assert (record.ticket.path, record.state, record.age) == ("tickets/acme/a.md", TicketState.QUEUED, 1)


def test_of_files_saved_by_the_thousand_ages_follow_ids_and_of_twins_the_first_counts(store: SqliteStore) -> None:
    files = [found(f"t{number:04d}", body=f"part {number}") for number in range(2 * BATCH + 1)]
    twins = [found("t0003", scope="acme", body="twin"), found("t0007", scope="Acme", body="twin")]
    add(store, *reversed(files), *twins)
    records = store.board().tickets.values()
    assert [(record.id, record.age) for record in records] == [(f.parsed.id, n) for n, f in enumerate(files, start=1)]
    bodies = {id_: record.ticket.body for id_ in ("t0003", "t0007") if (record := store.ticket(id_))}
    assert bodies == {"t0003": "# t0003\n\ntwin", "t0007": "# t0007\n\ntwin"}
    assert set(store.stamps()) == {file.parsed.path for file in (*files, *twins)}


def test_a_file_that_comes_back_while_its_ticket_runs_is_told(store: SqliteStore) -> None:
    add(store, found("a"))
    dispatch(store, "a")
    store.save_files([], ["tickets/a.md"], 2.0)
    add(store, found("a"))
    assert kinds(store, "a")[-2:] == [EventKind.TICKET_WITHDRAWN, EventKind.TICKET_RETURNED]
    assert state(store, "a") is TicketState.RUNNING


def test_the_board_has_tickets_without_their_bodies(store: SqliteStore) -> None:
    add(store, found("a", body="long"))
    whole = store.ticket("a")
    assert whole is not None and "long" in whole.ticket.body
    assert store.board().tickets["a"] == replace(whole, ticket=replace(whole.ticket, body=""))


def test_equal_parts_of_many_tickets_are_one_object(store: SqliteStore) -> None:
    add(store, found("a", touches="/x"), found("b", touches="/x", depends_on="[a]"))
    a, b = store.board().tickets.values()
    assert a.ticket.touches is b.ticket.touches and a.seen_at is b.seen_at
    assert b.ticket.depends_on[0] is a.id


def test_what_the_files_say_of_each_other_is_known_without_reading_them(store: SqliteStore) -> None:
    faulty = FoundFile("1", parse_ticket("tickets/bad.md", b"---\nsize: XL\n---\n", Settings()))
    add(store, found("a", depends_on="[b, bad]"), found("a", scope="acme", depends_on="[c]"), faulty)
    first, second = "tickets/a.md", "tickets/acme/a.md"
    # Of two files with one id only the one in the queue has dependencies.
    queued, passed_over = (second, first) if store.ticket("a").ticket.path == second else (first, second)  # type: ignore[union-attr]
    outlines = {outline.path: outline for outline in store.outlines()}
    assert outlines[queued].depends_on == (("b", "bad") if queued == first else ("c",))
    assert outlines[passed_over] == Outline(passed_over, "a", True, ())
    assert outlines["tickets/bad.md"] == Outline("tickets/bad.md", "bad", False, ())
    assert tuple(store.file_problems()) == faulty.parsed.problems


def test_the_latest_saving_of_files_has_a_number(store: SqliteStore) -> None:
    assert store.files_read() == 0
    add(store, found("a"))
    first = store.files_read()
    store.hold("a", True, 2.0)
    assert store.files_read() == first
    store.save_files([], ["tickets/a.md"], 3.0)
    assert store.files_read() > first


def test_a_board_brought_up_names_the_tickets_that_have_newer_events(store: SqliteStore) -> None:
    add(store, found("a"), found("b"))
    before = store.board()
    assert before.changed is None
    store.hold("b", True, 2.0)
    store.pause("", 2.0)
    after = store.board(before)
    assert after.changed == {"b"} and after.newest > before.newest
    assert store.board(after).changed == frozenset()
    assert after.tickets["b"].held and not after.tickets["a"].held


def test_too_many_changes_are_not_named(store: SqliteStore) -> None:
    add(store, *(found(f"t{number}") for number in range(MOST_CHANGES)))
    known = store.board()
    add(store, *(found(f"t{number}", body="else") for number in range(MOST_CHANGES)), found("last"))
    board = store.board(known)
    assert (board.changed, board.tickets) == (None, store.board().tickets)


def test_a_board_brought_up_from_an_earlier_one_is_the_one_read_anew(store: SqliteStore) -> None:
    """Over every write there is: each change of a ticket has an event that names it."""
    known = store.board()
    for write in every_write(store):
        known = store.board(known)
        assert known.changed is not None
        anew = store.board()
        assert list(known.tickets.items()) == list(anew.tickets.items()), write
        assert replace(known, changed=None, tickets=anew.tickets) == anew, write


def every_write(store: SqliteStore) -> Iterator[str]:
    add(store, found("a"), found("b"), found("c"), found("d", gate="start"), found("e", on_failure="ask"))
    yield "added"
    add(store, found("b", body="else"), found("0"))
    yield "body changed"
    store.save_files([found("c", scope="acme")], ["tickets/c.md"], 2.0)
    yield "moved"
    store.save_files([], ["tickets/0.md"], 2.0)
    yield "withdrawn"
    add(store, found("0"))
    yield "returned"
    run(store, "a", Requeue("again", failed=True, reason=Reason.TIMEOUT))
    yield "failed once"
    run(store, "a", Requeue("later", deferred=True, not_before=99.0))
    yield "deferred"
    key = run(store, "a", ToLanding())
    yield "landing"
    store.set_phases([replace(store.landings()[0], phase=Phase.QUEUED)], 6.0)
    yield "rebasing"
    store.cancel("a", 6.0)
    yield "cancel asked"
    store.land([Landed(key, LANDED)], TARGET, 9.0)
    yield "landed"
    key = run(store, "b", ToLanding(review=True))
    yield "review"
    store.approve("b", 7.0)
    yield "approved"
    store.landing_failed(key, Fail(Reason.PUSH_REJECTED, "no"), 8.0)
    yield "push refused"
    store.retry("b", 8.0)
    yield "landed again"
    store.landing_failed(key, Fail(Reason.CONFLICT, "no"), 8.0)
    store.retry("b", 8.0)
    yield "retried"
    store.ask_to_start("d", 8.0)
    yield "asked to start"
    store.approve("d", 8.0)
    yield "may start"
    store.ask_to_start("d", 8.0)
    store.reject("d", "no", 8.0)
    yield "rejected"
    store.skip("c", "d", 8.0)
    yield "skipped"
    store.hold("e", True, 8.0)
    yield "held"
    store.hold("e", False, 8.0)
    store.bump("e", Priority.HIGH, 8.0)
    yield "bumped"
    key = run(store, "e", Fail(Reason.TIMEOUT, ""))
    yield "failed"
    store.retry("e", 9.0)
    dispatch(store, "e")
    store.cancel("e", 9.0)
    yield "running, cancel asked"
    store.save_files([], ["tickets/e.md"], 9.0)
    store.attempt_over(AttemptKey("e", 2), 0, "exited", "", 9.0)
    store.close_attempt(AttemptKey("e", 2), None, Requeue("x"), NOTHING_REPORTED, 9.0, retire=False)
    yield "ended without its file"


def test_a_whole_life_is_told_by_its_events(store: SqliteStore) -> None:
    add(store, found("a"))
    key = run(store, "a", ToLanding())
    store.land([Landed(key, LANDED)], TARGET, 9.0)
    record = store.ticket("a")
    assert record is not None
    assert (record.state, record.landed_sha, record.attempts) == (TicketState.LANDED, LANDED, 1)
    assert kinds(store, "a") == [
        EventKind.TICKET_ADDED,
        EventKind.DISPATCHED,
        EventKind.STARTED,
        EventKind.AGENT_ENDED,
        EventKind.WORK_KEPT,
        EventKind.ATTEMPT_CLOSED,
        EventKind.LANDING_QUEUED,
        EventKind.LANDED,
    ]
    board = store.board()
    assert (board.attempts, board.claims, board.landings, board.cost_usd) == ((), (), (), 0.5)
    assert board.target == TARGET


def test_what_has_landed_is_learned_from_and_what_has_not_is_not(store: SqliteStore) -> None:
    add(store, found("landed", size="S", scope="acme"), found("failed"), found("later"), found("lands", size="L"))
    key = run(store, "landed", ToLanding())
    store.land([Landed(key, LANDED)], TARGET, 9.0)
    run(store, "failed", Fail(Reason.TIMEOUT, ""))
    run(store, "later", Requeue("exit 75", deferred=True))
    run(store, "lands", ToLanding())
    assert store.samples(10) == (Sample(Size.S, "acme", "default", 2.0, 4.0),)
    assert store.board().estimates == learn(store.samples(10))


def test_the_newest_samples_come_first_and_learning_is_done_anew_only_for_more(store: SqliteStore) -> None:
    assert store.estimates() == Estimates()
    for id_, ended_at, is_worth_it in (("a", 10.0, True), ("b", 30.0, True), ("c", 20.0, False)):
        add(store, found(id_))
        before = store.estimates()
        assert store.estimates() is before
        key = dispatch(store, id_)
        assert isinstance(key, AttemptKey)
        store.attempt_over(key, 0, "exited", "", ended_at)
        store.close_attempt(key, Kept(TIP, ("x",)), ToLanding(), NOTHING_REPORTED, ended_at, retire=False)
        store.land([Landed(key, LANDED)], TARGET, 40.0)
        assert (store.estimates() is not before) == is_worth_it
    assert [(s.seconds, s.landing_s) for s in store.samples(2)] == [(28.0, 10.0), (18.0, 20.0)]


def test_a_slot_takes_one_attempt_at_a_time(store: SqliteStore) -> None:
    add(store, found("a"), found("b"))
    assert isinstance(dispatch(store, "a", slot=1), AttemptKey)
    assert isinstance(dispatch(store, "b", slot=1), str)
    assert state(store, "b") is TicketState.QUEUED


def test_a_slot_is_free_as_soon_as_its_process_is_gone_though_the_claim_is_still_held(store: SqliteStore) -> None:
    add(store, found("a"), found("b"), found("rival", touches="/a"))
    key = dispatch(store, "a", slot=1)
    assert isinstance(key, AttemptKey)
    store.attempt_over(key, 0, "exited", "", 4.0)
    assert isinstance(dispatch(store, "b", slot=1), AttemptKey)
    assert dispatch(store, "rival", slot=2) == "claims overlap"


def test_a_ticket_is_not_dispatched_twice(store: SqliteStore) -> None:
    add(store, found("a"))
    assert isinstance(dispatch(store, "a", slot=1), AttemptKey)
    assert isinstance(dispatch(store, "a", slot=2), str)


def test_claims_that_overlap_are_never_held_together_even_by_raw_sql(store: SqliteStore) -> None:
    add(store, found("a", touches="src/**"), found("b", touches="src/x.py"))
    dispatch(store, "a", slot=1)
    with store.connections.transaction() as db:
        db.execute(
            "INSERT INTO attempts (ticket, number, state, slot, base, agent, dispatched_at)"
            " VALUES ('b', 1, 'running', 2, 'x', 'x', 0.0)"
        )
        with pytest.raises(sqlite3.IntegrityError, match="claims overlap"):
            db.execute("INSERT INTO claims VALUES ('b', 1, '[\"src/x.py\"]', '[]', 1)")


def test_shared_patterns_are_left_out_of_the_test(store: SqliteStore) -> None:
    add(store, found("a", touches="/CHANGELOG.md"), found("b", touches="*.md"))
    shared = PatternSet(("*.md",))
    for slot, id_ in enumerate(("a", "b"), start=1):
        record = store.ticket(id_)
        assert record is not None
        assert isinstance(store.dispatch(Start(id_, slot, "default"), record, BASE, shared, 2.0), AttemptKey)


def test_an_illegal_move_is_refused_by_the_schema(store: SqliteStore) -> None:
    add(store, found("a"))
    with store.connections.transaction() as db, pytest.raises(sqlite3.IntegrityError, match="not a legal move"):
        db.execute("UPDATE tickets SET state = 'landed', landed_sha = 'x' WHERE id = 'a'")


def test_events_are_never_changed(store: SqliteStore) -> None:
    add(store, found("a"))
    with store.connections.transaction() as db, pytest.raises(sqlite3.IntegrityError, match="never changed"):
        db.execute("UPDATE events SET kind = 'landed'")


def test_a_change_and_its_event_stand_or_fall_together(store: SqliteStore) -> None:
    add(store, found("a"))
    before = len(store.events())
    with pytest.raises(RuntimeError), store.connections.transaction() as db:
        db.execute("UPDATE tickets SET held = 1 WHERE id = 'a'")
        raise RuntimeError
    record = store.ticket("a")
    assert record is not None and not record.held
    assert len(store.events()) == before


@pytest.mark.parametrize(
    ("verdict", "expected", "failures"),
    [
        (Requeue("again", failed=True, reason=Reason.TIMEOUT), TicketState.QUEUED, 1),
        (Requeue("later", deferred=True, not_before=99.0), TicketState.QUEUED, 0),
        (Fail(Reason.AGENT_FAILED, "exit code 3"), TicketState.FAILED, 0),
        (Cancel("by a person"), TicketState.CANCELLED, 0),
        (ToLanding(review=True), TicketState.REVIEW, 0),
    ],
)
def test_each_verdict_leads_where_it_says(
    store: SqliteStore, verdict: Verdict, expected: TicketState, failures: int
) -> None:
    add(store, found("a"))
    run(store, "a", verdict)
    record = store.ticket("a")
    assert record is not None
    assert (record.state, record.failures) == (expected, failures)
    assert bool(store.board().claims) is (expected is TicketState.REVIEW)


def test_paths_written_outside_are_added_to_the_claim_unless_somebody_holds_them(store: SqliteStore) -> None:
    add(store, found("a"), found("b"))
    dispatch(store, "b", slot=2)
    run(store, "a", ToLanding(outside=("new", "b")), slot=1)
    held = {claim.ticket: claim.patterns.patterns for claim in store.board().claims}
    assert held["a"] == ("/a", "/new")
    assert {EventKind.CLAIM_EXTENDED, EventKind.CLAIM_COLLIDED} <= set(kinds(store, "a"))
    told = [Teller().line(event) or "" for event in store.events(ticket="a")]
    assert any("wrote what b holds: b" in line for line in told)


def begin(store: SqliteStore, id_: str, slot: int) -> AttemptKey:
    key = dispatch(store, id_, slot)
    assert isinstance(key, AttemptKey), key
    store.set_worktree(key, str(slot))
    store.attempt_started(key, str(slot), 123, 3.0)
    return key


def test_what_a_running_attempt_has_written_joins_its_claim_and_a_later_pick_avoids_it(store: SqliteStore) -> None:
    add(store, found("a"), found("later", touches="/new/x"))
    key = begin(store, "a", 1)
    store.extend_claim(key, ["a", "new/x"], 4.0)
    assert store.board().claims[0].patterns == PatternSet(("/a", "/new/x"))
    assert dispatch(store, "later", 2) == "claims overlap"


def test_looking_again_without_news_writes_nothing(store: SqliteStore) -> None:
    add(store, found("a"), found("b"))
    key, _ = begin(store, "a", 1), begin(store, "b", 2)
    store.extend_claim(key, ["a", "b", "new"], 4.0)
    before = store.events()
    with sqlite3.connect(store.connections.path) as other:
        other.execute("BEGIN IMMEDIATE")  # whoever wanted to write would wait for this one, and fail
        store.extend_claim(key, ["a", "b", "new"], 5.0)
    assert store.events() == before


def test_a_collision_is_told_once_and_seen_by_both_as_long_as_both_hold_their_claims(store: SqliteStore) -> None:
    add(store, found("a"), found("b", touches="/b*"))
    key, other = begin(store, "a", 1), begin(store, "b", 2)
    store.extend_claim(key, ["b1"], 4.0)
    store.extend_claim(key, ["b1", "b2"], 5.0)
    collided = [event for event in store.events() if event.kind is EventKind.CLAIM_COLLIDED]
    assert [(e.ticket, dict(e.data)) for e in collided] == [
        ("a", {"with": "b", "paths": ["b1"]}),
        ("a", {"with": "b", "paths": ["b2"]}),
    ]
    assert kinds(store, "b").count(EventKind.CLAIM_COLLIDED) == 2
    assert store.board().collisions == store.collisions() == (Collision("a", "b", "b1"), Collision("a", "b", "b2"))
    store.attempt_over(other, 1, "exited", "", 6.0)
    store.close_attempt(other, None, Fail(Reason.AGENT_FAILED, ""), NOTHING_REPORTED, 6.0, retire=False)
    assert store.collisions() == ()


def test_the_end_of_an_attempt_tells_no_collision_that_was_told_while_it_ran(store: SqliteStore) -> None:
    add(store, found("a"), found("b"))
    begin(store, "b", 2)
    key = begin(store, "a", 1)
    store.extend_claim(key, ["b", "new"], 4.0)
    store.attempt_over(key, 0, "exited", "", 5.0)
    store.close_attempt(
        key, Kept(TIP, ("a", "b", "new")), ToLanding(outside=("b", "new")), NOTHING_REPORTED, 5.0, retire=False
    )
    assert kinds(store, "a").count(EventKind.CLAIM_COLLIDED) == kinds(store, "a").count(EventKind.CLAIM_EXTENDED) == 1
    assert EventKind.OUTSIDE_CLAIM not in kinds(store, "a")


def test_paths_outside_are_told_of_where_the_policy_is_to_warn(store: SqliteStore) -> None:
    add(store, found("a"))
    run(store, "a", ToLanding(outside=("new",), warn=True))
    assert EventKind.OUTSIDE_CLAIM in kinds(store, "a")


def test_the_claim_of_an_attempt_that_is_over_is_not_widened(store: SqliteStore) -> None:
    add(store, found("a"))
    key = run(store, "a", Requeue("again"))
    begin(store, "a", 1)
    store.extend_claim(key, ["new"], 9.0)
    assert store.board().claims[0].patterns == PatternSet(("/a",))


def test_what_is_seen_late_of_an_attempt_whose_work_is_kept_joins_nothing(store: SqliteStore) -> None:
    add(store, found("a"))
    key = run(store, "a", ToLanding(review=True))
    before = store.events()
    store.extend_claim(key, ["new"], 9.0)
    assert (store.events(), store.board().claims[0].patterns) == (before, PatternSet(("/a",)))


def test_a_refused_start_takes_collisions_with_it_for_its_number_is_given_again(store: SqliteStore) -> None:
    add(store, found("a"), found("b"))
    key, other = begin(store, "a", 1), dispatch(store, "b", 2)
    assert isinstance(other, AttemptKey)
    store.extend_claim(key, ["b"], 4.0)
    store.start_refused(other, "no process left", 5.0)
    assert dispatch(store, "b", 2) == other
    assert store.collisions() == ()
    assert store.disagreements() == []


def test_a_path_that_is_not_unicode_collides_once(store: SqliteStore) -> None:
    add(store, found("a"), found("b", touches="/b*"))
    key, _ = begin(store, "a", 1), begin(store, "b", 2)
    for at in (4.0, 5.0):
        store.extend_claim(key, ["b\udcff"], at)
    assert [each.path for each in store.collisions()] == ["b\\udcff"]
    assert kinds(store, "a").count(EventKind.CLAIM_COLLIDED) == 1


def test_a_worktree_that_holds_what_no_commit_does_leaves_the_pool(store: SqliteStore) -> None:
    add(store, found("a"))
    key = dispatch(store, "a")
    assert isinstance(key, AttemptKey)
    store.set_worktree(key, "7")
    store.attempt_over(key, 0, "exited", "", 4.0)
    store.close_attempt(key, None, Fail(Reason.LOST, "x"), NOTHING_REPORTED, 5.0, retire=True)
    assert "7" not in store.worktree_setups() and "7" in store.worktree_names()
    assert any("left worktree 7" in (Teller().line(event) or "") for event in store.events())


def test_phases_of_landing_are_kept_and_pushing_needs_a_candidate(store: SqliteStore) -> None:
    add(store, found("a"))
    run(store, "a", ToLanding())
    landing = store.board().landings[0]
    with pytest.raises(sqlite3.IntegrityError):
        store.set_phases([replace(landing, phase=Phase.PUSHING)], 6.0)
    pushing = replace(landing, phase=Phase.PUSHING, candidate=TIP, onto=BASE)
    store.set_phases([pushing], 6.0)
    assert store.board().landings == (pushing,)


def test_a_refused_push_is_retried_from_the_kept_work(store: SqliteStore) -> None:
    add(store, found("a"))
    key = run(store, "a", ToLanding())
    store.landing_failed(key, Fail(Reason.PUSH_REJECTED, "not today"), 6.0)
    assert store.retry("a", 7.0) is TicketState.LANDING
    assert store.board().landings[0].tip == TIP
    assert len(store.board().claims) == 1


def test_a_refused_push_whose_files_are_taken_meanwhile_goes_to_the_queue(store: SqliteStore) -> None:
    add(store, found("a"), found("rival", touches="/a"))
    key = run(store, "a", ToLanding())
    store.landing_failed(key, Fail(Reason.PUSH_REJECTED, "not today"), 6.0)
    dispatch(store, "rival")
    assert store.retry("a", 7.0) is TicketState.QUEUED


def test_a_retry_starts_counting_failures_anew(store: SqliteStore) -> None:
    add(store, found("a"))
    run(store, "a", Requeue("", failed=True, reason=Reason.TIMEOUT))
    run(store, "a", Fail(Reason.TIMEOUT, ""))
    assert store.retry("a", 7.0) is TicketState.QUEUED
    record = store.ticket("a")
    assert record is not None and record.failures == 0


def test_cancelling_takes_effect_at_once_or_is_left_for_the_daemon(store: SqliteStore) -> None:
    add(store, found("waits"), found("runs"))
    dispatch(store, "runs")
    assert store.cancel("waits", 3.0) is TicketState.CANCELLED
    assert store.cancel("runs", 3.0) is TicketState.RUNNING
    record = store.ticket("runs")
    assert record is not None and record.cancel_requested


def test_approval_sends_kept_work_to_the_lane_and_unstarted_tickets_to_the_queue(store: SqliteStore) -> None:
    add(store, found("done"), found("fresh"))
    run(store, "done", ToLanding(review=True))
    store.ask_to_start("fresh", 6.0)
    assert store.approve("done", 7.0) is TicketState.LANDING
    assert store.approve("fresh", 7.0) is TicketState.QUEUED
    with pytest.raises(BadInput, match="not in review"):
        store.approve("fresh", 8.0)


def record_of(store: SqliteStore, id_: str) -> TicketRecord:
    record = store.ticket(id_)
    assert record is not None
    return record


def test_the_gate_a_ticket_waits_at_is_stored_and_only_in_review(store: SqliteStore) -> None:
    add(store, found("done"), found("fresh"))
    run(store, "done", ToLanding(review=True, detail="because"))
    store.ask_to_start("fresh", 6.0)
    assert (record_of(store, "done").gate_at, record_of(store, "done").detail) == (Gate.LAND, "because")
    assert record_of(store, "fresh").gate_at is Gate.START
    store.approve("done", 7.0)
    assert record_of(store, "done").gate_at is None
    with store.connections.transaction() as db, pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        db.execute("UPDATE tickets SET gate = NULL WHERE id = 'fresh'")


def test_an_approval_is_for_what_was_shown_and_a_new_attempt_needs_a_new_one(store: SqliteStore) -> None:
    add(store, found("a"))
    run(store, "a", ToLanding(review=True))
    for at in (6.0, 7.0):
        store.note_shown("a", LANDED, at)
    assert kinds(store, "a").count(EventKind.REVIEW_SHOWN) == 1
    assert store.approve("a", 8.0) == Stale(LANDED, TIP)
    assert store.approve("a", 8.0, BASE) == Stale(BASE, TIP, named=True)
    assert state(store, "a") is TicketState.REVIEW
    assert store.approve("a", 8.0, TIP[:7]) is TicketState.LANDING
    assert record_of(store, "a").approved == TIP
    store.landing_failed(AttemptKey("a", 1), Requeue("conflict", failed=True, reason=Reason.CONFLICT), 9.0)
    begin(store, "a", 1)
    assert record_of(store, "a").approved is None
    assert store.disagreements() == []


def test_a_released_claim_is_taken_again_with_the_approval_unless_others_hold_its_files(store: SqliteStore) -> None:
    add(store, found("a"), found("b"), found("rival", touches="/b"))
    run(store, "a", ToLanding(review=True, release=True))
    run(store, "b", ToLanding(review=True, release=True), slot=2)
    assert store.board().claims == ()
    begin(store, "rival", 1)
    for id_ in ("a", "b"):
        assert store.approve(id_, 7.0) is TicketState.LANDING
    assert [claim.ticket for claim in store.board().claims] == ["a", "rival"]
    queued = {e.ticket: e.data["claim_held"] for e in store.events() if e.kind is EventKind.LANDING_QUEUED}
    assert queued == {"a": True, "b": False}
    assert store.disagreements() == []
    store.land([Landed(AttemptKey("b", 1), LANDED)], TARGET, 9.0)
    assert state(store, "b") is TicketState.LANDED


@pytest.mark.parametrize("release", [False, True])
def test_what_the_lane_sends_back_to_a_person_remembers_what_it_may_have_pushed(
    store: SqliteStore, release: bool
) -> None:
    add(store, found("a"))
    key = run(store, "a", ToLanding())
    store.set_phases([replace(store.landings()[0], phase=Phase.PUSHING, candidate=LANDED, onto=BASE)], 6.0)
    store.ask_to_land(key, "why", release, 7.0)
    assert (record_of(store, "a").gate_at, record_of(store, "a").detail) == (Gate.LAND, "why")
    assert (store.landings(), bool(store.board().claims)) == ((), not release)
    store.approve("a", 8.0)
    assert store.landings()[0].candidate == LANDED
    assert store.disagreements() == []


def test_an_edit_takes_back_the_approval_to_run(store: SqliteStore) -> None:
    add(store, found("a"))
    store.ask_to_start("a", 2.0)
    store.approve("a", 3.0)
    add(store, found("a", scope="acme"))
    add(store, found("b"))
    assert record_of(store, "a").start_approved
    add(store, found("a", body="something else"))
    assert not record_of(store, "a").start_approved


def test_a_ticket_edited_after_its_approval_is_not_dispatched_by_an_older_look(store: SqliteStore) -> None:
    add(store, found("a"))
    store.ask_to_start("a", 2.0)
    store.approve("a", 3.0)
    seen = store.board().tickets["a"]
    add(store, found("a", body="something else"))
    assert store.dispatch(Start("a", 1, "default"), seen, BASE, NOTHING, 4.0) == "a has changed meanwhile"


def test_who_was_cancelled_before_the_lane_asked_for_a_word_is_cancelled(store: SqliteStore) -> None:
    add(store, found("a"))
    key = run(store, "a", ToLanding())
    store.cancel("a", 6.0)
    store.ask_to_land(key, "why", False, 7.0)
    assert state(store, "a") is TicketState.CANCELLED
    assert (store.landings(), store.board().claims, store.disagreements()) == ((), (), [])


def test_a_rejected_ticket_fails_with_the_persons_words(store: SqliteStore) -> None:
    add(store, found("a"))
    run(store, "a", ToLanding(review=True))
    store.reject("a", "too clever", 7.0)
    record = store.ticket("a")
    assert record is not None
    assert (record.reason, record.detail) == (Reason.REJECTED, "too clever")
    assert not store.board().claims


def test_on_failure_abort_stops_the_run_and_ask_pauses_it(store: SqliteStore) -> None:
    add(store, found("aborts", on_failure="abort"), found("asks", on_failure="ask"))
    keys = [run(store, "aborts", ToLanding()), run(store, "asks", ToLanding(), slot=2)]
    for key in keys:
        store.landing_failed(key, Fail(Reason.VERIFY_FAILED, "x"), 6.0)
    pool = store.pool()
    assert pool.stop is Stop.DRAIN
    assert "aborts" in pool.aborted and "asks" in pool.paused


def test_the_pools_controls_hold_until_the_next_daemon(store: SqliteStore) -> None:
    store.pause(PAUSED_BY_A_PERSON, 1.0)
    store.set_slots(3, 1.0)
    store.ask_stop(Stop.NOW, 1.0)
    assert (store.pool().paused, store.pool().slots, store.pool().stop) == (PAUSED_BY_A_PERSON, 3, Stop.NOW)
    store.daemon_started(DaemonRecord(1, 2.0, "local"))
    assert (store.pool().stop, store.pool().slots) == (None, 3)
    store.resume(3.0)
    assert store.pool().paused == ""


def test_signs_of_life_and_drift_are_kept_with_the_attempt(store: SqliteStore) -> None:
    add(store, found("a"))
    key = dispatch(store, "a")
    assert isinstance(key, AttemptKey)
    store.pulse({key: Pulse(7.0, 10, 6.5, None, None)})
    for _ in range(2):
        store.set_drift(key, 2, Drift.CONFLICT, ["x"], 8.0)
    attempt = store.attempt(key)
    assert attempt is not None
    assert (attempt.heartbeat_at, attempt.output_at, attempt.output_bytes) == (7.0, 6.5, 10)
    assert (attempt.behind, attempt.drift, attempt.drift_paths) == (2, Drift.CONFLICT, ("x",))
    assert kinds(store, "a").count(EventKind.DRIFTED) == 1


def test_a_restart_is_asked_once_of_what_runs_and_of_nothing_that_is_being_ended(store: SqliteStore) -> None:
    add(store, found("a"))
    add(store, found("b"))
    keys = [dispatch(store, id_, slot) for slot, id_ in enumerate("ab", start=1)]
    for key in keys:
        assert isinstance(key, AttemptKey)
        store.restart(key, "tip", ["x"], 8.0)
        assert "restart-asked" not in kinds(store, key.ticket), "it does not run yet"
        store.attempt_started(key, key.ticket, 42, 9.0)
    first, second = keys
    assert isinstance(first, AttemptKey) and isinstance(second, AttemptKey)
    store.preempt(second, "c", 10.0)
    for _ in range(2):
        store.restart(first, "tip", ["x"], 11.0)
        store.restart(second, "tip", ["x"], 11.0)
        store.preempt(first, "c", 12.0)
    assert [kinds(store, id_).count(EventKind.RESTART_ASKED) for id_ in "ab"] == [1, 0]
    assert [(each.restarted, each.preempted) for each in store.live_attempts()] == [(True, False), (False, True)]
    assert store.disagreements() == []


def test_claims_that_are_held_and_whether_anything_is_queued_can_be_asked(store: SqliteStore) -> None:
    assert (store.claims(), store.has_queued()) == ((), False)
    add(store, found("a"))
    assert (store.claims(), store.has_queued()) == ((), True)
    dispatch(store, "a")
    assert ([claim.ticket for claim in store.claims()], store.has_queued()) == (["a"], False)


def test_of_tickets_that_are_to_go_on_all_attempts_are_told_and_of_no_others(store: SqliteStore) -> None:
    add(store, *(found(id_) for id_ in "abcdefg"))
    mend = Repair(RepairKind.VERIFY, LANDED, TIP, "`make` failed")
    run(store, "a", ToLanding())
    run(store, "b", Requeue("mend it", repair=mend))
    run(store, "c", Requeue("made way", preempted=True))
    run(store, "d", Requeue("afresh", failed=True))
    run(store, "e", Fail(Reason.TIMEOUT, "no"))
    run(store, "f", ToLanding(review=True))
    keys = [str(each.key) for each in store.attempts_to_go_on_with()]
    assert keys == ["a/1", "b/1", "c/1"]
    key = dispatch(store, "b")  # and until it has a worktree
    assert isinstance(key, AttemptKey)
    assert [str(each.key) for each in store.attempts_to_go_on_with()] == ["a/1", "b/1", "b/2", "c/1"]
    store.set_worktree(key, "1")
    assert [str(each.key) for each in store.attempts_to_go_on_with()] == ["a/1", "c/1"]
    store.cancel("c", 9.0)
    assert [str(each.key) for each in store.attempts_to_go_on_with()] == ["a/1"]


def test_a_worktree_is_known_before_it_is_made_and_keeps_what_is_known_of_it(store: SqliteStore) -> None:
    store.add_worktree("1")
    store.set_worktree_setup("2", "npm")
    store.add_worktree("2")
    assert store.worktree_setups() == {"1": "", "2": "npm"}


def test_a_ticket_can_be_held_and_bumped_and_unknown_ones_are_named(store: SqliteStore) -> None:
    add(store, found("a"))
    store.hold("a", True, 2.0)
    store.bump("a", Priority.CRITICAL, 2.0)
    record = store.ticket("a")
    assert record is not None and (record.held, record.priority) == (True, Priority.CRITICAL)
    with pytest.raises(BadInput, match="no ticket ghost"):
        store.hold("ghost", True, 2.0)


def test_many_threads_race_for_one_slot_and_one_wins(store: SqliteStore) -> None:
    ids = [f"t{n}" for n in range(8)]
    add(store, *(found(id_) for id_ in ids))
    answers: list[AttemptKey | str] = []
    gate = threading.Barrier(len(ids))

    def race(id_: str) -> None:
        gate.wait()
        answers.append(dispatch(store, id_, slot=1))
        store.close()

    threads = [threading.Thread(target=race, args=(id_,)) for id_ in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(answer, AttemptKey) for answer in answers) == 1
    assert len([a for a in store.live_attempts() if a.state is AttemptState.PREPARING]) == 1


# --- capacity ---


def batch_of(store: SqliteStore, number: int, *ids: str, agent: str = "default") -> list[AttemptKey]:
    keys = [dispatch(store, id_, slot, agent, number) for slot, id_ in enumerate(ids, start=1)]
    assert all(isinstance(key, AttemptKey) for key in keys), keys
    return [key for key in keys if isinstance(key, AttemptKey)]


def refuse(store: SqliteStore, keys: list[AttemptKey], at: float = 100.0) -> None:
    for key in keys:
        store.start_refused(key, "no process left", at)


def ended(store: SqliteStore, key: AttemptKey, capacity: Capacity, at: float) -> None:
    store.attempt_started(key, key.ticket, 1, at - 1)
    store.attempt_over(key, 75, "exited", "", at)
    store.close_attempt(key, None, Requeue("later"), NOTHING_REPORTED, at, retire=False, capacity=capacity)


def test_a_refused_start_leaves_the_ticket_as_it_was_but_for_its_reason(store: SqliteStore) -> None:
    add(store, found("a"))
    run(store, "a", Requeue("again", deferred=True))
    before = store.ticket("a")
    [key] = batch_of(store, 7, "a")
    refuse(store, [key])
    after = store.ticket("a")
    assert before is not None and after == replace(before, detail="no process left")
    assert (store.attempt(key), store.board().claims, store.live_attempts()) == (None, (), ())
    assert batch_of(store, 8, "a") == [key]


def test_only_a_batch_refused_whole_makes_the_backoff_grow_and_a_start_sets_it_back(store: SqliteStore) -> None:
    add(store, *(found(id_) for id_ in "abc"))
    refuse(store, batch_of(store, 1, "a", "b", "c"), at=100.0)
    refuse(store, batch_of(store, 2, "a", "b"), at=200.0)
    throttle = store.board().throttles["default"]
    assert (throttle.refused, throttle.until) == (2, 210.0)
    first, *others = batch_of(store, 3, "a", "b", "c")
    store.attempt_started(first, "1", 1, 300.0)
    refuse(store, others, at=301.0)
    throttle = store.board().throttles["default"]
    assert (throttle.refused, throttle.until) == (0, 306.0)


def test_a_refusal_is_the_profiles_own(store: SqliteStore) -> None:
    add(store, found("a"), found("b"))
    [key] = batch_of(store, 1, "a", agent="claude")
    dispatch(store, "b", 2, "codex", 1)
    refuse(store, [key])
    assert {name: one.refused for name, one in store.board().throttles.items()} == {"claude": 1}


def test_a_refused_start_of_a_ticket_that_is_to_be_cancelled_cancels_it(store: SqliteStore) -> None:
    add(store, found("a"), found("gone"))
    keys = batch_of(store, 1, "a", "gone")
    store.cancel("a", 3.0)
    store.save_files([], ["tickets/gone.md"], 3.0)
    refuse(store, keys)
    assert (state(store, "a"), state(store, "gone")) == (TicketState.CANCELLED, TicketState.CANCELLED)


def test_a_burst_of_rate_limits_suspends_the_whole_account_once(store: SqliteStore) -> None:
    add(store, *(found(id_) for id_ in "abcd"))
    keys = batch_of(store, 1, *"abcd", agent="opus")
    limited = Limited(("opus", "sonnet"), None, "overloaded")
    for key in keys:
        store.attempt_started(key, key.ticket, 1, 10.0)
    for key in keys:
        ended(store, key, limited, 20.0)
    opus, sonnet = store.board().throttles["opus"], store.board().throttles["sonnet"]
    assert (opus.limited, opus.until, opus.limit) == (1, 25.0, 2.0)
    assert (sonnet.limited, sonnet.until, sonnet.limit) == (1, 25.0, 1.0)
    throttled = [event.data["profile"] for event in store.events() if event.kind is EventKind.THROTTLED]
    assert throttled == ["opus", "sonnet"]
    assert all(record.failures == record.deferrals == 0 for record in store.board().tickets.values())


def test_success_gives_room_back_until_the_throttle_is_lifted(store: SqliteStore) -> None:
    add(store, *(found(id_) for id_ in "abc"))
    first, second, third = batch_of(store, 1, *"abc")
    ended(store, first, Limited(("default",), None, "overloaded"), 20.0)
    ended(store, second, Served({"default": 3}), 30.0)
    assert store.board().throttles["default"].limit == 2.0
    ended(store, third, Served({"default": 2}), 31.0)
    assert store.board().throttles == {}
    kinds = [event.kind for event in store.events() if "throttle" in event.kind]
    assert kinds == [EventKind.THROTTLED, EventKind.THROTTLE_EASED, EventKind.THROTTLE_LIFTED]


def test_events_hold_all_of_a_throttle(store: SqliteStore) -> None:
    add(store, found("a"))
    [key] = batch_of(store, 1, "a")
    ended(store, key, Limited(("default",), 900.0, "overloaded"), 20.0)
    event = next(event for event in store.events() if event.kind is EventKind.THROTTLED)
    assert Throttle(**event.data) == store.board().throttles["default"]  # type: ignore[arg-type]


def test_a_person_who_resumes_the_pool_lifts_every_throttle(store: SqliteStore) -> None:
    add(store, found("a"))
    refuse(store, batch_of(store, 1, "a"))
    store.resume(101.0)
    assert store.board().throttles == {}


def test_a_board_says_which_event_was_the_newest(store: SqliteStore) -> None:
    assert store.board().newest == 0
    add(store, found("a"))
    assert store.board().newest == store.events()[-1].number


# --- reports that come too late ---


def test_what_is_said_of_an_attempt_that_has_ended_changes_nothing(store: SqliteStore) -> None:
    add(store, found("a"))
    old = run(store, "a", Requeue("again", failed=True, reason=Reason.TIMEOUT))
    new = dispatch(store, "a")
    assert isinstance(new, AttemptKey)
    before, told = store.board(), len(store.events())
    store.attempt_started(old, "9", 9, 50.0)
    store.attempt_over(old, 9, "exited", "late", 50.0)
    store.set_drift(old, 9, Drift.CONFLICT, ["x"], 50.0)
    store.pulse({old: Pulse(50.0, 9, 50.0, None, None)})
    store.start_refused(old, "late", 50.0)
    late = Limited(("default",), None, "late")
    store.close_attempt(old, None, Fail(Reason.LOST, "late"), Report(cost_usd=9.0), 50.0, retire=True, capacity=late)
    assert (store.board(), len(store.events())) == (before, told)
    assert "late" not in str(store.attempt(old))
    assert "1" in store.worktree_setups()


def test_an_end_is_noted_once(store: SqliteStore) -> None:
    add(store, found("a"))
    key = dispatch(store, "a")
    assert isinstance(key, AttemptKey)
    store.attempt_over(key, 3, "exited", "first", 4.0)
    store.attempt_over(key, None, "lost", "second", 5.0)
    store.attempt_started(key, "9", 9, 6.0)
    attempt = store.attempt(key)
    assert attempt is not None
    assert (attempt.state, attempt.exit_code, attempt.detail) == (AttemptState.COLLECTING, 3, "first")
    assert kinds(store, "a").count(EventKind.AGENT_ENDED) == 1


def test_a_start_that_has_come_through_is_refused_no_more(store: SqliteStore) -> None:
    add(store, found("a"))
    key = dispatch(store, "a")
    assert isinstance(key, AttemptKey)
    store.attempt_started(key, "1", 1, 3.0)
    store.start_refused(key, "late", 4.0)
    assert state(store, "a") is TicketState.RUNNING


def test_reports_of_what_never_was_are_passed_over(store: SqliteStore) -> None:
    ghost = AttemptKey("ghost", 1)
    store.attempt_over(ghost, 0, "exited", "", 4.0)
    store.start_refused(ghost, "", 4.0)
    store.close_attempt(ghost, None, Requeue(""), NOTHING_REPORTED, 4.0, retire=False)
    assert store.events() == ()


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_store(path)
    store.connections.db.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('ticketd', 'm999', 'later')"
    )
    with pytest.raises(TicketdError, match="newer ticketd"):
        open_store(path)


def test_a_store_of_other_tables_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_store(path)
    assert shape_of(store.connections.db) == SHAPE, "the tables have changed: give SHAPE in store/migrations.py this"
    store.connections.db.execute("PRAGMA user_version = 1")
    with pytest.raises(TicketdError, match="another ticketd"):
        open_store(path)


def test_a_damaged_store_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(TicketdError, match="cannot be opened"):
        open_store(path)
    assert path.read_bytes().startswith(b"not a database")


def test_many_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    errors: list[Exception] = []

    def open_it() -> None:
        try:
            open_store(tmp_path / "store.db").close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
