"""`scripts/replay --simulate`: a repository's steps under a virtual clock, one scheduling policy beside the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from random import Random
from typing import Any

from replay_steps import Step, touches

from ticketd.app.simulate import simulation
from ticketd.domain.globs import PatternSet, fault, literal
from ticketd.domain.settings import ClaimsSettings, Settings
from ticketd.domain.ticket import Size, Ticket, TicketRecord
from ticketd.sim.policies import Policy
from ticketd.sim.workload import Play, Workload

SMALL_SHARE = 0.7
MINUTES = {Size.S: (4.0, 6.0), Size.M: (10.0, 15.0)}


def simulated(
    steps: Sequence[Step], slots: int, seed: int, landing_s: float, claims: str, shared: Sequence[str]
) -> dict[str, Any]:
    """The document of `ticketd simulate --json` for these steps as tickets."""
    load = workload(steps, slots, seed, landing_s, claims, shared)
    return simulation("trace", [load], list(Policy), seed)


def workload(
    steps: Sequence[Step], slots: int, seed: int, landing_s: float, claims: str, shared: Sequence[str]
) -> Workload:
    """They age in the order of the history; seven in ten are small (4 to 6 min), the others take 10 to 15 min."""
    rng = Random(seed)
    records, plays = [], {}
    for age, step in enumerate(steps, start=1):
        size = Size.S if rng.random() < SMALL_SHARE else Size.M
        patterns = PatternSet(tuple(touches(step) if claims == "exact" else directories(step)))
        records.append(TicketRecord(Ticket(step.id, "", step.subject, size=size, touches=patterns), age))
        plays[step.id] = Play(60.0 * rng.uniform(*MINUTES[size]), landing_s)
    settings = Settings(claims=ClaimsSettings(shared=PatternSet(tuple(shared))))
    return Workload(tuple(records), plays, slots, settings)


def directories(step: Step) -> list[str]:
    """The directories of the changed paths, whole; a file at the root as it is."""
    patterns = []
    for change, pattern in zip(step.changes, touches(step), strict=False):
        above = str(PurePosixPath(change.path).parent)
        patterns.append(pattern if above == "." or fault(literal(above)) else literal(above) + "/")
    return list(dict.fromkeys(patterns)) or ["**"]
