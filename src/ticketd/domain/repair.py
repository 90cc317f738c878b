"""Work that did not land goes back to its agent with what kept it from landing. What the next attempt begins from then.

A repair costs less than a new beginning: what was done is there, and only what stood in the way is to be mended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

SHOWN = 5


class RepairKind(StrEnum):
    CONFLICT = "conflict"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Repair:
    """`base`: the target's commit that the work did not fit. `tip`: the commit that the next attempt goes on from;
    `merges`: what is to be merged into it first, None where that has been done. `ours`: the work as it met the
    conflict, before any repair. `told`: what kept it from landing; `messages`: what git said; `log`: where the output
    of a failed verification is; `fault`: why the repair before this one was not taken."""

    kind: RepairKind
    base: str
    tip: str
    told: str
    merges: str | None = None
    ours: str = ""
    messages: tuple[str, ...] = ()
    log: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Unmended:
    """Why the work of an attempt may not land though its agent ended well: what it was to mend is not mended.
    `again`: what another repair would begin from, where one is worth it."""

    why: str
    again: Repair | None = None


def as_told(repair: Repair | None) -> dict[str, Any] | None:
    """As events and the store have it: nothing but what JSON can say."""
    return None if repair is None else asdict(repair) | {"messages": list(repair.messages)}


def from_told(told: Mapping[str, Any] | None) -> Repair | None:
    """The inverse of `as_told`.

    Raises:
        TypeError, ValueError: it does not say a repair.
    """
    if told is None:
        return None
    return Repair(**{**told, "kind": RepairKind(told["kind"]), "messages": tuple(told["messages"])})


def some(paths: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    shown = ", ".join(paths[:SHOWN])
    return f"{shown} and {len(paths) - SHOWN} more" if len(paths) > SHOWN else shown
