"""The lane by itself: real git, store and processes, but verifications end when the test lets them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from acceptance_yard import SCRIPTED, Yard, git

from ticketd.app.lane import Lane
from ticketd.app.session import Works
from ticketd.daemon.main import Daemon
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.events import EventKind
from ticketd.domain.globs import PatternSet
from ticketd.domain.landing import Landing
from ticketd.domain.report import NOTHING_REPORTED
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.ticket import TicketRecord
from ticketd.domain.verdict import ToLanding
from ticketd.ports import Kept

ALL = PatternSet(("**",))


@dataclass
class LaneYard:
    """`waiting`: verifications that have begun and that the test has not let go on yet."""

    yard: Yard
    daemon: Daemon
    waiting: list[Callable[[], None]] = field(default_factory=list)
    lane: Lane = field(init=False)

    def __post_init__(self) -> None:
        self.anew()

    def anew(self) -> Lane:
        """As after a crash: nothing in memory."""
        self.waiting.clear()
        self.lane = Lane(self.daemon.works, self.daemon.tracker, self.waiting.append)
        return self.lane

    @property
    def works(self) -> Works:
        return self.daemon.works

    def config(self, landing: str) -> None:
        """In force at once."""
        self.yard.config(f"[limits]\nretries = 0\n[landing]\nrepairs = 0\n{landing}", SCRIPTED)
        found = self.works.session.files.settings().settings
        assert found is not None
        self.daemon.current.settings = found

    def kept(
        self,
        *ids: str,
        base: str | None = None,
        front: Mapping[str, object] | None = None,
        merges: str | None = None,
        stands: str | None = None,
        **files: str | None,
    ) -> None:
        """Tickets whose agents have ended: each has written `<id>.txt`, or the files given (`a__b` is `a/b`). Their
        claims may overlap, as those of shared files do. `stands`: on what they have put their branch instead of the
        base."""
        for id_ in ids:
            self.yard.ticket(id_, touches="**" if files else f"/{id_}.txt", **(front or {}))
        self.daemon.intake.sync(self.daemon.current.settings)
        self.daemon.tracker.ask()
        on = base or self.target()
        for slot, id_ in enumerate(ids, 1):
            self._keep(id_, slot, on, stands or on, files or {f"{id_}.txt": f"{id_}\n"}, merges)

    def _keep(
        self, id_: str, slot: int, base: str, stands: str, files: Mapping[str, str | None], merges: str | None
    ) -> None:
        store, now = self.works.session.store, self.works.session.clock.now()
        record = replace(self.record(id_), ticket=replace(self.record(id_).ticket, body=""))
        key = store.dispatch(Start(id_, slot, "default"), record, base, ALL, now)
        assert isinstance(key, AttemptKey), key
        store.attempt_started(key, f"{slot}", 1, now)
        store.attempt_over(key, 0, "exited", "", now)
        tip = commit(self.yard.control, stands, files, f"Work of {id_}")
        if merges is not None:
            tip = commit(self.yard.control, tip, {}, "A merge", also=[merges])
        store.close_attempt(key, Kept(tip, tuple(files)), ToLanding(), NOTHING_REPORTED, now, retire=False)

    def outsider(self, **files: str | None) -> str:
        """Somebody else pushes."""
        tip = commit(self.yard.origin, self.target(), files, "From elsewhere")
        git(self.yard.origin, "update-ref", "refs/heads/main", tip)
        return tip

    def turn(self) -> None:
        self.lane.turn()

    def go_on(self) -> None:
        """Let the oldest verification that waits come to its end, and take a turn."""
        self.waiting.pop(0)()
        self.lane.turn()

    def until_quiet(self) -> None:
        self.turn()
        while self.waiting:
            self.go_on()

    def time_passes(self) -> None:
        """All that was put off is due, and tried."""
        self.all_is_due()
        self.until_quiet()

    def all_is_due(self) -> None:
        landings = self.works.session.store.landings()
        self.works.session.store.set_phases([replace(each, not_before=None) for each in landings], 2.0)

    def target(self) -> str:
        return git(self.yard.origin, "rev-parse", "main")

    def record(self, id_: str) -> TicketRecord:
        record = self.works.session.store.ticket(id_)
        assert record is not None
        return record

    def states(self, *ids: str) -> list[str]:
        return [str(self.record(id_).state) for id_ in ids]

    def landing(self, id_: str) -> Landing:
        return next(each for each in self.works.session.store.landings() if each.key.ticket == id_)

    def subjects(self) -> list[str]:
        return git(self.yard.origin, "log", "--reverse", "--format=%s", "main").splitlines()[1:]

    def verified(self) -> list[tuple[list[str], bool]]:
        """What each verification held, and whether it passed; in the order in which they ended."""
        events = [e for e in self.works.session.store.events(limit=10_000) if e.kind is EventKind.VERIFIED]
        return [(list(e.data["together"]), bool(e.data["passed"])) for e in events]  # type: ignore[call-overload]

    def told(self, kind: EventKind) -> list[Mapping[str, object]]:
        return [e.data for e in self.works.session.store.events(limit=10_000) if e.kind is kind]


def commit(repository: Path, base: str, files: Mapping[str, str | None], message: str, also: Sequence[str] = ()) -> str:
    """`files` changed on top of `base`, without a working tree; None deletes."""
    index = {"GIT_INDEX_FILE": str(repository / "index-of-a-test"), "GIT_DIR": str(repository)}
    plumb(index, "read-tree", base)
    for name, content in files.items():
        path = name.replace("__", "/")
        if content is None:
            plumb(index, "update-index", "--index-info", given=f"0 {'0' * 40}\t{path}\n")
            continue
        blob = plumb(index, "hash-object", "-w", "--stdin", given=content)
        plumb(index, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    parents = [part for parent in (base, *also) for part in ("-p", parent)]
    return plumb(index, "commit-tree", plumb(index, "write-tree"), *parents, "-m", message)


def plumb(env: Mapping[str, str], *args: str, given: str = "") -> str:
    done = subprocess.run(
        ["git", *args], input=given, env={**os.environ, **env}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
