"""Where pull requests are: the host of a protected target, as far as ticketd needs it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ticketd.ports.repository import Refused, Unreachable


class PullState(StrEnum):
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request as its forge knows it. `head`: the commit that its branch is at. `merged_as`: the commits by which
    its work may have come onto the target, the likeliest first. `is_stuck`: it cannot be merged as it is, for the
    target has moved."""

    number: int
    url: str
    state: PullState
    head: str
    merged_as: tuple[str, ...] = ()
    is_stuck: bool = False


class Forge(Protocol):
    """One project. Numbers grow: what is opened later has a higher one."""

    def pulls(self, branch: str, onto: str) -> tuple[Pull, ...] | Refused | Unreachable:
        """All there are and were from `branch` onto `onto`, in any order."""

    def open(self, branch: str, onto: str, title: str, body: str) -> Refused | Unreachable | None:
        """Ask for one more. The answer is a hint: `pulls` knows."""
