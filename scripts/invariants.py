"""What must be true whatever has died: for tests that kill, and for `scripts/chaos`.

Agents that take part write down what they have made, outside of their worktrees, in `Scene.made`: one file for each
attempt, `TICKET@NUMBER`, with a line for each thing, written once the thing is there:

    commit SHA
    file BLOB PATH

In `destroyed` stand the names of attempts whose worktree an agent has deleted: what it held is nowhere.

`wrongs_now` may be asked at any moment; `wrongs_at_rest` once no daemon runs, nothing is left to do, and the last
daemon has ended by itself. Each wrong says exactly what it is.
"""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path

from invariant_scene import Scene, everything_in, git
from left_behind import left_files, left_processes, left_refs, left_settings, told_secrets

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.events import EventKind
from ticketd.domain.globs import NOTHING, overlap
from ticketd.domain.ticket import TicketRecord, TicketState
from ticketd.store import SqliteStore, open_store

OVER = {TicketState.LANDED, TicketState.FAILED, TicketState.SKIPPED, TicketState.CANCELLED, TicketState.REVIEW}


def wrongs_now(scene: Scene) -> Iterator[str]:
    """What is wrong at this moment, whatever is under way."""
    yield from wrong_target(scene)
    yield from wrong_outside(scene)
    if (scene.state / "store.db").exists():
        yield from damaged_store(scene)
        store = open_store(scene.state / "store.db")
        try:
            yield from wrong_store(scene, store)
            yield from lost_work(scene, store)
        finally:
            store.close()


def wrongs_at_rest(scene: Scene) -> Iterator[str]:
    yield from wrongs_now(scene)
    store = open_store(scene.state / "store.db")
    try:
        yield from unfinished(scene, store)
        yield from left_processes(scene, lambda _: False)
        yield from left_files(scene, store)
        yield from left_refs(scene, store)
        yield from left_settings(scene)
    finally:
        store.close()
    for repository in (scene.origin, scene.control):
        found = subprocess.run(["git", "fsck", "--no-dangling"], cwd=repository, capture_output=True, check=False)
        if found.returncode or b"dangling" in found.stderr:
            yield f"{repository} is not sound: {found.stderr.decode()[-500:]}"
    if scene.secret:
        yield from told_secrets(scene)


# --- the target ---


def wrong_target(scene: Scene) -> Iterator[str]:
    """It was only ever fast-forwarded, is linear, has each ticket at most once, and all on it passes."""
    if not scene.origin.is_dir():
        return  # just now it is away
    moves = git(scene.origin, "reflog", "show", "--format=%H", scene.branch).splitlines()
    for newer, older in pairwise(moves):
        taken_back = (older, newer) in scene.taken_back
        if not taken_back and git(scene.origin, "merge-base", older, newer, ok=False) != older:
            yield f"{scene.branch} was moved from {older} to {newer}, which is no fast-forward"
    if (merges := git(scene.origin, "rev-list", "--merges", "--count", scene.branch)) != "0":
        yield f"{scene.branch} is not linear: {merges} merges"
    commits = commits_of(scene)
    back_to = {back for _, back in scene.taken_back}  # may be one in the middle of a push
    pushes = [commit for commit in moves if commit not in back_to]
    yield from landed_twice(pushes, [(commit, ticket) for commit, _, ticket in commits])
    yield from (f"{commit} on {scene.branch} does not pass" for commit, _, _ in commits if not scene.passes(commit))
    if scene.verified is not None:
        trees, verified = {commit: (tree, ticket) for commit, tree, ticket in commits}, scene.verified()
        for commit in pushes:
            tree, ticket = trees.get(commit, ("", ""))
            if ticket and tree not in verified:
                yield f"{commit} was pushed to {scene.branch} for {ticket} and its tree was never verified"


def landed_twice(moves: Sequence[str], commits: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The commits of a ticket came with one push, whatever their number; both newest first."""
    tips, push, pushes = frozenset(moves), "", dict[str, set[str]]()
    for commit, ticket in commits:
        push = commit if commit in tips else push
        if ticket:
            pushes.setdefault(ticket, set()).add(push)
    yield from (
        f"{ticket} has landed {len(of)} times, with {sorted(of)}" for ticket, of in pushes.items() if len(of) > 1
    )


def commits_of(scene: Scene, of: str = "") -> list[tuple[str, str, str]]:
    """Each commit of the target, or of this range: name, tree, ticket; newest first."""
    form = "--format=%H %T %(trailers:key=Ticket,valueonly,separator=%x2C)"
    lines = git(scene.origin, "log", form, of or scene.branch).splitlines()
    return [(fields[0], fields[1], fields[2] if len(fields) > 2 else "") for fields in map(str.split, lines)]


def taken_off(scene: Scene) -> set[str]:
    """The tickets that have landed and that somebody may have taken off again."""
    ranges = (f"{back}..{old}" for old, back in scene.taken_back)
    return {ticket for each in ranges for _, _, ticket in commits_of(scene, each)}


# --- the store ---


def damaged_store(scene: Scene) -> Iterator[str]:
    db = sqlite3.connect(scene.state / "store.db", timeout=30)
    try:
        rows = [row[0] for row in db.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        rows = [str(error)]
    finally:
        db.close()
    if rows != ["ok"]:
        yield f"the store is damaged: {rows[:3]}"


def wrong_store(scene: Scene, store: SqliteStore) -> Iterator[str]:
    try:
        yield from (f"the events tell another story: {each}" for each in store.disagreements())
    except (KeyError, TypeError, ValueError) as error:
        yield f"the events make no sense: {error!r}"
    for one, other in combinations(store.claims(), 2):
        if (path := overlap(one.patterns, other.patterns, NOTHING)) is not None:
            yield f"the claims of {one.ticket} and {other.ticket} are both held and overlap on {path}"
    live = store.live_attempts()
    yield from (f"{t} has {n} live attempts" for t, n in Counter(a.key.ticket for a in live).items() if n > 1)
    slots = Counter(attempt.slot for attempt in live if attempt.state is not AttemptState.COLLECTING)
    yield from (f"slot {slot} is taken {n} times" for slot, n in slots.items() if n > 1)
    if len(slots) > scene.slots:
        yield f"{len(slots)} agents run in {scene.slots} slots"
    tickets = store.board().tickets
    if scene.lands and scene.origin.is_dir():
        on_main = {ticket for _, _, ticket in commits_of(scene)} | taken_off(scene)
        landed = (r for r in tickets.values() if r.state is TicketState.LANDED and r.id not in on_main)
        yield from (f"{r.id} is said to have landed and is not on {scene.branch}" for r in landed)
    yield from (f"{r.id} failed without a reason" for r in tickets.values() if r.state == "failed" and not r.reason)


def unfinished(scene: Scene, store: SqliteStore) -> Iterator[str]:
    """Each ticket has landed, and is on the target; or it stands somewhere for good, and is not."""
    on_main, tickets = {ticket for _, _, ticket in commits_of(scene)}, store.board().tickets
    short, taken = store.pool().short, taken_off(scene)
    for record in tickets.values():
        if not stands(record, tickets) and not (short and record.state is TicketState.QUEUED):
            yield f"{record.id} is still {record.state}: {record.detail}"
        if record.state is TicketState.LANDED and record.id in taken - on_main:
            if EventKind.TAKEN_OFF not in (event.kind for event in store.events(ticket=record.id)):
                yield f"{record.id} was taken off {scene.branch}, and nobody was told"
            continue
        if scene.lands and (record.state is TicketState.LANDED) is not (record.id in on_main):
            where = "on main" if record.id in on_main else "not on main"
            yield f"{record.id} is {record.state} ({record.detail}), and {where}"
    yield from (f"{attempt.key} is still {attempt.state}" for attempt in store.live_attempts())


def stands(record: TicketRecord, tickets: Mapping[str, TicketRecord]) -> bool:
    """Whether nothing moves it but a person: it is over, is held, or waits for one that will not land."""
    if record.state in OVER or record.held:
        return True
    return any(
        (other := tickets.get(id_)) is not None and other.state is not TicketState.LANDED and stands(other, tickets)
        for id_ in record.ticket.depends_on
    )


# --- what agents have made ---


def lost_work(scene: Scene, store: SqliteStore) -> Iterator[str]:
    """Of attempts that are over: in a ref that keeps, or in a worktree that stands. Of live ones: in their worktree.
    Asked again where something is missed: it may just have been on its way from the one to the other."""
    give_up_at = time.monotonic() + scene.patience_s
    while (wrongs := list(missed(scene, store))) and time.monotonic() < give_up_at:
        time.sleep(1.0)
    yield from wrongs


def missed(scene: Scene, store: SqliteStore) -> Iterator[str]:
    destroyed = scene.made / "destroyed"
    gone = set(destroyed.read_text().split()) if destroyed.exists() else set()
    notes = {key_of(path): path.read_text().splitlines() for path in scene.made.glob("*@*") if path.name not in gone}
    attempts = {a.key: a for key in notes for a in store.attempts(key.ticket)}
    kept = kept_objects(scene)
    for key, lines in notes.items():
        attempt = attempts.get(key)
        if attempt is None:
            yield f"{key} has run, and the store knows nothing of it"
            continue
        for line in lines:
            what, sha, *path = line.split()
            if sha not in kept and not is_there(scene, attempt, what, sha, "".join(path)):
                yield f"of {key} ({attempt.state}) is lost: {line}"


def key_of(path: Path) -> AttemptKey:
    ticket, _, number = path.name.partition("@")
    return AttemptKey(ticket, int(number))


def kept_objects(scene: Scene) -> frozenset[str]:
    globs = ("--glob=refs/ticketd/*", "--glob=refs/ticketd-extra/*", "--glob=refs/target/*")
    listed = git(scene.control, "rev-list", "--objects", "--no-object-names", *globs)
    return frozenset(listed.split())


def is_there(scene: Scene, attempt: Attempt, what: str, sha: str, path: str) -> bool:
    """In the worktree of one that goes on, or in one that was taken out of the pool since no commit holds all of it."""
    is_live, home = attempt.state is not AttemptState.ENDED, scene.state / "worktrees"
    trees = [home / name for name in retired(scene) if name == attempt.worktree]
    if is_live:  # it may be about to be given one, or just have gone on in another
        trees = list(home.glob("[!.]*"))
    return any(holds(tree, what, sha, path, is_live=is_live) for tree in trees)


def retired(scene: Scene) -> list[str]:
    db = sqlite3.connect(scene.state / "store.db", timeout=30)
    try:
        return [row[0] for row in db.execute("SELECT name FROM worktrees WHERE retired")]
    finally:
        db.close()


def holds(tree: Path, what: str, sha: str, path: str, *, is_live: bool) -> bool:
    """As a file; and while its agent may go on, as an object, to which only notes of git's may lead just now."""
    file = tree / path
    if what == "file" and file.is_file() and not file.is_symlink() and blob_of(file.read_bytes()) == sha:
        return True
    if not is_live or not tree.is_dir():
        return False
    return subprocess.run(["git", "cat-file", "-e", sha], cwd=tree, capture_output=True, check=False).returncode == 0


def blob_of(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


# --- what is nobody's business but the user's ---


def wrong_outside(scene: Scene) -> Iterator[str]:
    if scene.watched:
        now = {path: said for root in scene.watched for path, said in everything_in(root).items()}
        for path in sorted({*now, *scene.untouched}):
            if now.get(path) != scene.untouched.get(path):
                how = "is new" if path not in scene.untouched else "is gone" if path not in now else "has changed"
                yield f"outside of the worktrees {path} {how}"
