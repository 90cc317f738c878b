"""Which worktree an attempt is given, and the spare that stands ready for the next."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, RLock, Thread

import pytest

from ticketd.app.trees import Trees


def test_the_one_that_stands_at_the_commit_is_preferred_and_a_new_one_named_last() -> None:
    trees = Trees(["1", "2"], ["3"], ["1", "2", "3", "7"])
    trees.give_back("3", "tip")
    assert [trees.take("tip") for _ in range(4)] == ["3", "1", "2", "8"]


def test_a_spare_is_readied_where_none_stands_at_the_target_and_only_one_at_a_time() -> None:
    trees = Trees(["1", "2"], [], [])
    assert trees.take_spare("tip", may_add=False) == "1"
    assert trees.take_spare("tip", may_add=True) is None
    trees.give_back("1", "tip")
    assert trees.take_spare("tip", may_add=True) is None
    assert trees.take_spare("later", may_add=True) == "2"
    assert trees.take("tip") == "1"


def test_a_spare_is_added_only_where_it_may_be() -> None:
    trees = Trees([], ["1"], [])
    assert trees.take_spare("tip", may_add=False) is None
    assert trees.take_spare("tip", may_add=True) == "2"


def test_who_finds_no_other_waits_for_the_spare_that_is_being_readied() -> None:
    trees = Trees([], ["1"], [])
    spare, got = trees.take_spare("tip", may_add=True), list[str]()
    assert spare == "2"
    waiting = Thread(target=lambda: got.append(trees.take("tip")))
    waiting.start()
    trees.give_back("2", "tip")
    waiting.join()
    assert got == ["2"]


def test_only_one_waits_for_the_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    trees = Trees([], ["1"], [])
    assert trees.take_spare("tip", may_add=True) == "2"
    seconds: list[str] = []

    def wait_for(self: Condition, holds: Callable[[], bool]) -> bool:
        seconds.append(trees.take("tip"))
        trees.give_back("2", "tip")
        return holds()

    monkeypatch.setattr(Condition, "wait_for", wait_for)
    trees._changed = Condition(RLock())
    assert (trees.take("tip"), seconds) == ("2", ["3"])


def test_a_spare_that_went_wrong_is_a_free_tree_like_any() -> None:
    trees = Trees([], ["1"], [])
    trees.take_spare("tip", may_add=True)
    trees.give_back("2")
    assert trees.take_spare("tip", may_add=False) == "2"
    trees.forget("2")
    assert trees.take("tip") == "3"
