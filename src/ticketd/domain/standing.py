"""How everything stands: what the tables of the store hold, and what its events tell. Both must be the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass

from ticketd.domain.attempt import Attempt, AttemptKey
from ticketd.domain.claims import Claim
from ticketd.domain.landing import Landing
from ticketd.domain.pool import DaemonRecord, Pool
from ticketd.domain.throttle import Throttle
from ticketd.domain.ticket import TicketRecord
from ticketd.domain.widening import Collision

UNTOLD = frozenset(
    {
        *("worktree", "reason", "detail", "behind", "drift", "drift_paths"),
        *("heartbeat_at", "output_at", "output_bytes", "held_up", "spent_usd"),
    }
)
"""Of an attempt: signs of life, where it lies, and words about it. Nothing is decided by them."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Tickets without their bodies, all attempts as told, the claims that are held and the lane, both by ticket,
    collisions of held claims.

    `withdrawn`: tickets whose file is gone; `lane_s`: seconds in the lane, of attempts that have landed; `target`: the
    commit last seen.
    """

    tickets: Mapping[str, TicketRecord]
    withdrawn: frozenset[str]
    attempts: Mapping[AttemptKey, Attempt]
    lane_s: Mapping[AttemptKey, float]
    claims: Mapping[str, Claim]
    collisions: frozenset[Collision]
    landings: Mapping[str, Landing]
    pool: Pool
    daemon: DaemonRecord | None
    target: str | None
    throttles: Mapping[str, Throttle]


def attempt_as_told(attempt: Attempt) -> Attempt:
    return Attempt(**{f.name: getattr(attempt, f.name) for f in fields(Attempt) if f.name not in UNTOLD})


def differences(stored: Standing, told: Standing) -> Iterator[str]:
    """Where the tables are not what the events tell, one line each."""
    for field in fields(Standing):
        yield from _differing(field.name, getattr(stored, field.name), getattr(told, field.name))


def _differing(name: str, stored: object, told: object) -> Iterator[str]:
    if stored == told:
        return
    if isinstance(stored, Mapping) and isinstance(told, Mapping):
        for key in sorted({*stored, *told}):
            yield from _differing(f"{name} {key}", stored.get(key), told.get(key))
    elif isinstance(stored, frozenset) and isinstance(told, frozenset):
        yield f"{name}: {', '.join(sorted(map(str, stored ^ told)))}"
    elif is_dataclass(stored) and type(stored) is type(told):
        for field in fields(stored):
            yield from _differing(f"{name} {field.name}", getattr(stored, field.name), getattr(told, field.name))
    else:
        yield f"{name} is {_shown(stored)}, by the events {_shown(told)}"


def _shown(value: object) -> str:
    return "there" if is_dataclass(value) else "nothing" if value in (None, "") else str(value)
