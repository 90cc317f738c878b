"""What the watch asks at a move of the target, and of whom: whole looks and trials are dear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ticketd.app.drift import DriftWatch
from ticketd.app.places import Places
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState, Drift
from ticketd.domain.claims import Claim
from ticketd.domain.globs import PatternSet
from ticketd.domain.settings import Settings
from ticketd.errors import GitFailed
from ticketd.ports import Look, Moved, Tried

BASE = "base"


@dataclass
class World:
    """The target is a list of moves, each the paths it changed; what is `written` and `fresh_` is by worktree. In a
    trial the paths in `conflicting` conflict, as far as they matter."""

    root: Path
    attempts: dict[str, Attempt] = field(default_factory=dict)
    moves: list[set[str]] = field(default_factory=list)
    written: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fresh_: dict[str, tuple[str, ...]] = field(default_factory=dict)
    conflicting: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    looked: list[str] = field(default_factory=list)
    tried: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.root / "runs").mkdir()
        store = SimpleNamespace(
            target=lambda: SimpleNamespace(sha=self.tip),
            live_attempts=lambda: tuple(self.attempts.values()),
            claims=lambda: [Claim(id_, 1, PatternSet((f"/{id_}/",))) for id_ in self.attempts],
            collisions=lambda: (),
            extend_claim=lambda *_: None,
            set_drift=self.set_drift,
        )
        session = SimpleNamespace(
            store=store, clock=SimpleNamespace(now=lambda: 1000.0), places=Places(self.root), ring=None
        )
        works: Any = SimpleNamespace(session=session, history=self, worktrees=self, settings=Settings)
        self.watch = DriftWatch(works, "origin/main")

    @property
    def tip(self) -> str:
        return f"m{len(self.moves)}" if self.moves else BASE

    def begin(self, id_: str, *written: str) -> None:
        key = AttemptKey(id_, 1)
        Places(self.root).run_dir(key).mkdir(parents=True)
        self.attempts[id_] = Attempt(key, AttemptState.RUNNING, 1, BASE, "a", worktree=id_, started_at=0.0)
        self.written[id_] = written

    def follow(self, *changed: str) -> None:
        """A move of the target, and what the watch does; what it asked is what it asked of this move."""
        self.moves.append(set(changed))
        self.looked.clear()
        self.tried.clear()
        self.watch.follow()

    def drift(self, id_: str) -> tuple[Drift, tuple[str, ...]]:
        return self.attempts[id_].drift, self.attempts[id_].drift_paths

    def notes(self, id_: str) -> str:
        path = Places(self.root).notes(AttemptKey(id_, 1))
        return path.read_text() if path.exists() else ""

    # --- what the watch is given ---

    def set_drift(self, key: AttemptKey, behind: int, drift: Drift, paths: Sequence[str], at: float) -> None:
        before = self.attempts[key.ticket]
        self.attempts[key.ticket] = replace(before, behind=behind, drift=drift, drift_paths=tuple(paths))

    def moved(self, commits: set[str], tip: str) -> dict[str, Moved]:
        def since(commit: str) -> list[set[str]]:
            return self.moves[0 if commit == BASE else int(commit[1:]) :]

        return {each: Moved(len(since(each)), {p: "new" not in p for s in since(each) for p in s}) for each in commits}

    def look(self, name: str, base: str, onto: str) -> Look:
        self.looked.append(name)
        if name in self.broken:
            raise GitFailed("it is changing")
        return Look(base, self.written[name], self.written[name])

    def fresh(self, name: str, paths: dict[str, bool], since: float) -> tuple[str, ...]:
        return tuple(path for path in self.fresh_.get(name, ()) if path in paths)

    def trials(self, wanted: Sequence[Tried], onto: str, rules: object) -> tuple[tuple[str, ...], ...]:
        self.tried.append([each.name for each in wanted])
        return tuple(tuple(path for path in each.matter if path in self.conflicting) for each in wanted)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.begin("a", "a/1", "shared")
    made.begin("b", "b/1", "shared")
    made.watch.look()
    assert sorted(made.looked) == ["a", "b"]
    return made


def test_a_move_that_touches_nobody_costs_no_look_and_no_trial(world: World) -> None:
    world.follow("elsewhere")
    assert (world.looked, world.tried) == ([], [[]])
    assert world.drift("a") == world.drift("b") == (Drift.BEHIND, ())


def test_only_who_has_written_there_is_tried_and_a_claim_alone_is_no_reason(world: World) -> None:
    world.follow("a/1", "b/not-written")
    assert (world.looked, world.tried) == ([], [["a"]])
    assert world.drift("a") == (Drift.RELEVANT, ("a/1",))
    assert world.drift("b") == (Drift.RELEVANT, ("b/not-written",))


def test_what_was_tried_is_tried_again_only_when_more_of_it_has_changed(world: World) -> None:
    world.conflicting = {"a/1"}
    world.follow("a/1")
    world.follow("elsewhere")
    assert world.tried == [[]]
    assert world.drift("a") == (Drift.CONFLICT, ("a/1",))
    world.conflicting = set()
    world.follow("shared")
    assert world.tried == [["a", "b"]]
    assert world.drift("a") == (Drift.RELEVANT, ("a/1", "shared"))


def test_what_is_written_after_a_look_is_tried_at_the_next_move_without_one(world: World) -> None:
    world.fresh_ = {"b": ("b/2",)}
    world.follow("b/2")
    assert (world.looked, world.tried) == ([], [["b"]])
    world.follow("elsewhere")
    assert world.tried == [["b"]], "who knows what it has written there meanwhile"


def test_a_file_that_is_new_on_both_sides_is_looked_at_for_it_may_be_an_ignored_one(world: World) -> None:
    world.fresh_ = {"b": ("b/new",)}
    world.follow("b/new")
    assert (world.looked, world.tried) == (["b"], [[]])
    world.written["b"] = ("b/new",)
    world.conflicting = {"b/new"}
    world.watch.look()
    assert world.drift("b") == (Drift.CONFLICT, ("b/new",))


def test_who_begins_is_looked_at_and_who_has_ended_is_forgotten(world: World) -> None:
    del world.attempts["a"]
    world.begin("c", "c/1")
    world.follow("a/1", "c/1")
    assert (world.looked, world.tried) == (["c"], [["c"]])


def test_a_tree_that_cannot_be_read_just_now_holds_up_nobody_else(world: World) -> None:
    world.broken = {"a"}
    world.watch.look()
    world.follow("shared")
    assert world.tried == [["b"]]
    assert (world.drift("a")[0], world.drift("b")[0]) == (Drift.NONE, Drift.RELEVANT)


def test_an_agent_is_told_once_of_the_same_files_and_again_of_others(world: World) -> None:
    world.conflicting = {"shared", "a/1"}
    for changed in ("shared", "shared", "elsewhere"):
        world.follow(changed)
    assert world.notes("b").count("\n") == 1 and "`shared`" in world.notes("b")
    world.follow("a/1")
    assert (world.notes("a").count("\n"), world.notes("b").count("\n")) == (2, 1)
