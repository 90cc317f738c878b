"""Which worktree an attempt is given, and the spare that stands ready for the next."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, RLock, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_one_that_is_kept_is_taken_after_all_others_and_the_one_kept_for_longest_first() -> None:
    trees = Trees(["1", "2", "3"], [], [], lambda: ("3", "1"), lambda: 4)
    assert [trees.take("tip") for _ in range(5)] == ["2", "4", "3", "1", "5"]


def test_whom_a_tree_is_kept_for_gets_it_and_whoever_only_likes_it_does_not() -> None:
    trees = Trees(["1", "2"], [], [], lambda: ("1",), lambda: 4)
    trees.give_back("1", "tip")
    assert [trees.take("tip", prefer="1"), trees.take("other", own="1")] == ["2", "1"]


def test_a_tree_is_free_again_once_it_is_not_kept_any_more() -> None:
    kept = ["1"]
    trees = Trees(["1"], [], [], lambda: kept, lambda: 8)
    assert trees.take("tip") == "2"
    kept.clear()
    assert trees.take("tip") == "1"


def test_no_tree_that_is_kept_becomes_the_spare_and_past_the_most_none_is_added() -> None:
    trees = Trees(["1"], [], [], lambda: ("1",), lambda: 2)
    trees.give_back("1", "tip")
    assert trees.take_spare("tip", may_add=False) is None
    assert trees.take_spare("tip", may_add=True) == "2"
    trees.give_back("2", "tip")
    assert trees.take("tip") == "2"
    assert trees.take_spare("tip", may_add=True) is None


def test_a_spare_that_is_being_readied_is_waited_for_before_one_that_is_kept_is_taken() -> None:
    trees = Trees(["1"], [], [], lambda: ("1",), lambda: 2)
    assert trees.take_spare("tip", may_add=True) == "2"
    got = list[str]()
    waiting = Thread(target=lambda: got.append(trees.take("tip")))
    waiting.start()
    trees.give_back("2", "tip")
    waiting.join()
    assert got == ["2"]


@given(st.data())
def test_whatever_comes_and_goes_none_is_given_twice_and_a_kept_one_only_where_it_must_be(data: st.DataObject) -> None:
    kept: list[str] = []
    trees, taken, seen, most = Trees([], [], [], lambda: kept, lambda: 4), list[str](), set[str](), 4
    for _ in range(data.draw(st.integers(1, 30))):
        kept[:] = data.draw(st.lists(st.sampled_from(sorted(seen)), unique=True) if seen else st.just([]))
        free = set(trees.free)
        if taken and data.draw(st.booleans()):
            trees.give_back(taken.pop(data.draw(st.integers(0, len(taken) - 1))))
            continue
        own = data.draw(st.sampled_from([None, *sorted(seen)]))
        name = trees.take("tip", own=own)
        if own in free:
            assert name == own
        elif free - {*kept}:
            assert name in free - {*kept}
        elif len(seen) < most or not free:
            assert name not in seen
        else:
            assert name == next(each for each in kept if each in free)
        taken.append(name)
        seen.add(name)
        assert len(taken) == len(set(taken)) and not set(taken) & set(trees.free)
