"""The loop under a virtual clock: at each moment snapshot, decide, act; then on to the next thing that happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Protocol, assert_never

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.claims import Claim
from ticketd.domain.scheduler.schedule import AskToStart, Decision, PreemptAttempt, Skip, Snapshot, Start
from ticketd.domain.settings import AgentProfile, Preempt
from ticketd.domain.throttle import Failing, Limited, Served, Throttle, failed, learned, limited, succeeded
from ticketd.domain.ticket import OnFailure, Reason, TicketRecord, TicketState
from ticketd.domain.verdict import (
    Cancel,
    Fail,
    Finish,
    Requeue,
    ToLanding,
    Verdict,
    after_attempt,
    after_failure,
    is_due,
)
from ticketd.sim.workload import Ends, Mishap, Play, UnderWay, Workload


@dataclass(frozen=True, slots=True)
class Answer:
    """`next_at`: when waiting alone will change it (epoch seconds)."""

    decisions: Sequence[Decision]
    next_at: float | None = None


class Decider(Protocol):
    """Who starts now. `changed`: the tickets that are not as they were when it was last asked."""

    def decide(self, snapshot: Snapshot, changed: Collection[str], now: float) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Ran:
    """One attempt in its slot; `start` and `end` in epoch seconds."""

    ticket: str
    number: int
    slot: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a workload. `blocked_s`: seconds, summed over tickets, that a ticket was ready and a slot was free,
    and it was not given it."""

    begins_at: float
    ends_at: float
    runs: tuple[Ran, ...]
    landed_at: Mapping[str, float]
    records: Mapping[str, TicketRecord]
    blocked_s: float

    @property
    def makespan_s(self) -> float:
        return self.ends_at - self.begins_at


@dataclass(frozen=True, slots=True)
class Seen:
    record: TicketRecord


@dataclass(frozen=True, slots=True)
class Ended:
    key: AttemptKey


@dataclass(frozen=True, slots=True)
class Verified:
    """The lane is done with it."""

    key: AttemptKey


@dataclass(frozen=True, slots=True)
class Due:
    """Somebody has waited long enough."""


Happening = Seen | Ended | Verified | Due


def simulate(load: Workload, decider: Decider) -> Outcome:
    """From the workload's beginning until nothing more can happen. Same load and decider, same outcome."""
    return _World(load, decider).run()


class _World:
    """Tickets, claims and live attempts at a moment. One lane lands one ticket after the other, like the real one."""

    def __init__(self, load: Workload, decider: Decider) -> None:
        self.load = load
        self.decider = decider
        self.now = self.ends_at = self.lane_free_at = load.begins_at
        self.tickets: dict[str, TicketRecord] = {}
        self.queued: set[str] = set()
        self.claims: dict[str, Claim] = {}
        self.attempts: dict[int, Attempt] = {}
        self.ahead: list[tuple[float, int, Happening]] = []
        self.happenings = 0
        self.due_at: float | None = None
        self.changed: set[str] = set()
        self.runs: list[Ran] = []
        self.landed_at: dict[str, float] = {}
        self.rest_s: dict[str, float] = {}
        self.throttles: dict[str, Throttle] = {}
        self.blocked_s = 0.0
        self.stopping = False
        # A decision without a free slot can only be one that makes room.
        self.asks_when_full = load.settings.scheduler.preempt is not Preempt.OFF
        for record in load.records:
            if record.seen_at > self.now:
                self.later(record.seen_at, Seen(record))
            else:
                self.put(record)
        for under_way in load.under_way:
            self.take_up(under_way)

    def run(self) -> Outcome:
        while True:
            while self.ahead and self.ahead[0][0] <= self.now:
                self.happen(heappop(self.ahead)[2])
            self.settle()
            if not self.ahead:
                break
            then = max(self.ahead[0][0], self.now)
            self.blocked_s += self.passed_over() * (then - self.now)
            self.now = then
        return Outcome(
            self.load.begins_at, self.ends_at, tuple(self.runs), self.landed_at, self.tickets, self.blocked_s
        )

    # what happens

    def later(self, at: float, happening: Happening) -> None:
        self.happenings += 1
        heappush(self.ahead, (at, self.happenings, happening))

    def happen(self, happening: Happening) -> None:
        match happening:
            case Seen(record):
                self.put(record)
            case Ended(key):
                self.attempt_ended(key)
            case Verified(key):
                self.verified(key)
            case Due():
                self.due_at = None
            case _:
                assert_never(happening)

    def put(self, record: TicketRecord) -> None:
        """The ticket is as this says from now on. A person who is asked says yes at once."""
        self.tickets[record.id] = record if record.start_approved else replace(record, start_approved=True)
        self.changed.add(record.id)
        if record.state is TicketState.QUEUED:
            self.queued.add(record.id)
        else:
            self.queued.discard(record.id)

    def take_up(self, under_way: UnderWay) -> None:
        claim = under_way.claim
        key = AttemptKey(claim.ticket, claim.attempt)
        self.claims[claim.ticket] = claim
        if under_way.slot is None:
            self.enter_lane(key, self.now + under_way.rest_s)
        else:
            self.occupy(key, under_way.slot, under_way.agent, under_way.rest_s)

    def occupy(self, key: AttemptKey, slot: int, agent: str, seconds: float) -> None:
        self.attempts[slot] = Attempt(
            key, AttemptState.RUNNING, slot, "", agent, dispatched_at=self.now, started_at=self.now
        )
        self.runs.append(Ran(key.ticket, key.number, slot, self.now, self.now + seconds))
        self.later(self.now + seconds, Ended(key))

    def attempt_ended(self, key: AttemptKey) -> None:
        slot = next((slot for slot, attempt in self.attempts.items() if attempt.key == key), None)
        if slot is None:
            return  # it had to make way
        attempt = self.attempts[slot]
        self.ends_at = self.now
        finish = self.finish(key, attempt.agent)
        self.learn(finish, attempt)
        del self.attempts[slot]
        if finish.outcome == "done":
            self.put(replace(self.tickets[key.ticket], state=TicketState.LANDING))
            self.enter_lane(key, self.now)
        else:
            record = self.tickets[key.ticket]
            self.conclude(key, after_attempt(record, finish, self.load.settings, self.now))

    def finish(self, key: AttemptKey, agent: str) -> Finish:
        mishap = self.mishap(key)
        if mishap is None or mishap.ends.is_in_the_lane:
            return Finish("exited", "done", "", agent=agent)
        how = "exited" if mishap.ends in (Ends.FAILED, Ends.LATER) else str(mishap.ends)
        return Finish(how, str(mishap.ends), f"{mishap.ends}, as scripted", agent=agent)

    def learn(self, finish: Finish, attempt: Attempt) -> None:
        """What the end of an attempt says of its account, noted as the store does."""
        settings = self.load.settings
        profile = settings.agents.get(attempt.agent, AgentProfile(attempt.agent))
        running = Counter(each.agent for each in self.attempts.values())
        match learned(finish, profile, settings, self.load.slots):
            case Limited(profiles, until, detail):
                for name in profiles:
                    known = self.throttles.get(name, Throttle(name))
                    self.throttles[name] = limited(known, running[name], attempt.dispatched_at, self.now, until, detail)
            case Served(caps):
                for name in caps.keys() & self.throttles.keys():
                    self.throttles[name] = succeeded(self.throttles[name], caps[name])
            case Failing(name, detail, at_once):
                known = self.throttles.get(name, Throttle(name))
                ticket, begun = attempt.key.ticket, attempt.dispatched_at
                self.throttles[name] = failed(known, ticket, begun, self.now, detail, at_once)
            case None:
                pass

    def enter_lane(self, key: AttemptKey, ready_at: float) -> None:
        begins = max(ready_at, self.lane_free_at)
        self.lane_free_at = begins + self.play(key.ticket).landing_s
        self.later(self.lane_free_at, Verified(key))

    def verified(self, key: AttemptKey) -> None:
        self.ends_at = self.now
        record = self.tickets[key.ticket]
        match self.mishap(key):
            case None:
                self.landed_at[key.ticket] = self.now
                self.claims.pop(key.ticket, None)
                self.put(replace(record, state=TicketState.LANDED, landed_sha="simulated"))
            case Mishap(Ends.CONFLICT):
                self.conclude(key, after_failure(record, self.load.settings, Reason.CONFLICT, "as scripted"))
            case _:
                self.conclude(key, after_failure(record, self.load.settings, Reason.VERIFY_FAILED, "as scripted"))

    def conclude(self, key: AttemptKey, verdict: Verdict) -> None:
        """What the store does with a verdict."""
        record = self.tickets[key.ticket]
        self.claims.pop(key.ticket, None)
        match verdict:
            case Requeue():
                self.put(
                    replace(
                        record,
                        state=TicketState.QUEUED,
                        not_before=verdict.not_before,
                        failures=record.failures + verdict.failed,
                        deferrals=record.deferrals + 1 if verdict.deferred else 0,
                    )
                )
            case Fail(reason, detail):
                self.put(replace(record, state=TicketState.FAILED, reason=reason, detail=detail, deferrals=0))
                self.stopping = self.stopping or record.ticket.on_failure is OnFailure.ABORT
            case Cancel() | ToLanding():
                raise AssertionError(f"no script leads to {verdict}")
            case _:
                assert_never(verdict)

    # who starts

    def settle(self) -> None:
        """Decide and act until nothing more changes at this moment."""
        again = True
        while again and (self.asks_when_full or len(self.attempts) < self.load.slots):
            answer = self.decider.decide(self.snapshot(), self.changed, self.now)
            self.changed = set()
            again = False
            for decision in answer.decisions:
                again = not isinstance(decision, Start) or again
                self.act(decision)
            self.look_again_at(answer.next_at)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            tickets=self.tickets,
            claims=tuple(self.claims.values()),
            attempts=tuple(self.attempts.values()),
            slots=self.load.slots,
            settings=self.load.settings,
            estimates=self.load.estimates,
            throttles=dict(self.throttles),
            stopping=self.stopping,
        )

    def act(self, decision: Decision) -> None:
        match decision:
            case Start(ticket, slot, agent):
                record = self.tickets[ticket]
                key = AttemptKey(record.id, record.attempts + 1)
                self.put(replace(record, state=TicketState.RUNNING, attempts=key.number, not_before=None))
                self.claims[record.id] = Claim(record.id, key.number, record.ticket.touches)
                mishap = self.mishap(key)
                seconds = self.rest_s.pop(record.id, (mishap or self.play(record.id)).seconds)
                self.occupy(key, slot, agent, seconds)
            case AskToStart(ticket):
                self.put(replace(self.tickets[ticket], start_approved=True))
            case PreemptAttempt(key):
                self.make_way(key)
            case Skip(ticket, because):
                detail = f"{because} did not land"
                record = self.tickets[ticket]
                self.put(replace(record, state=TicketState.SKIPPED, reason=Reason.DEPENDENCY_FAILED, detail=detail))
            case _:
                assert_never(decision)

    def make_way(self, key: AttemptKey) -> None:
        """Its work is kept, so it goes on later from where it was."""
        slot = next(slot for slot, attempt in self.attempts.items() if attempt.key == key)
        del self.attempts[slot], self.claims[key.ticket]
        at = next(at for at in reversed(range(len(self.runs))) if self.runs[at].slot == slot)
        self.rest_s[key.ticket] = self.runs[at].end - self.now
        self.runs[at] = replace(self.runs[at], end=self.now)
        record = self.tickets[key.ticket]
        self.put(replace(record, state=TicketState.QUEUED, preemptions=record.preemptions + 1))

    def look_again_at(self, at: float | None) -> None:
        if at is not None and at > self.now and (self.due_at is None or at < self.due_at):
            self.due_at = at
            self.later(at, Due())

    # what is asked of it

    def play(self, ticket: str) -> Play:
        return self.load.plays[ticket]

    def mishap(self, key: AttemptKey) -> Mishap | None:
        """What becomes of this attempt; None: it lands. Those from before the beginning are not in the script."""
        mishaps = self.play(key.ticket).mishaps
        at = sum(run.ticket == key.ticket for run in self.runs if run.number < key.number) if mishaps else 0
        at -= min(at, self.tickets[key.ticket].preemptions)
        return mishaps[at] if at < len(mishaps) else None

    def passed_over(self) -> int:
        """How many tickets could run if it were not for the files of others, or for the policy."""
        if len(self.attempts) >= self.load.slots or self.stopping:
            return 0
        return sum(map(self.is_ready, self.queued))

    def is_ready(self, ticket: str) -> bool:
        record = self.tickets[ticket]
        if record.held or not is_due(record.not_before, self.now):
            return False
        before = (self.tickets.get(dependency) for dependency in record.ticket.depends_on)
        if not all(each is not None and each.state is TicketState.LANDED for each in before):
            return False
        scope = self.load.settings.scopes.get(record.ticket.scope)
        return scope is None or scope.max_slots is None or self.running_in(scope.name) < scope.max_slots

    def running_in(self, scope: str) -> int:
        return sum(self.tickets[attempt.key.ticket].ticket.scope == scope for attempt in self.attempts.values())
