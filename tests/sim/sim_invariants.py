"""What must be true of a simulated world, whatever has happened to it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from sim_repository import HALF
from sim_world import BAD, World

from ticketd.domain.events import EventKind
from ticketd.domain.globs import overlap
from ticketd.domain.ticket import TicketState
from ticketd.store import SqliteStore

AT_REST = (TicketState.LANDED, TicketState.FAILED, TicketState.SKIPPED, TicketState.CANCELLED)


def at_any_moment(world: World, store: SqliteStore) -> Iterator[str]:
    """Also while no daemon runs."""
    yield from (f"the store is not what its events tell: {each}" for each in store.disagreements())
    yield from _claims(world, store)
    yield from _landings(world, store)


def at_the_end(world: World, store: SqliteStore) -> Iterator[str]:
    """When nothing is left to be done."""
    yield from at_any_moment(world, store)
    yield from _states(store)
    yield from _work(world)
    yield from _leftovers(world, store)


def _claims(world: World, store: SqliteStore) -> Iterator[str]:
    shared = world.settings.claims.shared
    running = {attempt.key.ticket for attempt in store.live_attempts()}
    collided = {frozenset((each.ticket, each.other)) for each in store.collisions()}
    for one, other in combinations(store.claims(), 2):
        witness = overlap(one.patterns, other.patterns, shared)
        told = frozenset((one.ticket, other.ticket)) in collided
        if witness is not None and not told:
            yield f"the claims of {one.ticket} and {other.ticket} overlap in {witness} ({len(running)} run)"


def _landings(world: World, store: SqliteStore) -> Iterator[str]:
    """Each ticket is on the target once, and said to be there."""
    landed = store.landed()
    attempts: dict[str, set[str]] = {}
    for sha in world.disk.ancestors(world.disk.main):
        trailers = dict(world.disk.get(sha).trailers)
        if trailers:
            attempts.setdefault(trailers["Ticket"], set()).add(trailers["Ticket-Attempt"])
    yield from (f"{id_} has landed twice: attempts {sorted(of)}" for id_, of in attempts.items() if len(of) > 1)
    if world.settings.landing.verify:
        yield from _verified(world, store)
    gone = {dict(world.disk.get(sha).trailers).get("Ticket") for sha in world.disk.taken_back}
    for id_ in landed - attempts.keys() - gone:
        record = store.ticket(id_)
        if record is not None and "on the target already" not in record.detail:
            yield f"{id_} is said to have landed, and is not on the target"


def _verified(world: World, store: SqliteStore) -> Iterator[str]:
    """What was pushed had passed as exactly that tree; or, told so, on a target that has moved elsewhere since."""
    landed = [event for event in store.events(limit=100_000) if event.kind is EventKind.LANDED]
    trusted = {str(event.data["commit"]) for event in landed if "verified on" in str(event.data["detail"])}
    for sha, by in world.disk.was:
        files = world.disk.get(sha).files
        if by != "ticketd":
            continue
        if HALF in files:
            yield f"{sha[:8]} was pushed from a worktree that was half made"
        if BAD in " ".join(files.values()):
            yield f"{sha[:8]} was pushed, and does not pass its verification"
        if tuple(sorted(files.items())) not in world.passed and sha not in trusted:
            yield f"{sha[:8]} was pushed, and has never passed its verification"


def _states(store: SqliteStore) -> Iterator[str]:
    board = store.board()
    for attempt in board.attempts:
        yield f"{attempt.key} is still {attempt.state}"
    for id_, record in board.tickets.items():
        if record.state in AT_REST or record.state is TicketState.REVIEW:
            if record.state is TicketState.FAILED and not (record.reason and record.detail):
                yield f"{id_} has failed without a reason"
            continue
        others = (board.tickets.get(each) for each in record.ticket.depends_on)
        blocked = any(other is None or other.state is not TicketState.LANDED for other in others)
        if not (blocked or board.pool.aborted or board.pool.paused or board.pool.stop):
            yield f"{id_} is {record.state} and nothing keeps it: {record.detail!r}"


def _work(world: World) -> Iterator[str]:
    """Every commit is reachable, and all that lay in a worktree is in the attempt's ref."""
    disk = world.disk
    reachable = set(disk.ancestors(disk.main)).union(*(disk.ancestors(sha) for sha in disk.refs.values()))
    for key, made in world.made.items():
        for sha in made.commits - reachable:
            yield f"commit {sha[:8]} of {key} is unreachable"
        if not made.content:
            continue
        tip = disk.refs.get(key.ref)
        if tip is None:
            yield f"the work of {key} has no ref"
            continue
        files = disk.get(tip).files
        for path, value in made.content.items():
            if files.get(path) != value:
                yield f"what {key} wrote last to {path} is not kept: {files.get(path)!r} instead of {value!r}"


def _leftovers(world: World, store: SqliteStore) -> Iterator[str]:
    for run in world.machine.living():
        yield f"{run.name} lives, and nobody knows of it"
    for name, tree in world.disk.trees.items():
        if tree.unkept:
            yield f"worktree {name} holds work of {tree.unkept} that is in no ref"
    for name in world.disk.trees.keys() - store.worktree_names():
        if name.isdigit():
            yield f"worktree {name} is of no record"
