"""Going on after the store is lost: from its newest backup, or from nothing.

Such a store is older than the world. So no attempt that was open in it is taken up (its worktree may hold another's
work by now), no worktree is used again, numbers of attempts go on after the highest that left a trace, and the
pool stands still until a person has looked. Nothing that is there is removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from ticketd import failpoints
from ticketd.app.places import Places
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.report import NOTHING_REPORTED
from ticketd.domain.ticket import FINAL, TicketState
from ticketd.domain.verdict import Requeue
from ticketd.engines.local import LocalEngine
from ticketd.errors import GitFailed, TicketdError
from ticketd.git.control import Control
from ticketd.git.landed import landed_commits
from ticketd.git.target import target_ref
from ticketd.ports import Alive
from ticketd.store import SqliteStore, open_store
from ticketd.store.backup import FOLDER, backups, newest_event, unfinished

WHY = "the store is older than the work"


def put_back(places: Places, at: float) -> Iterator[str]:
    """Another store in the place of the lost one, which is set aside; what was done, in words. Under the daemon's lock.
    Until `make_safe` has come to its end nothing goes by that store, and all this can be done again.

    Raises:
        TicketdError: agents run, of which the other store would know nothing.
    """
    if alive := _alive(places):
        raise TicketdError(f"agents still run: {', '.join(alive)}", mend="Wait for them, or end them; then once more.")
    unfinished(places.store).touch(mode=0o600)
    aside = f"lost-{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}"
    for suffix in ("", "-wal", "-shm"):
        lost = places.store.with_name(places.store.name + suffix)
        if lost.exists():
            lost.rename(places.state / f"store.{aside}.db{suffix}")
            failpoints.hit("file/restore.aside")
            yield f"set {lost.name} aside as store.{aside}.db{suffix}"
    chosen = next((each for each in backups(places.store) if newest_event(each) is not None), None)
    if chosen is None:
        with suppress(FileNotFoundError):
            (places.state / FOLDER).rename(places.state / f"{FOLDER}.{aside}")
        open_store(places.store).close()
        yield "began a new store: there is no backup that can be read"
        return
    fresh = places.store.with_suffix(".fresh")
    fresh.write_bytes(chosen.read_bytes())
    fresh.chmod(0o600)
    fresh.rename(places.store)
    failpoints.hit("file/restore.put_back")
    yield f"put back the backup {chosen.name}"


def _alive(places: Places) -> list[str]:
    engine, runs = LocalEngine(), places.state / "runs"
    found = sorted(path for path in runs.glob("*/*") if path.is_dir() and isinstance(engine.look(path), Alive))
    return [str(path.relative_to(runs)) for path in found]


def make_safe(places: Places, store: SqliteStore, control: Control, branch: str, at: float) -> Iterator[str]:
    """What the store believes of a world that has gone on without it. Its tickets have been read anew."""
    for attempt in store.live_attempts():
        store.attempt_over(attempt.key, None, "lost", WHY, at)
        again = Requeue(f"attempt {attempt.key.number}: {WHY}")
        store.close_attempt(attempt.key, None, again, NOTHING_REPORTED, at, retire=True)
        yield f"requeued {attempt.key.ticket}, whose attempt {attempt.key.number} was open"
    records = store.board().tickets
    for ticket, number in _highest(places, control).items():
        record = records.get(ticket)
        if record is not None and record.state is not TicketState.REVIEW and record.attempts < number:
            store.pass_over(AttemptKey(ticket, number), at)
            yield f"attempts of {ticket} go on after {number}"
    store.retire_worktrees([path.name for path in (places.state / "worktrees").glob("[!.]*")])
    open_ones = [id_ for id_, record in records.items() if record.state not in FINAL]
    landed = _landed_since(store, control, branch, open_ones)
    told = f"; these have landed since, so `ticketd cancel` them: {', '.join(landed)}" if landed else ""
    why = f"{WHY}: look at what landed meanwhile{told}; `ticketd resume` goes on"
    store.pause(why, at)
    unfinished(places.store).unlink()
    yield f"paused the pool: {why}"


def _highest(places: Places, control: Control) -> dict[str, int]:
    """The highest attempt of each ticket that has left a run or a ref."""
    runs = ((path.parent.name, path.name.partition("-")[0]) for path in (places.state / "runs").glob("*/*"))
    names = control.git.ask("for-each-ref", "--format=%(refname)", "refs/ticketd/").out.split()
    refs = (tuple(name.split("/")[-2:]) for name in names)
    found: dict[str, int] = {}
    for ticket, number in (*runs, *refs):
        if number.isdecimal():
            found[ticket] = max(found.get(ticket, 0), int(number))
    return found


def _landed_since(store: SqliteStore, control: Control, branch: str, tickets: list[str]) -> list[str]:
    """Told by the trailers on the target. Of a new store none: it cannot say since when."""
    known, tip = store.target(), control.read_ref(target_ref(branch))
    if known is None or known.sha is None or tip is None:
        return []
    with suppress(GitFailed):
        return sorted(id_ for id_ in tickets if landed_commits(control, id_, known.sha, tip))
    return []
