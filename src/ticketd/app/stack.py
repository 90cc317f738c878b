"""The candidates in the lane, each on top of the one before it, and what verifications have said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ticketd.app.candidates import Candidate
from ticketd.app.verifying import Order
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.train import Result, Train


@dataclass(slots=True)
class Known:
    """What is known of a commit. `runs`: how often it was verified; `trusted`: it has not been, but passed on an older
    target; `begun`: the command that failed was there to be run; `at`: when it was verified last (epoch seconds), 0 if
    that is only remembered."""

    result: Result | None = None
    runs: int = 0
    detail: str = ""
    begun: bool = True
    at: float = 0.0
    trusted: bool = False
    order: Order | None = None


@dataclass(slots=True)
class Stack:
    """In memory only: after a crash it is made anew, and the memo knows what had passed. `on`: the target's commit that
    the first candidate stands on."""

    on: str | None = None
    candidates: list[Candidate] = field(default_factory=list)
    _known: dict[str, Known] = field(default_factory=dict)
    _no_room: dict[AttemptKey, tuple[str | None, str | None]] = field(default_factory=dict)

    @property
    def top(self) -> str | None:
        return self.candidates[-1].commit if self.candidates else self.on

    def keys(self) -> set[AttemptKey]:
        return {each.key for each in self.candidates}

    def of(self, commit: str) -> Known:
        return self._known.setdefault(commit, Known())

    def note_no_room(self, key: AttemptKey) -> None:
        """It goes on top of the target, but not of all that stand here. It is not tried again for as long as they do:
        files may have to be made anew for it, and each trial of a merge is told."""
        self._no_room[key] = (self.on, self.top)

    def has_no_room_for(self, key: AttemptKey) -> bool:
        return self._no_room.get(key) == (self.on, self.top)

    def put(self, candidate: Candidate) -> None:
        self.candidates.append(candidate)

    def begin(self, on: str | None) -> None:
        """Anew, with nothing known, on a commit of the target."""
        self.rest()
        self._known.clear()
        self._no_room.clear()
        self.on = on

    def rest(self) -> None:
        """Nobody is left in it, so nobody wants to know of the target."""
        self.cut(0)
        self.abandon(self.on or "")

    def awaits(self, order: Order) -> bool:
        known = self._known.get(order.commit)
        return known is not None and known.order is order

    def cut(self, at: int) -> None:
        """Take out what stands from this place on; verifications of it run for nothing."""
        for each in self.candidates[at:]:
            self.abandon(each.commit)
            self._known.pop(each.commit, None)
        del self.candidates[at:]

    def keep(self, here: set[AttemptKey]) -> None:
        """Whoever stands on one that has left the lane has to be stacked anew."""
        gone = next((at for at, each in enumerate(self.candidates) if each.key not in here), None)
        if gone is not None:
            self.cut(gone)

    def land(self, count: int) -> None:
        """The first ones are on the target now, and the others stand on it as before. What their topmost has passed the
        target has passed, if it was verified itself."""
        *below, top = (each.commit for each in self.candidates[:count])
        for commit in (self.on or "", *below):
            self.abandon(commit)
            self._known.pop(commit, None)
        if self.of(top).trusted:
            self._known.pop(top)
        self.on = top
        self._no_room.clear()
        del self.candidates[:count]

    def abandon(self, commit: str) -> None:
        known = self._known.get(commit)
        if known is not None and known.order is not None:
            known.order.abandoned.set()

    def spent(self) -> Sequence[Candidate]:
        """Those that a verification was spent on, by itself or with one above."""
        last = max((at for at, each in enumerate(self.candidates) if self._is_spent(each)), default=-1)
        return self.candidates[: last + 1]

    def _is_spent(self, candidate: Candidate) -> bool:
        known = self.of(candidate.commit)
        return bool(known.runs) or known.order is not None

    def as_train(self, reruns: int, now: float) -> Train:
        """`reruns`: how often a verification that failed is run again. Nothing was queued after `now` (epoch seconds),
        unless the clock was set back: then that says nothing of which came first."""
        first, target = self.of(self.candidates[0].commit), self.of(self.on or "")
        # What a database that is away has broken is no ticket's fault: the target has to pass at that time, too.
        is_old = target.result is Result.PASSED and target.at < self.candidates[0].landing.queued_at <= now
        return Train(
            tuple(self.of(each.commit).result for each in self.candidates),
            None if is_old else target.result,
            reruns=max(0, 1 + reruns - first.runs),
            target_reruns=max(0, 1 + reruns - target.runs),
        )
