"""What the scheduler would do now, and why a ticket or a slot waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from ticketd.app.observe import snapshot_of
from ticketd.app.session import Session
from ticketd.domain.attempt import Attempt
from ticketd.domain.events import EventKind
from ticketd.domain.scheduler.causes import Causes
from ticketd.domain.scheduler.queue import decide
from ticketd.domain.scheduler.roots import Root
from ticketd.domain.scheduler.schedule import AskToStart, PreemptAttempt, Skip, Snapshot, Start
from ticketd.domain.scheduler.waits import NO_DAEMON, WaitKind, WaitsOn
from ticketd.domain.settings import Settings
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


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the scheduler would do now. `waits` has every queued ticket; those about to start wait on nothing.
    `is_at_rest`: nothing runs or lands, and time alone will change nothing."""

    order: tuple[str, ...]
    waits: Mapping[str, tuple[WaitsOn, ...]]
    idle_why: str
    is_at_rest: bool


def outlook_of(board: Board, settings: Settings, running: bool, now: float) -> Outlook:
    snapshot = snapshot_of(board, settings)
    if not running:
        # A stop that was asked of a daemon which has ended holds nothing back, nor what it found of the disk.
        snapshot = replace(snapshot, stopping=False, short="")
    schedule = decide(snapshot, now)
    still = _standstill(board, running)
    held = {claim.ticket for claim in board.claims}
    waits = {waiting.ticket: tuple(_still(on, still, held) for on in waiting.waits_on) for waiting in schedule.waiting}
    decided = [decision for decision in schedule.decisions if not isinstance(decision, PreemptAttempt)]
    waits |= {decision.ticket: _until_acted_on(decision, still, board) for decision in decided}
    under_way = bool(board.attempts or board.lane or schedule.decisions) or schedule.next_at is not None
    return Outlook(schedule.order, waits, still or _idle_why(snapshot, waits), not under_way)


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


def _idle_why(snapshot: Snapshot, waits: Mapping[str, tuple[WaitsOn, ...]]) -> str:
    """Why a free slot stays free, in a sentence; how many wait on what, where they differ."""
    if snapshot.stopping:
        return "the daemon is stopping"
    if snapshot.paused:
        return "the pool is paused"
    if snapshot.short:
        return snapshot.short
    if not waits:
        return "nothing is queued"
    if not all(waits.values()):
        return "about to be filled"
    kinds = Counter(on[0].kind for on in waits.values())
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
