"""The graph of dependencies: who waits for whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

_MOST_SPELLED = 20


def dependents_of(depends_on: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """The same edges the other way round."""
    dependents: dict[str, list[str]] = defaultdict(list)
    for ticket, dependencies in depends_on.items():
        for dependency in dependencies:
            dependents[dependency].append(ticket)
    return dependents


def fold(
    nodes: Iterable[str], following: Mapping[str, Iterable[str]], combine: Callable[[str, list[T]], T]
) -> dict[str, T]:
    """`combine` of each node and the values of those that follow it, every node once.

    Iterative, since chains may be 50,000 long. In a cycle the node met again counts as if nothing followed.
    """
    values: dict[str, T] = {}
    for start in nodes:
        stack = [(start, iter(following.get(start, ())))]
        on_path = {start}
        while stack:
            node, rest = stack[-1]
            ahead = next((n for n in rest if n not in values and n not in on_path), None)
            if ahead is not None:
                on_path.add(ahead)
                stack.append((ahead, iter(following.get(ahead, ()))))
                continue
            stack.pop()
            on_path.discard(node)
            if node not in values:
                values[node] = combine(node, [values[n] for n in following.get(node, ()) if n in values])
    return values


def levels(depends_on: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Tickets by the length of the longest chain before them; names within a level in order."""
    known = {ticket: [d for d in dependencies if d in depends_on] for ticket, dependencies in depends_on.items()}
    depth = fold(known, known, lambda _, before: max(before, default=-1) + 1)
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for ticket in sorted(depth):
        rows[depth[ticket]].append(ticket)
    return rows


def spelled_circle(circle: Sequence[str]) -> str:
    """`a → b → a`, from the first of its ids in the alphabet; a long one without its middle."""
    first = circle.index(min(circle))
    spelled = [*circle[first:], *circle[: first + 1]]
    if len(spelled) > _MOST_SPELLED:
        spelled = [*spelled[:10], f"… {len(spelled) - 15} more …", *spelled[-5:]]
    return " → ".join(spelled)
