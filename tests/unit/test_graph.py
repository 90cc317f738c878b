"""The graph of dependencies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.graph import dependents_of, fold, levels


def test_levels_are_the_longest_chain_before_each_ticket() -> None:
    assert levels({"a": [], "b": ["a"], "c": ["a", "b"], "d": ["gone"]}) == [["a", "d"], ["b"], ["c"]]


def test_dependents_are_the_same_edges_turned_round() -> None:
    assert dependents_of({"a": ["x", "y"], "b": ["x"]}) == {"x": ["a", "b"], "y": ["a"]}


def test_a_chain_of_50_000_is_no_deeper_than_one_of_two() -> None:
    chain = {str(n): [str(n + 1)] for n in range(50_000)}
    assert fold(["0"], chain, lambda _, after: 1 + max(after, default=0))["0"] == 50_001


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), unique=True)))
def test_fold_visits_each_node_once_even_in_cycles(following: dict[str, list[str]]) -> None:
    seen: list[str] = []

    def visit(node: str, _: list[int]) -> int:
        seen.append(node)
        return 0

    fold(following, following, visit)
    assert len(seen) == len(set(seen))
    assert set(following) <= set(seen)
