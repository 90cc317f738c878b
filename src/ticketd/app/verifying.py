"""A verification: the configuration's commands, and those of the tickets that are in it, on exactly one tree."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from ticketd.app.session import Works
from ticketd.app.steps import SetupFailed, StepAbandoned, make_ready, run_steps, set_up
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.landing import Verification
from ticketd.domain.settings import Argv, Settings


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be verified. `of`: the attempts in it, the topmost last; none for the target by itself. `name`: the
    worktree to do it in; `key`: by whose name its output is kept."""

    commit: str
    tree: str
    of: tuple[AttemptKey, ...]
    key: AttemptKey
    steps: tuple[Argv, ...]
    name: str
    abandoned: threading.Event = field(default_factory=threading.Event, compare=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`said` is None where it came to no verdict: for the reason in `trouble`, or because it was abandoned. `begun`:
    the command that failed was there to be run."""

    order: Order
    said: Verification | None
    trouble: str = ""
    begun: bool = True


def digest(steps: Sequence[Argv], settings: Settings) -> str:
    """Of all commands that have a say in what comes out for a tree."""
    said = json.dumps([steps, settings.worktrees.setup])
    return hashlib.sha256(said.encode()).hexdigest()


def verify(works: Works, order: Order) -> Outcome:
    """Run it to its end in a tree that is exactly the commit's, and note what it has said. Blocks."""
    settings, clock = works.settings(), works.session.clock
    began = clock.monotonic()
    try:
        outcome = _run(works, order, settings)
        if outcome.said is not None:
            of, took_s = digest(order.steps, settings), clock.monotonic() - began
            among = digest(settings.landing.verify, settings) if _holds_all(order.steps, settings) else of
            works.session.store.note_verification(order.tree, (of, among), outcome.said, order.of, took_s, clock.now())
    except StepAbandoned:
        return Outcome(order, None)
    except Exception as error:  # whatever it is: the lane has to learn that this one is over
        return Outcome(order, None, str(error) or type(error).__name__)
    return outcome


def _holds_all(steps: Sequence[Argv], settings: Settings) -> bool:
    """Whether the project's commands are among them, which pass where all pass."""
    return bool(settings.landing.verify) and set(settings.landing.verify) <= set(steps)


def _run(works: Works, order: Order, settings: Settings) -> Outcome:
    def is_abandoned() -> bool:
        return order.abandoned.is_set() or works.is_stopping()

    if is_abandoned():
        raise StepAbandoned
    make_ready(works, order.name, order.commit, None, settings)
    try:
        set_up(works, order.name, order.key, settings, is_abandoned)
    except SetupFailed as error:
        return Outcome(order, Verification(False, str(error)))
    tree = works.worktrees.path(order.name)
    timeout_s = settings.landing.verify_timeout_s
    what = "verify" if order.of else "verify-target"
    failed = run_steps(works, order.steps, what, order.key, tree, timeout_s, is_abandoned)
    if failed is None:
        return Outcome(order, Verification(True))
    return Outcome(order, Verification(False, str(failed), lasting=failed.lasting), begun=failed.begun)
