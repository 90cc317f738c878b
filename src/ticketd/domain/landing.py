"""Landing: rebase, verify exactly that tree, fast-forward. The phases a ticket in the lane passes through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ticketd.domain.attempt import AttemptKey


class Phase(StrEnum):
    """`QUEUED`: until there is a lane for it. `WAITING`: the target cannot be asked. `BLOCKED`: git, the disk, a
    checkout or a target that fails by itself is in the way. Both are tried again at `not_before`. `PROPOSED`: a pull
    request has been opened, and people decide."""

    QUEUED = "queued"
    VERIFYING = "verifying"
    PUSHING = "pushing"
    WAITING = "waiting"
    BLOCKED = "blocked"
    PROPOSED = "proposed"


@dataclass(frozen=True, slots=True)
class Proposal:
    """The pull request of a landing. `after` is the number of its branch's newest one before this was asked for: should
    a crash keep `number` from being written down, a newer one is known to be this. 0 and empty while it is not open."""

    after: int
    number: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True)
class Landing:
    """One ticket in the lane. `candidate` is the commit that may be pushed onto `onto`; times are epoch seconds.
    `races_lost`: how often others moved the target before its verification was worth anything; `passed_on`: the target
    that it has passed on. `refusals`: how often the remote would not take it. `ahead`: a person wants it to land before
    all others. `note`: what is to be said once `candidate` is on the target, of whose push there may be no answer."""

    key: AttemptKey
    base: str
    tip: str
    queued_at: float
    phase: Phase = Phase.QUEUED
    onto: str | None = None
    candidate: str | None = None
    races_lost: int = 0
    trouble: str = ""
    trouble_since: float | None = None
    not_before: float | None = None
    passed_on: str | None = None
    refusals: int = 0
    proposal: Proposal | None = None
    ahead: bool = False
    note: str = ""

    @property
    def waits_for_people(self) -> bool:
        """Whether ticketd can do nothing to bring it on."""
        return self.phase is Phase.PROPOSED


def tried_since(landing: Landing, now: float, patience_s: float) -> float:
    """Since when it has been tried in vain. A time in which nobody tried, longer than all patience, does not count: no
    daemon ran, the machine slept, or the clock was set forward. After one that was set back it begins anew."""
    since, due = landing.trouble_since or now, landing.not_before or now
    return min(since + (now - due if now - due > patience_s else 0.0), now)


@dataclass(frozen=True, slots=True)
class Verification:
    """What the commands have said of a tree, last of `runs` times. `detail`: which of them failed, how, and where its
    output is. `lasting`: it was for them to say; a time limit or a signal says little of the tree."""

    passed: bool
    detail: str = ""
    runs: int = 1
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class Landed:
    """A ticket whose `commit` is on the target. `detail`: what is to be said of it, if anything."""

    key: AttemptKey
    commit: str
    detail: str = ""
