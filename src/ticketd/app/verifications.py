"""The verifications that run beside the lane, each in a worktree of its own, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

from ticketd.app.candidates import Candidate
from ticketd.app.session import Works
from ticketd.app.stack import Stack
from ticketd.app.verifying import Order, Outcome, digest, verify
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.landing import Verification
from ticketd.domain.settings import Argv
from ticketd.domain.train import Result

LANE_TREE = "lane"


@dataclass(frozen=True, slots=True)
class Undecided:
    """A verification that came to no verdict, for this reason."""

    order: Order
    trouble: str


@dataclass(slots=True)
class Verifications:
    """`start` runs one beside the lane, which is to take another turn once it has ended."""

    works: Works
    stack: Stack
    start: Callable[[Callable[[], None]], None]
    running: dict[str, Order] = field(default_factory=dict)
    _over: SimpleQueue[Outcome] = field(default_factory=SimpleQueue)

    def begin(self, commit: str, of: Sequence[Candidate], by: AttemptKey, steps: tuple[Argv, ...]) -> bool:
        """Verify it in a free lane, unless it is known what comes out: whether it is. Its output is kept with `by`.

        What the target by itself has once passed says nothing of how things stand now, and is never taken for that.
        """
        known, now = self.stack.of(commit), self.works.session.clock.now()
        tree = self.works.history.tree(commit)
        if not steps:
            known.result, known.at = Result.PASSED, now
            return True
        said = self._remembered(tree, steps)
        if said is not None and (said.passed or not known.runs) and (of or not said.passed):
            known.result, known.detail, known.runs = Result.of(said.passed), said.detail, said.runs
            return True
        name = next((name for name in self._names() if name not in self.running), None)
        if name is not None:  # else one that was abandoned has still to end
            order = Order(commit, tree, tuple(each.key for each in of), by, steps, name)
            self.running[name] = known.order = order
            known.result = Result.RUNNING
            self.start(lambda: self._over.put(verify(self.works, order)))
        return False

    def _remembered(self, tree: str, steps: tuple[Argv, ...]) -> Verification | None:
        settings = self.works.settings()
        return self.works.session.store.verification(tree, digest(steps, settings)) if settings.landing.memo else None

    def _names(self) -> tuple[str, ...]:
        lanes = self.works.settings().landing.lanes
        return (LANE_TREE, *(f"{LANE_TREE}-{number}" for number in range(2, lanes + 1)))

    def have_ended(self) -> bool:
        return not self._over.empty()

    def learn(self) -> Undecided | None:
        """What one of those that have ended has said of the stack."""
        outcome = self._over.get()
        order, said = outcome.order, outcome.said
        del self.running[order.name]
        if not self.stack.awaits(order):
            return None  # what it has said of the tree is remembered, for the commands that have said it
        known = self.stack.of(order.commit)
        known.order, known.result = None, None
        if said is not None:
            known.result, known.detail, known.begun = Result.of(said.passed), said.detail, outcome.begun
            known.runs, known.at = known.runs + 1, self.works.session.clock.now()
            return None
        if order.abandoned.is_set() or self.works.is_stopping():
            return None
        return Undecided(order, outcome.trouble or "its verification was ended from outside")
