"""The watch over running attempts: what they write joins their claims, and what moves of the target mean to them.

No agent's tree is touched. A whole look at a tree costs some 60 ms at 5,000 files, so one is taken now and again; at a
move of the target what the last look has seen, and what has been written since where the target has changed, is enough.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from ticketd.app.candidates import rules_of
from ticketd.app.notes import append_missing
from ticketd.app.session import Works
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState, Drift
from ticketd.domain.drift import Answer, Judged, answer, conflict_note, judge, meeting
from ticketd.domain.globs import NOTHING
from ticketd.domain.settings import OnConflict
from ticketd.domain.widening import note_line
from ticketd.errors import GitFailed
from ticketd.ports import Look, Moved, Tried

MOST_STATS = 1000
"""Of how many paths that the target has changed it is asked at a move whether an agent has just written there; of what
is beyond that the next look tells."""


NOT_YET = Judged(Drift.NONE)


@dataclass(slots=True)
class _Watched:
    """A running attempt with its worktree, the last look at that and when it began (epoch seconds), the last trial
    since then: on which tip, and the conflicts it met. `fresh`: paths written since the look, of those that the target
    has changed."""

    attempt: Attempt
    tree: str
    look: Look
    at: float
    tried_on: str = ""
    conflicts: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    judged: Judged = NOT_YET

    @property
    def touched(self) -> set[str]:
        return {*self.look.touched, *self.fresh}


class DriftWatch:
    """`target` is what agents call it: `origin/main`."""

    def __init__(self, works: Works, target: str) -> None:
        self._works = works
        self._target = target
        self._watched: dict[AttemptKey, _Watched] = {}

    def look(self) -> None:
        """All that running agents have written by now joins their claims; then as `follow`."""
        self._watched.clear()
        self.follow()

    def follow(self) -> None:
        """How far each running attempt is behind the target, what a rebase would meet, and what follows from that."""
        target = self._works.session.store.target()
        if target is None or target.sha is None:
            return
        self._take_up(target.sha)
        # Where a tree is changing under us, the next look will tell.
        with contextlib.suppress(GitFailed):
            self._judge(target.sha)
        self._answer(target.sha)

    def _running(self) -> list[Attempt]:
        live = self._works.session.store.live_attempts()
        return [attempt for attempt in live if attempt.state is AttemptState.RUNNING]

    def _take_up(self, tip: str) -> None:
        """Attempts that are new here are looked at, those that have ended are forgotten."""
        known, self._watched = self._watched, {}
        for attempt in self._running():
            watched = known.get(attempt.key) or self._look(attempt, tip)
            if watched is not None:
                watched.attempt = attempt
                self._watched[attempt.key] = watched

    def _look(self, attempt: Attempt, tip: str) -> _Watched | None:
        store, clock = self._works.session.store, self._works.session.clock
        began = clock.now()
        if attempt.worktree is None:
            return None
        try:
            found = self._works.worktrees.look(attempt.worktree, attempt.base, tip)
        except GitFailed:
            return None
        store.extend_claim(attempt.key, found.written, clock.now())
        return _Watched(attempt, attempt.worktree, found, began)

    def _judge(self, tip: str) -> None:
        moves = self._moves(tip, {})
        for watched in list(self._watched.values()):
            self._freshen(watched, moves, tip)
        moves = self._moves(tip, moves)
        claims = {claim.ticket: claim.patterns for claim in self._works.session.store.claims()}
        for key, watched in self._watched.items():
            changed = moves[watched.look.fork].paths
            watched.judged = judge(changed, claims.get(key.ticket, NOTHING), watched.touched)
        self._try(moves, tip)
        for watched in self._watched.values():
            self._note(watched, moves[watched.look.fork], tip)

    def _moves(self, tip: str, known: Mapping[str, Moved]) -> dict[str, Moved]:
        """What the target has that the forks have not, and the tips of the last trials."""
        wanted = {watched.look.fork for watched in self._watched.values()}
        wanted |= {watched.tried_on for watched in self._watched.values() if watched.tried_on}
        missing = wanted - known.keys()
        return {**known, **(self._works.history.moved(missing, tip) if missing else {})}

    def _freshen(self, watched: _Watched, moves: Mapping[str, Moved], tip: str) -> None:
        """What has been written since the look, where the target has changed. A file that is new may be one that git
        ignores: only a look tells."""
        changed = dict(islice(moves[watched.look.fork].paths.items(), MOST_STATS))
        fresh = self._works.worktrees.fresh(watched.tree, changed, watched.at)
        watched.fresh = fresh
        new = {path for path in fresh if not changed[path]} - set(watched.look.touched)
        if new and (again := self._look(watched.attempt, tip)):
            self._watched[watched.attempt.key] = again

    def _try(self, moves: Mapping[str, Moved], tip: str) -> None:
        """All that have written where it matters."""
        due = [watched for watched in self._watched.values() if not self._settle(watched, moves, tip)]
        wanted = [Tried(each.tree, each.attempt.base, tuple(sorted(each.touched)), each.judged.tried) for each in due]
        trials = self._works.worktrees.trials(wanted, tip, rules_of(self._works.settings()))
        for watched, conflicts in zip(due, trials, strict=True):
            watched.tried_on, watched.conflicts = tip, conflicts

    def _settle(self, watched: _Watched, moves: Mapping[str, Moved], tip: str) -> bool:
        """Whether there is no need to try: nothing matters, or nothing has changed since it was tried."""
        if not watched.judged.tried:
            watched.tried_on, watched.conflicts = "", ()
            return True
        if watched.fresh or not watched.tried_on or meeting(watched.touched, moves[watched.tried_on].paths):
            return False
        watched.tried_on = tip
        return True

    def _note(self, watched: _Watched, moved: Moved, tip: str) -> None:
        store, attempt = self._works.session.store, watched.attempt
        if watched.conflicts:
            level, paths = Drift.CONFLICT, watched.conflicts
        elif watched.look.fork == tip:
            level, paths = Drift.NONE, ()
        else:
            level, paths = watched.judged.level, watched.judged.paths
        if (attempt.behind, attempt.drift, attempt.drift_paths) != (moved.behind, level, paths):
            store.set_drift(attempt.key, moved.behind, level, paths, self._works.session.clock.now())

    # --- what follows ---

    def _answer(self, tip: str) -> None:
        """Agents find it in their notes; asked of what is stored, so that nothing is lost with a daemon that dies."""
        store = self._works.session.store
        collisions = store.collisions()
        for attempt in self._running():
            id_ = attempt.key.ticket
            own = (note_line(each, id_) for each in collisions if id_ in (each.ticket, each.other))
            lines = {line: line for line in own}
            if attempt.drift is Drift.CONFLICT and attempt.key in self._watched:
                lines |= self._on_conflict(attempt, self._watched[attempt.key].look.fork, tip)
            if lines:
                append_missing(self._works.session.places.notes(attempt.key), lines)

    def _on_conflict(self, attempt: Attempt, fork: str, tip: str) -> dict[str, str]:
        store, now, settings = self._works.session.store, self._works.session.clock.now(), self._works.settings().drift
        restarts = 0
        if settings.on_conflict is OnConflict.RESTART:
            restarts = sum(each.restarted for each in store.attempts(attempt.key.ticket))
        match answer(settings, attempt, restarts, now):
            case Answer.TELL:
                news, line = conflict_note(self._target, tip, fork, attempt.drift_paths)
                return {news: line}
            case Answer.RESTART:
                store.restart(attempt.key, tip, attempt.drift_paths, now)
                self._works.bell.ring()
                return {}
            case Answer.NOTHING:
                return {}
