"""What the scheduler would do now, and why a ticket or a slot waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import assert_never

from ticketd.app.observe import snapshot_of
from ticketd.app.session import Session
from ticketd.domain.attempt import Attempt
from ticketd.domain.events import EventKind
from ticketd.domain.scheduler.causes import Causes
from ticketd.domain.scheduler.queue import Queue
from ticketd.domain.scheduler.roots import Root
from ticketd.domain.scheduler.schedule import AskToStart, PreemptAttempt, Skip, Snapshot, Start
from ticketd.domain.scheduler.waits import NO_DAEMON, WaitKind, WaitsOn
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketState
from ticketd.ports import Board, Store

IDLE_BECAUSE: dict[WaitKind, str] = {
    WaitKind.DEPENDENCY: "what is queued waits for its dependencies to land",
    WaitKind.OVERLAP: "every queued ticket overlaps a running one",
    WaitKind.RESERVED: "every queued ticket overlaps one that is running or ahead of it",
    WaitKind.SLOT: "the agents of what is queued run as many as they may",
    WaitKind.GATE: "what is queued waits for a person",
    WaitKind.BACKOFF: "what is queued waits out a backoff",
    WaitKind.BUDGET: "the budget is used up",
    WaitKind.SCOPE_CAP: "the scopes of what is queued run as many as they may",
    WaitKind.HELD: "what is queued is held",
    WaitKind.PAUSED: "the pool is paused",
}
IN_SHORT: dict[WaitKind, str] = {
    WaitKind.DEPENDENCY: "wait for dependencies",
    WaitKind.OVERLAP: "overlap a running one",
    WaitKind.RESERVED: "overlap one ahead",
    WaitKind.SLOT: "wait for a slot",
    WaitKind.GATE: "wait for a person",
    WaitKind.BACKOFF: "back off",
    WaitKind.BUDGET: "are over budget",
    WaitKind.SCOPE_CAP: "are over their scope's cap",
    WaitKind.HELD: "are held",
    WaitKind.PAUSED: "are paused",
}


class Waits(Mapping[str, tuple[WaitsOn, ...]]):
    """What each queued ticket waits on, nothing if it is about to start. Found out when it is asked for: of 100,000
    tickets few are looked at. Good until the queue is next brought up."""

    def __init__(self, queue: Queue, decided: Mapping[str, tuple[WaitsOn, ...]], still: str, board: Board) -> None:
        self._queue = queue
        self._decided = decided
        self._still = still
        self._board = board
        self._held = {claim.ticket for claim in board.claims}
        self._found: dict[str, tuple[WaitsOn, ...]] = {}

    def __getitem__(self, id_: str) -> tuple[WaitsOn, ...]:
        if id_ in self._decided:
            return self._decided[id_]
        if id_ not in self._found:
            if self._board.tickets[id_].state is not TicketState.QUEUED:
                raise KeyError(id_)
            self._found[id_] = tuple(_still(on, self._still, self._held) for on in self._queue.waits_on(id_))
        return self._found[id_]

    def __iter__(self) -> Iterator[str]:
        return (id_ for id_, record in self._board.tickets.items() if record.state is TicketState.QUEUED)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the scheduler would do now. `waits` has every queued ticket; those about to start wait on nothing.
    `is_at_rest`: nothing runs or lands, and time alone will change nothing. `idle_why`: why a free slot stays free,
    in a sentence."""

    order: tuple[str, ...]
    waits: Mapping[str, tuple[WaitsOn, ...]]
    idle_why: Callable[[], str]
    is_at_rest: bool


def outlook_of(board: Board, settings: Settings, running: bool, now: float) -> Outlook:
    snapshot = seen_by_eyes(board, settings, running)
    return outlook_on(Queue(snapshot, now), board, snapshot, running, now)


def seen_by_eyes(board: Board, settings: Settings, running: bool) -> Snapshot:
    """`running`: whether a daemon does. A stop that was asked of one which has ended holds nothing back, nor what it
    found of the disk."""
    snapshot = snapshot_of(board, settings)
    return snapshot if running else replace(snapshot, stopping=False, short="")


def outlook_on(queue: Queue, board: Board, snapshot: Snapshot, running: bool, now: float) -> Outlook:
    """`queue`: brought up to that snapshot."""
    decisions = queue.decide(now)
    still = _standstill(board, running)
    begun = [decision for decision in decisions if not isinstance(decision, PreemptAttempt)]
    decided = {decision.ticket: _until_acted_on(decision, still, board) for decision in begun}
    order, waits = tuple(queue.order()), Waits(queue, decided, still, board)
    at_rest = not (board.attempts or board.lane or decisions) and not _passes(queue, order)
    why = cache(lambda: still or _idle_why(snapshot, order, waits))
    return Outlook(order, waits, why, at_rest)


def _passes(queue: Queue, order: Sequence[str]) -> bool:
    """Whether something that is waited on passes with time."""
    return queue.next_at() is not None and any(on.until is not None for id_ in order for on in queue.waits_on(id_))


def _standstill(board: Board, running: bool) -> str:
    """Why nothing at all can start, whatever the tickets say."""
    if not running:
        return NO_DAEMON
    if board.target is not None and board.target.sha is None:
        return f"the target is not known yet: {board.target.trouble}"
    return ""


def _still(on: WaitsOn, still: str, held: Collection[str]) -> WaitsOn:
    """Slots that would be taken are not, where nothing can start; and what is about to start holds nothing yet."""
    if on.kind is WaitKind.OVERLAP and on.ticket not in held:
        return replace(on, kind=WaitKind.RESERVED)
    return replace(on, detail=still) if still and on.kind is WaitKind.SLOT else on


def _until_acted_on(decision: Start | AskToStart | Skip, still: str, board: Board) -> tuple[WaitsOn, ...]:
    """What a ticket waits on that the scheduler has decided about but the daemon has not acted on."""
    match decision:
        case Start():
            return (WaitsOn(WaitKind.SLOT, detail=still),) if still else ()
        case AskToStart(ticket):
            return (WaitsOn(WaitKind.GATE, detail=f"a person's word; `ticketd review approve {ticket}` gives it"),)
        case Skip(because=because):
            detail = f"{board.tickets[because].state}; this one will be skipped"
            return (WaitsOn(WaitKind.DEPENDENCY, ticket=because, detail=detail),)
    assert_never(decision)


def _idle_why(snapshot: Snapshot, order: Sequence[str], waits: Mapping[str, tuple[WaitsOn, ...]]) -> str:
    """How many wait on what, where they differ."""
    if snapshot.stopping:
        return "the daemon is stopping"
    if snapshot.paused:
        return "the pool is paused"
    if snapshot.short:
        return snapshot.short
    if not order:
        return "nothing is queued"
    if not all(waits[id_] for id_ in order):
        return "about to be filled"
    kinds = Counter(waits[id_][0].kind for id_ in order)
    if len(kinds) == 1:
        return IDLE_BECAUSE[next(iter(kinds))]
    return "of what is queued, " + ", ".join(f"{count} {IN_SHORT[kind]}" for kind, count in kinds.most_common())


def causes_of(board: Board, outlook: Outlook, running: bool) -> Causes:
    """`running`: whether a daemon does."""
    alarm = board.pool.alarm and f"nothing lands until a person has looked: {board.pool.alarm}"
    told = {landing.key.ticket: landing.trouble or alarm for landing in board.landings}
    troubles = {ticket: trouble for ticket, trouble in told.items() if trouble}
    asked = {each.key.ticket: each.proposal.url for each in board.landings if each.waits_for_people and each.proposal}
    return Causes(board.tickets, outlook.waits, troubles, running, asked)


def stalled(board: Board, outlook: Outlook) -> Iterator[dict[str, str]]:
    """Where a daemon runs, but nothing else does or can: each ticket that has not ended, and what would have to
    happen."""
    if not outlook.is_at_rest:
        return
    roots = causes_of(board, outlook, running=True).main_roots()
    for id_, record in board.tickets.items():
        if not record.state.is_final:
            yield {"ticket": id_, "why": roots[id_].what, "mend": roots[id_].mend}


def main_roots(session: Session, settings: Settings) -> dict[str, Root]:
    """At the end of a run, of every ticket that has not landed the cause to look at first. Why those in the queue wait
    is told as though the daemon still ran; what it leaves in its hands waits for the next one."""
    board = session.store.board()
    outlook = outlook_of(board, settings, True, session.clock.now())
    return causes_of(board, outlook, running=False).main_roots()


def making_way(store: Store, attempt: Attempt) -> str | None:
    """For which ticket its agent is being ended, if it is."""
    if not attempt.preempted:
        return None
    after, told = 0, None
    while told is None and (events := store.events(after, attempt.key.ticket)):
        after = events[-1].number
        own = (each for each in events if each.attempt == attempt.key.number and each.kind is EventKind.PREEMPTED)
        told = next((str(each.data["for"]) for each in own), None)
    return told
