"""Whose doing it may be that something shared has been changed, and when what nobody needs any more goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from ticketd.app.guard import Guard
from ticketd.domain.attempt import AttemptKey, AttemptState
from ticketd.domain.events import EventKind
from ticketd.errors import GitFailed
from ticketd.ports import Watched

A, B, C = (AttemptKey(name, 1) for name in "abc")
HOOK = "hooks/pre-commit removed"


@dataclass
class Ground:
    """A store that only notes, and worktrees that find what they are told to."""

    live: list[AttemptKey] = field(default_factory=list)
    found: Watched = field(default_factory=lambda: Watched(()))
    noted: list[tuple[EventKind, AttemptKey | None, Any]] = field(default_factory=list)
    tidied: list[str] = field(default_factory=list)
    broken: bool = False
    preparing: list[AttemptKey] = field(default_factory=list)
    watched: list[str] = field(default_factory=list)

    @property
    def guard(self) -> Guard:
        store = SimpleNamespace(live_attempts=self.live_attempts, note=self.note)
        session = SimpleNamespace(store=store, clock=SimpleNamespace(now=lambda: 1.0))
        works: Any = SimpleNamespace(session=session, worktrees=self)
        return Guard(works)

    def live_attempts(self) -> list[Any]:
        states = {key: AttemptState.PREPARING if key in self.preparing else AttemptState.RUNNING for key in self.live}
        return [SimpleNamespace(key=key, worktree=key.ticket, state=state) for key, state in states.items()]

    def note(self, kind: EventKind, at: float, key: AttemptKey | None = None, **data: object) -> None:
        self.noted.append((kind, key, data))

    def watch(self, names: list[str], suspect: AttemptKey | None) -> Watched:
        if self.broken:
            raise GitFailed("broken")
        self.watched = names
        found, self.found = self.found, Watched((), self.found.strays)
        return found

    def tidy(self, refs: list[str], by: AttemptKey | None) -> tuple[str, ...]:
        self.tidied += refs
        return ()

    def told(self) -> set[AttemptKey | None]:
        return {key for kind, key, _ in self.noted if kind is EventKind.TAMPERED}


@pytest.fixture
def ground() -> Ground:
    return Ground()


def test_who_ran_alone_did_it(ground: Ground) -> None:
    ground.live, ground.found = [A], Watched((HOOK,))
    ground.guard.ended(A)
    assert ground.noted == [(EventKind.TAMPERED, A, {"what": [HOOK], "suspects": ["a/1"]})]


def test_of_several_each_may_have_done_it_but_not_the_one_that_begins(ground: Ground) -> None:
    ground.live, ground.preparing, ground.found = [A, B, C], [C], Watched((HOOK,))
    ground.guard.begins(C)
    assert ground.told() == {A, B}


def test_one_whose_setup_runs_may_have_done_it(ground: Ground) -> None:
    guard = ground.guard
    ground.live, ground.preparing = [C], [C]
    guard.begins(C)
    ground.found = Watched((HOOK,))
    guard.begins(A)
    assert ground.told() == {C}


def test_a_worktree_that_is_still_being_made_is_not_missed(ground: Ground) -> None:
    guard = ground.guard
    ground.live, ground.preparing = [A, C], [C]
    guard.begins(C)
    guard.begins(B)
    assert ground.watched == ["a"]


def test_one_that_has_ended_since_the_last_look_may_have_done_it_and_one_before_that_not(ground: Ground) -> None:
    guard = ground.guard
    ground.live = [A, B]
    guard.ended(A)
    ground.live, ground.preparing, ground.found = [C], [C], Watched((HOOK,))
    guard.begins(C)
    assert ground.told() == {B}


def test_the_same_of_the_same_one_is_told_once(ground: Ground) -> None:
    guard = ground.guard
    for key in (B, C):
        ground.live, ground.preparing, ground.found = [A, key], [key], Watched((HOOK,))
        guard.begins(key)
    assert ground.told() == {A}
    assert len(ground.noted) == 1


def test_what_changed_while_nobody_ran_is_told_without_a_name(ground: Ground) -> None:
    ground.live, ground.preparing, ground.found = [A], [A], Watched((HOOK,))
    ground.guard.begins(A)
    assert ground.told() == {None}


def test_a_stray_goes_when_all_that_may_have_made_it_have_ended(ground: Ground) -> None:
    guard = ground.guard
    ground.live, ground.found = [A, B], Watched((), ("refs/tags/v1",))
    guard.begins(C)
    ground.live = [A, B, C]
    guard.ended(A)
    assert ground.tidied == []
    ground.live = [B, C]
    guard.ended(B)
    assert ground.tidied == ["refs/tags/v1"]


def test_a_repository_that_cannot_be_looked_at_holds_nobody_up(ground: Ground) -> None:
    ground.broken = True
    ground.guard.begins(A)
    assert ground.noted == []
