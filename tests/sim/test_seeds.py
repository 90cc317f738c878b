"""The daemon under a virtual clock, in worlds that seeds make. `scripts/simtest` runs as many as one likes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sim_engine import SimEngine
from sim_kernel import Kernel, Process, SimEvent, SimThread
from sim_run import simulate

from ticketd.app.act import act
from ticketd.app.slots import Slots
from ticketd.app.verifications import Verifications
from ticketd.daemon import loop
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.landing import Verification
from ticketd.ports import Alive, Kept, NeverStarted

SEEDS, AT_ONCE = 60, 12
TRIED = range(60)


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_whatever_happens_nothing_is_lost_and_each_ticket_lands_once(first: int) -> None:
    violations = {seed: found for seed in range(first, first + AT_ONCE) if (found := simulate(seed).violations)}
    assert violations == {}


def test_a_seed_replays_exactly() -> None:
    one, other = simulate(7, traced=True), simulate(7, traced=True)
    assert one == other
    assert len(one.trace) > 100


def test_who_is_killed_in_the_moment_of_giving_up_its_turn_comes_to_its_end() -> None:
    kernel, process, left = Kernel(0, 0.0), Process("one"), []

    def main() -> None:
        thread = SimThread(lambda: SimEvent().wait(), "waits", process=process)
        thread.start()
        kernel.after(1.0, lambda: kernel.kill(process))
        thread.join(5.0)
        left.extend(process.threads)

    kernel.run(main)
    assert (kernel.faults, left, kernel.time) == ([], [], 1.0)


# --- what the simulation is for: each of these mistakes shows in a seed -----------------------------------------------


def hand_back_unkept(patch: pytest.MonkeyPatch) -> None:
    """The worktree is free as soon as its agent is gone."""
    over = Slots.over

    def hasty(self: Slots, key: AttemptKey, state: Any) -> None:
        over(self, key, state)
        attempt = self.works.session.store.attempt(key)
        if attempt is not None and attempt.worktree:
            self.trees.give_back(attempt.worktree)

    patch.setattr(Slots, "over", hasty)


def keep_nothing_uncommitted(patch: pytest.MonkeyPatch) -> None:
    """Only commits are kept."""
    keep = Slots._keep

    def lazy(self: Slots, attempt: Any, record: Any) -> Kept | None:
        tree = self.works.worktrees.tree(attempt.worktree)  # type: ignore[attr-defined]
        tree.files = dict(self.works.worktrees._disk.get(tree.head).files)  # type: ignore[attr-defined]
        return keep(self, attempt, record)

    patch.setattr(Slots, "_keep", lazy)


def verify_another_tree(patch: pytest.MonkeyPatch) -> None:
    """What has passed once passes always."""
    patch.setattr(Verifications, "_remembered", lambda self, tree, steps: Verification(True))


def begin_what_was_given_up(patch: pytest.MonkeyPatch) -> None:
    """A run that was about to begin when its daemon died begins, whatever the next daemon has decided."""

    def settle(self: SimEngine, run_dir: Path, begun_as: str = "") -> Any:
        self._port("settle")
        state = self._state(run_dir)
        return NeverStarted() if isinstance(state, Alive) and not state.pid else state

    patch.setattr(SimEngine, "settle", settle)


def leave_one_waiting(patch: pytest.MonkeyPatch) -> None:
    """A ticket that could start is passed over."""
    patch.setattr(loop, "act", lambda works, each, *more: None if each.ticket == "t1" else act(works, each, *more))


MISTAKES = (
    hand_back_unkept,
    keep_nothing_uncommitted,
    verify_another_tree,
    begin_what_was_given_up,
    leave_one_waiting,
)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_daemon_shows(mistake: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mistake(patch)
        assert any(simulate(seed).violations for seed in TRIED)
