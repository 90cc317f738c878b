"""The watch for agents that get nowhere, and for those that have used up what they may: each is ended, with its reason.

A hung agent looks like one that thinks. So three signs count, and only if all are missing for long is it ended: output,
CPU of its whole process tree, and changes to files of its worktree (somebody else may write them for it: a container).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ticketd.app.following import Followed, Following
from ticketd.app.session import Works
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState, EndedFor
from ticketd.domain.liveness import SAID_AFTER, Signs, Stillness, looked, loop_words, stall_words, still_words
from ticketd.domain.report import Usage
from ticketd.errors import GitFailed
from ticketd.ports import Alive, Pulse

LOOK_EVERY_S = 2.0
FILES_LOOKS = 10
"""How often within the limit the files of one that is still otherwise are looked at: in large trees that takes long."""

Exceeded = Callable[[Mapping[AttemptKey, Sequence[Usage]]], Mapping[AttemptKey, str]]


@dataclass(slots=True)
class _Watched:
    stillness: Stillness
    files_at: float = 0.0


@dataclass(slots=True)
class Liveness:
    """`exceeded`: which attempts must not go on, by what they have used, and why."""

    works: Works
    exceeded: Exceeded
    following: Following = field(init=False)
    _watched: dict[AttemptKey, _Watched] = field(default_factory=dict)
    _asked: set[AttemptKey] = field(default_factory=set)
    _words: Mapping[AttemptKey, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.following = Following(self.works)

    def step(self) -> float:
        """One look at all that runs; how long to rest (seconds)."""
        running = [each for each in self.works.session.store.live_attempts() if each.state is AttemptState.RUNNING]
        followed = self.following.look(running)
        self._asked = {each.key for each in running if each.is_ending}
        self._see_to_stalls(running)
        self._see_to_loops(followed)
        for key, why in self.exceeded({key: each.usage for key, each in followed.items()}).items():
            self._end(key, EndedFor.BUDGET, why)
        return LOOK_EVERY_S

    def words(self, key: AttemptKey) -> str:
        """For people: that there is no sign of progress, and for how long; empty while there is one."""
        return self._words.get(key, "")

    def _see_to_stalls(self, running: Sequence[Attempt]) -> None:
        limit = self.works.settings().limits.stall_s
        watched, words = self._watched, {}
        self._watched = {}
        for attempt in running if limit is not None else ():
            assert limit is not None
            pulse = self._pulse(attempt.key)
            each = self._watched[attempt.key] = self._look(attempt, watched.get(attempt.key), pulse, limit)
            words[attempt.key] = still_words(each.stillness.still_s, limit)
            if each.stillness.still_s >= limit:
                self._end(attempt.key, EndedFor.STALL, stall_words(limit, pulse.held_up if pulse else ""))
        self._words = words

    def _pulse(self, key: AttemptKey) -> Pulse | None:
        state = self.works.engine.look(self.works.session.places.run_dir(key))
        return state.pulse if isinstance(state, Alive) else None

    def _look(self, attempt: Attempt, before: _Watched | None, pulse: Pulse | None, limit: float) -> _Watched:
        now = self.works.session.clock.monotonic()
        output, cpu_s = (pulse.log_bytes, pulse.cpu_s) if pulse else (0, None)
        if before is None:
            return _Watched(Stillness.begun(Signs(now, output, cpu_s)))
        last = before.stillness
        after = looked(last, Signs(now, output, cpu_s, last.last.files), limit)
        if after.still_s < SAID_AFTER * limit or now < before.files_at:
            return _Watched(after, before.files_at)
        if self._has_written(attempt, after.still_s):
            after = looked(last, Signs(now, output, cpu_s, last.last.files + 1), limit)
        return _Watched(after, now + limit / FILES_LOOKS)

    def _has_written(self, attempt: Attempt, within_s: float) -> bool:
        target = self.works.session.store.target()
        if attempt.worktree is None or target is None or target.sha is None:
            return False
        since = self.works.session.clock.now() - within_s
        try:
            look = self.works.worktrees.look(attempt.worktree, attempt.base, target.sha)
            return bool(self.works.worktrees.fresh(attempt.worktree, dict.fromkeys(look.touched, False), since))
        except GitFailed:  # it changes under us
            return True

    def _see_to_loops(self, followed: Mapping[AttemptKey, Followed]) -> None:
        most = self.works.settings().limits.same_failures
        for key, each in followed.items():
            if most and each.worst.times >= most:
                self._end(key, EndedFor.LOOP, loop_words(each.worst))

    def _end(self, key: AttemptKey, ended_for: EndedFor, why: str) -> None:
        if key in self._asked:
            return
        self.works.session.store.end_for(key, ended_for, why, self.works.session.clock.now())
        self.works.bell.ring()
