"""A walk through the store: at each step one of the operations that the daemon or a person might do just then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState, Drift, EndedFor
from ticketd.domain.events import EventKind
from ticketd.domain.globs import NOTHING
from ticketd.domain.landing import Landed, Landing, Phase, Proposal, Verification
from ticketd.domain.pool import DaemonRecord, Stop, TargetRecord
from ticketd.domain.repair import Repair, RepairKind
from ticketd.domain.replay import Replay
from ticketd.domain.report import Report
from ticketd.domain.review import Stale, digest_of
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.settings import Settings
from ticketd.domain.standing import Standing, differences
from ticketd.domain.ticket import FINAL, Priority, Reason, TicketRecord, TicketState
from ticketd.domain.ticketfile import parse_ticket
from ticketd.domain.verdict import Cancel, Fail, Requeue, ToLanding, Verdict
from ticketd.errors import BadInput
from ticketd.ports import FoundFile, InTheWay, Kept, Pulse
from ticketd.store import SqliteStore, open_store
from ticketd.store.connection import claims_overlap
from ticketd.store.rows import patterns_text


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    store = open_store(tmp_path_factory.mktemp("walk") / "store.db")
    store.connections.db.execute("PRAGMA synchronous=OFF")  # no machine goes down in between
    yield store
    store.close()


Do = Callable[[], object]
Step = tuple[str, Do]

TABLES = (
    "collisions",
    "claims",
    "landings",
    "attempts",
    "tickets",
    "events",
    "files",
    "worktrees",
    "daemon",
    "target",
    "throttles",
    "verifications",
)
TOUCHES = {"a": "/x/**", "b": "/x/y", "c": "/z", "d": "/w/**"}
ON_FAILURE = {"a": "block", "b": "abort", "c": "ask", "d": "skip"}
HOLDING = frozenset({TicketState.RUNNING, TicketState.REVIEW, TicketState.LANDING})
BASE, TIP, CANDIDATE, LANDED = "b" * 40, "c" * 40, "e" * 40, "d" * 40


def _found(id_: str, size: str, touches: str, body: str = "") -> FoundFile:
    front = f"touches: ['{touches}']\nsize: {size}\non_failure: {ON_FAILURE[id_]}\n"
    parsed = parse_ticket(f"tickets/{id_}.md", f"---\n{front}---\n# {id_}\n{body}".encode(), Settings())
    assert parsed.ticket is not None, parsed.problems
    return FoundFile(size + touches + body, parsed)


FILES = {
    id_: (
        _found(id_, "M", touches),
        _found(id_, "S", touches),
        _found(id_, "M", "/x/**"),
        _found(id_, "M", touches, "Not as before."),
    )
    for id_, touches in TOUCHES.items()
}
MERGE = Repair(RepairKind.CONFLICT, LANDED, TIP, "conflicts in x\udcff", LANDED, TIP, ("CONFLICT (content): x",))
MEND = Repair(RepairKind.VERIFY, LANDED, CANDIDATE, "`make` failed", log="/log", fault="it changed nothing")
VERDICTS: tuple[Verdict, ...] = (
    ToLanding(),
    ToLanding(review=True, detail="it is protected"),
    ToLanding(review=True, release=True),
    ToLanding(outside=("new", "z", "w/y", "x/y"), warn=True),
    Requeue("again", failed=True, reason=Reason.TIMEOUT),
    Requeue("later", deferred=True, not_before=99.5),
    Requeue("made way", preempted=True),
    Requeue("the machine went down", goes_on=True),
    Requeue("markers are left", reason=Reason.CONFLICT, repair=replace(MERGE, merges=None)),
    Fail(Reason.AGENT_FAILED, "exit code 3 \udcff"),
    Cancel("by a person"),
)
LANE_VERDICTS: tuple[Requeue | Fail | Cancel, ...] = (
    Requeue("conflict", failed=True, reason=Reason.CONFLICT),
    Requeue("conflict", reason=Reason.CONFLICT, repair=MERGE),
    Requeue("red", reason=Reason.VERIFY_FAILED, repair=MEND),
    Fail(Reason.PUSH_REJECTED, "not today"),
    Cancel("before it landed"),
)


def empty(store: SqliteStore) -> None:
    """As new; cheaper than another file."""
    with store.connections.transaction() as db:
        for table in TABLES:
            db.execute(f"DELETE FROM {table}")
        db.execute("UPDATE pool SET slots = NULL, paused = '', stop = NULL, aborted = '', alarm = '', short = ''")


@dataclass
class Walk:
    """`said` is the operation under way. After each step the events are held against the tables."""

    store: SqliteStore
    at: float = 1.0
    last_event: int = 0
    replaying: Replay = field(default_factory=Replay)
    standing: Standing = field(init=False)

    def __post_init__(self) -> None:
        empty(self.store)
        self.store.save_files([files[0] for files in FILES.values()], [], self.at)
        self.standing = self.store.standing()
        self.check("save", self.standing)

    def step(self, sort: int, choice: int) -> str:
        """Two numbers below 256. A `sort` in the lower half: what the daemon does to bring tickets on."""
        steps = (list(self.onward()) if sort < 128 else []) or list(self.aside())
        name, do = steps[choice % len(steps)]
        self.at += 1.0
        before, events = self.standing, self.last_event
        refused = self.is_refused(do)
        self.check(name, before)
        if refused:
            assert (self.standing, self.last_event) == (before, events), f"{name} was refused, and yet"
        return name

    def is_refused(self, do: Do) -> bool:
        try:
            return isinstance(do(), str | Stale | InTheWay)
        except BadInput:
            return True

    # --- what must be true after each step --------------------------------------------------------------------------

    def check(self, name: str, before: Standing) -> None:
        for event in self.store.events(after=self.last_event):
            self.replaying.take(event)
            self.last_event = event.number
        self.standing = self.store.standing()
        told = self.replaying.standing()
        assert self.standing == told, (name, list(differences(self.standing, told)))
        for id_, record in self.standing.tickets.items():
            self.check_ticket(name, record, before.tickets.get(id_, record))
        self.check_claims()

    def check_ticket(self, name: str, record: TicketRecord, before: TicketRecord) -> None:
        live = [a for a in self.standing.attempts.values() if a.key.ticket == record.id and a.state in LIVE]
        assert len(live) == (record.state is TicketState.RUNNING)
        assert (record.id in self.standing.landings) == (record.state is TicketState.LANDING)
        assert record.id not in self.standing.claims or record.state in HOLDING
        if record.id not in self.standing.claims:
            assert record.state is not TicketState.RUNNING
            assert record.state is not TicketState.LANDING or record.approved
        assert (record.gate_at is not None) == (record.state is TicketState.REVIEW)
        if name == "save" and before.ticket != record.ticket:
            assert not record.start_approved
        assert (record.state is TicketState.LANDED) == (record.landed_sha is not None)
        self.check_repair(name, record, before, live)
        if before.state in FINAL and record.state not in FINAL:
            assert before.state is not TicketState.LANDED
            assert name in ("retry", "save", "ahead"), f"{record.id} left its end by {name}"

    def check_repair(self, name: str, record: TicketRecord, before: TicketRecord, live: list[Attempt]) -> None:
        """It goes by its number until it is used up, whatever interrupts it, and the attempt under way is of it."""
        assert record.repair is None or record.repairs
        assert name == "retry" or record.repairs in (before.repairs, before.repairs + 1)
        for attempt in live:
            assert attempt.mends == (record.repair and record.repair.kind)
            assert attempt.merges is None or (record.repair and attempt.resumes == record.repair.tip)

    def check_claims(self) -> None:
        texts = [patterns_text(claim.patterns) for claim in self.standing.claims.values()]
        for number, one in enumerate(texts):
            assert all(claims_overlap(one, other, "[]") is None for other in texts[:number])

    # --- what may be done -------------------------------------------------------------------------------------------

    def onward(self) -> Iterator[Step]:
        for record in self.standing.tickets.values():
            if record.state is TicketState.QUEUED:
                yield from self.of_queued(record.id)
            elif record.state is TicketState.REVIEW:
                yield from self.of_review(record.id)
        for attempt in self.standing.attempts.values():
            yield from self.of_attempt(attempt)
        for landing in self.standing.landings.values():
            yield from self.of_landing(landing)

    def aside(self) -> Iterator[Step]:
        for record in self.standing.tickets.values():
            if record.id in FILES:
                yield from self.of_file(record)
            yield from self.of_person(record)
        for claim in self.standing.claims.values():
            yield from self.of_claim(AttemptKey(claim.ticket, claim.attempt))
        yield "enter", lambda: self.enter("a")
        yield from self.of_pool()

    def of_file(self, record: TicketRecord) -> Iterator[Step]:
        store, id_ = self.store, record.id
        for file in FILES[id_]:
            yield "save", lambda file=file: store.save_files([file], [], self.at)
        yield "withdraw", lambda: store.save_files([], [record.ticket.path], self.at)

    def of_queued(self, id_: str) -> Iterator[Step]:
        store, known = self.store, self.store.ticket(id_)
        assert known is not None
        for slot in (1, 2) * 4:
            start = Start(id_, slot, "default")
            yield "dispatch", lambda start=start: store.dispatch(start, known, BASE, NOTHING, self.at)
        yield "ask", lambda: store.ask_to_start(id_, self.at)
        yield "skip", lambda: store.skip(id_, "another", self.at)
        yield "passed over", lambda: store.pass_over(AttemptKey(id_, known.attempts + 2), self.at)

    def of_review(self, id_: str) -> Iterator[Step]:
        store, known = self.store, self.store.ticket(id_)
        assert known is not None
        for commit in (TIP, LANDED, digest_of(known.ticket)):
            yield "shown", lambda commit=commit: store.note_shown(id_, commit, self.at)
        for named in (None, TIP[:7], LANDED, digest_of(known.ticket)):
            yield "approve", lambda named=named: self.approve(id_, named)
        yield "ahead", lambda: self.land_ahead(id_)
        if id_ in FILES:
            yield "save", lambda: store.save_files([FILES[id_][int(self.at) % 4]], [], self.at)

    def approve(self, id_: str, commit: str | None = None) -> Stale | None:
        answer = self.store.approve(id_, self.at, commit)
        return answer if isinstance(answer, Stale) else None

    def land_ahead(self, id_: str, commit: str | None = None) -> Stale | InTheWay | None:
        answer = self.store.land_ahead(id_, self.at, commit)
        return answer if isinstance(answer, Stale | InTheWay) else None

    def enter(self, id_: str) -> str | None:
        """Of the patterns of another: its claim may be held."""
        ticket = FILES[id_][0].parsed.ticket
        assert ticket is not None
        made = replace(ticket, id="made", path="tickets/made.md")
        entered = self.store.enter(made, BASE, TIP, "by hand", NOTHING, self.at)
        return None if entered else "its id is taken"

    def of_claim(self, key: AttemptKey) -> Iterator[Step]:
        """What is seen of an attempt that has ended comes late."""
        if self.standing.attempts[key].state is AttemptState.ENDED:
            yield "late", lambda: self.store.extend_claim(key, ["late"], self.at) or "is nothing"

    def of_person(self, record: TicketRecord) -> Iterator[Step]:
        """Not all of it fits: what does not must change nothing."""
        store, id_ = self.store, record.id
        yield "hold", lambda: store.hold(id_, not record.held, self.at)
        yield "bump", lambda: store.bump(id_, Priority.HIGH, self.at)
        yield "cancel", lambda: store.cancel(id_, self.at) and None
        yield "retry", lambda: store.retry(id_, self.at) and None
        yield "approve", lambda: self.approve(id_)
        yield "reject", lambda: store.reject(id_, "no", self.at)
        yield "ahead", lambda: self.land_ahead(id_)

    def of_attempt(self, attempt: Attempt) -> Iterator[Step]:
        store, key = self.store, attempt.key
        match attempt.state:
            case AttemptState.PREPARING:
                yield "worktree", lambda: store.set_worktree(key, f"{key}")
                for _ in range(3):
                    yield "started", lambda: store.attempt_started(key, f"{key}", 42, self.at)
                yield "over", lambda: store.attempt_over(key, None, "never-started", "it had not begun", self.at)
                yield "refused", lambda: store.start_refused(key, "no processes left", self.at)
                yield "close", lambda: self.close(key, None, Requeue("no", deferred=True, not_before=self.at + 5))
            case AttemptState.RUNNING:
                for _ in range(3):
                    yield "over", lambda: store.attempt_over(key, 0, "exited", "", self.at)
                yield "over", lambda: store.attempt_over(key, None, "lost", "gone", self.at)
                yield "drift", lambda: store.set_drift(key, 1, Drift.RELEVANT, ["x"], self.at)
                yield "restart", lambda: store.restart(key, TIP, ["x", "n\udcff"], self.at)
                for ended_for in EndedFor:
                    yield "end for", lambda why=ended_for: store.end_for(key, why, "no \udcff", self.at)
                yield "preempt", lambda: store.preempt(key, "d", self.at)
                for paths in (["new"], ["z", "w/y", "x/y"], ["in/1", "x", "w", "w/q"]):
                    yield "extend", lambda paths=paths: store.extend_claim(key, paths, self.at)
                yield "pulse", lambda: store.pulse({key: Pulse(self.at, 1, self.at, None, None, "stopped")})
                yield "cost", lambda: store.seen_to_cost({key: self.at / 100})
                yield "held up", lambda: store.held_up(key, "cannot be ended: 7 (cat)")
            case AttemptState.COLLECTING:
                for verdict in (*VERDICTS, *[ToLanding()] * 4):
                    yield "close", lambda v=verdict: self.close(key, Kept(TIP, ("x",)), v)
                yield "close", lambda: self.close(key, None, Fail(Reason.LOST, "its work could not be kept"))
            case AttemptState.ENDED:
                pass

    def close(self, key: AttemptKey, kept: Kept | None, verdict: Verdict) -> None:
        self.store.close_attempt(key, kept, verdict, Report(cost_usd=0.25), self.at, retire=kept is None)

    def of_landing(self, landing: Landing) -> Iterator[Step]:
        store, key = self.store, landing.key
        waiting = replace(
            landing, phase=Phase.WAITING, trouble="no \udcff", trouble_since=self.at, not_before=self.at + 5
        )
        pushing = replace(landing, phase=Phase.PUSHING, onto=BASE, candidate=CANDIDATE, note="on trust")
        lost = replace(landing, phase=Phase.QUEUED, races_lost=landing.races_lost + 1, passed_on=BASE, refusals=2)
        asked = replace(pushing, proposal=Proposal(after=3))
        proposed = replace(pushing, phase=Phase.PROPOSED, proposal=Proposal(3, 4, "https://forge/4"))
        for phase in (waiting, pushing, lost, asked, proposed):
            yield "phase", lambda phase=phase: store.set_phases([phase], self.at)
        said = Verification(self.at % 3 > 0, "exit code 1 \udcff")
        yield "verified", lambda: store.note_verification(BASE, ("make", "make"), said, [key], 1.5, self.at)
        yield "alarm", lambda: store.raise_alarm("more than was asked \udcff", self.at, key)
        yield "target rewound", lambda: store.take_off({}, "somebody has taken commits off it", self.at)
        target = TargetRecord("origin", "main", LANDED, self.at)
        for _ in range(3):
            yield "land", lambda: store.land([Landed(key, LANDED)], target, self.at)
        for verdict in LANE_VERDICTS:
            yield "not landed", lambda v=verdict: store.landing_failed(key, v, self.at)
        for release in (False, True):
            yield "not approved", lambda release=release: store.ask_to_land(key, "is this well?", release, self.at)

    def of_pool(self) -> Iterator[Step]:
        store, pool = self.store, self.standing.pool
        yield "pause", lambda: store.pause("by a person", self.at)
        for id_ in store.landed_as():
            yield "taken off", lambda id_=id_: store.take_off({id_: "the target went back"}, "it is gone", self.at)
        yield "disk short", lambda: store.set_short("the disk is full \udcff", self.at, ("worktree 1: dirty",))
        for _ in range(4 if pool.short else 1):
            yield "disk eased", lambda: store.set_short("", self.at)
        yield "slots", lambda: store.set_slots(None if pool.slots else 2, self.at)
        yield "stop", lambda: store.ask_stop(Stop.NOW if pool.stop else Stop.DRAIN, self.at)
        yield "daemon ends", lambda: store.daemon_stopped(self.at)
        yield "target", lambda: store.set_target(TargetRecord("origin", "main", TIP, self.at, "slow"), self.at)
        yield "spare", lambda: store.add_worktree("7")
        yield "note", lambda: store.note(EventKind.RECOVERED, self.at, mended="a lock")
        yield "tampered", lambda: store.note(EventKind.TAMPERED, self.at, what=["a ref"], suspects=["a/1"])
        for _ in range(4 if pool.paused else 1):
            yield "resume", lambda: store.resume(self.at)
        for _ in range(4 if pool.stop else 1):
            yield "daemon starts", lambda: store.daemon_started(DaemonRecord(7, self.at, "local", 3))

    def wind_up(self) -> None:
        """A person cancels all that has not ended, and the daemon sees to it."""
        for id_, record in self.standing.tickets.items():
            if record.state not in FINAL:
                self.store.cancel(id_, self.at)
        for attempt in self.standing.attempts.values():
            if attempt.state in (AttemptState.PREPARING, AttemptState.RUNNING):
                self.store.attempt_over(attempt.key, None, "ended", "", self.at)
            if attempt.state in LIVE:
                self.close(attempt.key, Kept(TIP, ()), Requeue("its agent was ended"))
        for landing in self.standing.landings.values():
            self.store.landing_failed(landing.key, Cancel("cancelled"), self.at)
        self.check("wind up", self.standing)


LIVE = frozenset(AttemptState) - {AttemptState.ENDED}
