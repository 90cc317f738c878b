"""A spare worktree that stands at the newest target, so that who comes next needs no checkout: that takes seconds at
5,000 files for a new tree, and for one that stands elsewhere all that lies between two targets."""

from __future__ import annotations

from dataclasses import dataclass

from ticketd.app.session import Works
from ticketd.app.steps import make_ready
from ticketd.app.trees import Trees
from ticketd.domain.attempt import AttemptState

REST_S = 0.2
IDLE_REST_S = 1.0


@dataclass(frozen=True, slots=True)
class Spare:
    """It is one of the pool like any other: should the daemon die, the next one finds a free tree, and readies it as it
    would any. Its setup is left to the attempt that takes it."""

    works: Works
    trees: Trees

    def step(self) -> float:
        """Ready the spare if there is need; how long to rest (seconds).

        Raises:
            GitFailed: the tree cannot be made; the next step tries again.
        """
        store = self.works.session.store
        states = {attempt.state for attempt in store.live_attempts()}
        target = store.target()
        if not states or target is None or target.sha is None or self.works.is_stopping() or not store.has_queued():
            return IDLE_REST_S
        # Launches come first; and a tree that is being collected is free in a moment.
        if AttemptState.PREPARING not in states:
            self._ready(target.sha, may_add=AttemptState.COLLECTING not in states)
        return REST_S

    def _ready(self, commit: str, *, may_add: bool) -> None:
        name = self.trees.take_spare(commit, may_add=may_add)
        if name is None:
            return
        stands_at = None
        try:
            make_ready(self.works, name, commit, None, self.works.settings())
            stands_at = commit
        finally:
            self.trees.give_back(name, stands_at)
