"""`./scripts/prove-kills` in small: git killed in the middle, an agent's and ticketd's own; and it would notice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import prove_kills as prove
import pytest
from kill_scene import Scene, Violation, can_trace, scene_in

WORK = ("commit", "add, then commit", "amend", "rebase", "merge", "stash", "reset")
SHARED = ("branch", "branch -D", "pack-refs", "gc", "fetch", "push", "worktree add", "worktree remove")
needs_strace = pytest.mark.skipif(not can_trace(), reason="no strace that may trace here")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with scene_in(tmp_path) as it:
        yield it


def strike_all(scene: Scene, names: tuple[str, ...], calls: tuple[int, ...]) -> list[str]:
    """Those that were killed in the middle; Violation says what else is not as it must be."""
    chance, hits = random.Random(1), []
    for number, name in enumerate(names):
        if prove.strike(scene, name, calls[number % len(calls)], chance):
            hits.append(name)
    return hits


def test_an_agents_git_that_is_killed_at_its_work_costs_neither_work_nor_anybody_else(scene: Scene) -> None:
    hits = strike_all(scene, tuple(f"{prove.OF_AN_AGENT}{name}" for name in WORK), (30, 20, 60))
    assert hits or not can_trace()


def test_an_agents_git_that_is_killed_in_what_all_share_stands_in_nobodys_way(scene: Scene) -> None:
    hits = strike_all(scene, tuple(f"{prove.OF_AN_AGENT}{name}" for name in SHARED), (16, 24, 32))
    assert hits or not can_trace()


@needs_strace
def test_ticketds_own_git_that_is_killed_can_be_asked_again(scene: Scene) -> None:
    assert len(strike_all(scene, tuple(prove.OWN), (30, 20))) >= 2


def test_what_is_lost_all_the_same_would_be_noticed(scene: Scene) -> None:
    prove.strike(scene, "keep", prove.LAST, random.Random(1))
    [(ref, commit)] = scene.kept.items()
    scene.kept[ref] = "1" * 40  # what is only moved or removed is put back
    with pytest.raises(Violation, match="is not what it was"):
        prove.strike(scene, "keep", prove.LAST, random.Random(1))
    scene.kept[ref] = commit
    (scene.bystander / "new.txt").write_text("somebody else's\n")
    with pytest.raises(Violation, match="bystander's files"):
        prove.strike(scene, "keep", prove.LAST, random.Random(1))
