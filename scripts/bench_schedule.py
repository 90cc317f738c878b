"""How long one pick takes: after a completion, from what changed to the next start, with many tickets queued.

In milliseconds of processor time, so that what else the machine does is not counted.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
import tracemalloc
from dataclasses import dataclass, field, replace

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.claims import Claim
from ticketd.domain.globs import PatternSet
from ticketd.domain.scheduler import rules
from ticketd.domain.scheduler.queue import Queue
from ticketd.domain.scheduler.schedule import Decision, Snapshot, Start
from ticketd.domain.settings import AgentProfile, Backfill, SchedulerSettings, Settings
from ticketd.domain.ticket import Priority, Size, Ticket, TicketRecord, TicketState

SLOTS = 8
PATHS = 31_000
PICKS = 2_000
REFERENCE_PICKS = 3
HOT = "/CHANGELOG.md"
BASE = "0" * 40
MEDIAN_BOUND_MS, P99_BOUND_MS, GROWTH_BOUND, BYTES_BOUND = 1.0, 5.0, 2.0, 1024


@dataclass(slots=True)
class Pool:
    """Tickets that run and end, with no agents. `clock` in seconds."""

    tickets: dict[str, TicketRecord]
    settings: Settings
    random: random.Random
    clock: float = 0.0
    claims: dict[str, Claim] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.tickets, tuple(self.claims.values()), tuple(self.attempts.values()), SLOTS, self.settings)

    def start(self, decisions: tuple[Decision, ...]) -> set[str]:
        started = [decision for decision in decisions if isinstance(decision, Start)]
        for start in started:
            record = self.tickets[start.ticket]
            self.tickets[start.ticket] = replace(record, state=TicketState.RUNNING)
            self.claims[start.ticket] = Claim(start.ticket, 1, record.ticket.touches)
            key = AttemptKey(start.ticket, 1)
            self.attempts[start.ticket] = Attempt(
                key, AttemptState.RUNNING, start.slot, BASE, start.agent, dispatched_at=self.clock
            )
        return {start.ticket for start in started}

    def end_one(self) -> set[str]:
        id_ = self.random.choice(sorted(self.attempts))
        self.clock += self.random.uniform(1.0, 120.0)
        del self.attempts[id_], self.claims[id_]
        self.tickets[id_] = replace(self.tickets[id_], state=TicketState.LANDED, landed_sha=BASE)
        return {id_}


def tickets(count: int, hot_share: float, rng: random.Random) -> dict[str, TicketRecord]:
    """One to three literal paths each; a share of them one path on top that all of these have in common.

    No dependencies: tickets that others wait for come first, and a longer queue has more of those for its first picks.
    """
    paths = [f"/src/pkg{n % 120}/part{n % 17}/module{n}.py" for n in range(min(PATHS, max(40, count * 31 // 100)))]
    made = {}
    for age in range(count):
        touches = rng.sample(paths, rng.choice([1, 1, 2, 3]))
        if rng.random() < hot_share:
            touches.append(HOT)
        id_ = f"ticket-{age:06}"
        said = Ticket(
            id=id_,
            path=f"tickets/{id_}.md",
            title=id_,
            scope=rng.choice(["acme", "bell", "corp"]),
            priority=rng.choice([Priority.NORMAL, Priority.NORMAL, Priority.LOW, Priority.HIGH]),
            size=rng.choice(list(Size)),
            touches=PatternSet(tuple(touches)),
        )
        made[id_] = TicketRecord(said, age)
    return made


def pool_of(count: int, hot_share: float, backfill: Backfill) -> Pool:
    rng = random.Random(count)
    agents = {"default": AgentProfile("default", "scripted")}
    settings = Settings(slots=SLOTS, agents=agents, scheduler=SchedulerSettings(backfill))
    return Pool(tickets(count, hot_share, rng), settings, rng)


@dataclass(frozen=True, slots=True)
class Measured:
    build_s: float
    first_s: float
    median_ms: float
    p99_ms: float
    bytes_each: float

    def is_beyond(self, growth: float) -> bool:
        bounds = (MEDIAN_BOUND_MS, P99_BOUND_MS, BYTES_BOUND, GROWTH_BOUND)
        return any(
            at > most for at, most in zip((self.median_ms, self.p99_ms, self.bytes_each, growth), bounds, strict=True)
        )


def measure(count: int, hot_share: float, backfill: Backfill, picks: int) -> Measured:
    pool = pool_of(count, hot_share, backfill)
    begun = time.process_time()
    queue = Queue(pool.snapshot(), pool.clock)
    built = time.process_time()
    changed = pool.start(queue.decide(pool.clock))
    first = time.process_time()
    took = []
    gc.collect()
    gc.freeze()
    for _ in range(picks):
        if not pool.attempts:
            break
        changed |= pool.end_one()
        snapshot = pool.snapshot()
        before = time.thread_time()
        queue.update(snapshot, changed, pool.clock)
        decisions = queue.decide(pool.clock)
        took.append((time.thread_time() - before) * 1e3)
        changed = pool.start(decisions)
    gc.unfreeze()
    took.sort()
    return Measured(built - begun, first - built, statistics.median(took), took[len(took) * 99 // 100], size(pool))


def size(pool: Pool) -> float:
    """Bytes of the queue's own index for each ticket that waits."""
    tracemalloc.start()
    queue = Queue(pool.snapshot(), pool.clock)
    queue.decide(pool.clock)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / len(pool.tickets)


def reference_ms(count: int, hot_share: float, backfill: Backfill) -> float:
    """The same pick by the rules as they are written."""
    pool = pool_of(count, hot_share, backfill)
    pool.start(Queue(pool.snapshot(), pool.clock).decide(pool.clock))
    took = []
    for _ in range(REFERENCE_PICKS):
        pool.end_one()
        before = time.thread_time()
        decisions = rules.decide(pool.snapshot(), pool.clock).decisions
        took.append((time.thread_time() - before) * 1e3)
        pool.start(decisions)
    return statistics.median(took)


def main() -> int:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    broken = 0
    print(f"one pick after a completion, {SLOTS} running, {PICKS} picks each; bounds: median {MEDIAN_BOUND_MS} ms,")
    print(f"p99 {P99_BOUND_MS} ms, {GROWTH_BOUND} times the median at 1,000, {BYTES_BOUND} bytes of index a ticket")
    print()
    head = ("backfill", "hot", "queued", "build s", "first s", "median ms", "p99 ms", "x 1,000", "bytes", "rules ms")
    print("{:<9} {:>5} {:>8} {:>8} {:>8} {:>10} {:>8} {:>8} {:>6} {:>9}".format(*head))
    for backfill in Backfill:
        for hot_share in (0.0, 0.4, 1.0):
            small = None
            for count in (1_000, many):
                found = measure(count, hot_share, backfill, min(PICKS, count // 2))
                small = small or found
                growth = found.median_ms / small.median_ms
                broken += found.is_beyond(growth)
                picks = f"{found.median_ms:>10.3f} {found.p99_ms:>8.3f} {growth:>8.2f} {found.bytes_each:>6.0f}"
                plain = f"{reference_ms(count, hot_share, backfill):,.0f}" if count == 1_000 else "-"
                print(
                    f"{backfill:<9} {hot_share:>5.0%} {count:>8,} {found.build_s:>8.2f} {found.first_s:>8.2f}"
                    f" {picks} {plain:>9}",
                    flush=True,
                )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
