"""Traces: a workload as text, one JSON object on each line. The format is in wiki/_global/simulation.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ticketd.domain.globs import EVERYTHING, PatternSet, fault
from ticketd.domain.problems import Problem
from ticketd.domain.ticket import GLOBAL_SCOPE, OnFailure, Size, Ticket, TicketRecord
from ticketd.domain.values import Fault, choice, did_you_mean, priority, shown, ticket_id
from ticketd.sim.workload import Ends, Mishap, Play

T = TypeVar("T")

LONGEST_S = 366 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Trace:
    """Tickets and their plays; without `problems` all that the file says."""

    records: tuple[TicketRecord, ...]
    plays: Mapping[str, Play]
    problems: tuple[Problem, ...] = ()


def parse_trace(text: str, file: str) -> Trace:
    """Tickets age in the order of `seen_at`, those seen together in the order of the lines."""
    tickets: list[tuple[float, Ticket, Play]] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            tickets.append(_ticket(line, file))
            if any(ticket.id == tickets[-1][1].id for _, ticket, _ in tickets[:-1]):
                raise Fault(f"{shown(tickets[-1][1].id)} is there twice", "give each ticket an id of its own")
        except Fault as found:
            problems.append(Problem(file, number, found.what, found.mend))
    if not tickets and not problems:
        problems.append(Problem(file, 0, "the trace has no ticket", "write one JSON object on each line"))
    ordered = sorted(tickets, key=lambda each: each[0])
    records = tuple(TicketRecord(ticket, age, seen_at=at) for age, (at, ticket, _) in enumerate(ordered, start=1))
    return Trace(records, {ticket.id: play for _, ticket, play in ordered}, tuple(problems))


def _ticket(line: str, file: str) -> tuple[float, Ticket, Play]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Fault(f"the line is not JSON: {error}", "write one JSON object on each line") from None
    if not isinstance(said, dict):
        raise Fault("the line is no JSON object", 'write {"id": "…", "seconds": 300, …}')
    for key in said:
        if key not in KEYS:
            raise Fault(f"{shown(str(key))} is not a key of a trace", did_you_mean(str(key), KEYS))
    for key in ("id", "seconds"):
        if key not in said:
            raise Fault(f"`{key}` is missing", f"every ticket of a trace has `{key}`")
    id_ = ticket_id(_text(said, "id", ""))
    retries = said.get("retries")
    if retries is not None and (not isinstance(retries, int) or isinstance(retries, bool) or retries < 0):
        raise Fault("`retries` is not a whole number", "write 0 or more")
    ticket = Ticket(
        id=id_,
        path=file,
        title=_text(said, "title", id_),
        scope=_text(said, "scope", GLOBAL_SCOPE),
        priority=priority(_text(said, "priority", "normal")),
        size=choice(Size, _text(said, "size", "M")),
        touches=_touches(said),
        depends_on=tuple(ticket_id(each) for each in _texts(said, "depends_on", ())),
        agent=_text(said, "agent", "") or None,
        retries=retries,
        on_failure=choice(OnFailure, _text(said, "on_failure", "block")),
    )
    return _seconds(said, "seen_at", 0.0), ticket, _play(said)


KEYS = (
    *("id", "title", "scope", "priority", "size", "touches", "depends_on", "agent", "retries", "on_failure"),
    *("seconds", "landing_s", "seen_at", "mishaps"),
)


def _play(said: Mapping[str, Any]) -> Play:
    mishaps = said.get("mishaps", [])
    if not isinstance(mishaps, list) or not all(isinstance(each, dict) for each in mishaps):
        raise Fault("`mishaps` is no list of objects", 'write [{"ends": "failed", "seconds": 60}]')
    for each in mishaps:
        if unknown := set(each) - {"ends", "seconds"}:
            raise Fault(f"{shown(min(unknown))} is not a key of a mishap", "write `ends` and `seconds`")
    return Play(
        seconds=_seconds(said, "seconds", 0.0),
        landing_s=_seconds(said, "landing_s", 0.0),
        mishaps=tuple(
            Mishap(
                choice(Ends, _text(each, "ends", "failed")), _seconds(each, "seconds", _seconds(said, "seconds", 0.0))
            )
            for each in mishaps
        ),
    )


def _touches(said: Mapping[str, Any]) -> PatternSet:
    patterns = _texts(said, "touches", EVERYTHING.patterns)
    for pattern in patterns:
        if (why := fault(pattern)) is not None:
            raise Fault(f"{shown(pattern)} is no pattern: {why}", "write it as a ticket file would")
    return PatternSet(patterns)


def _text(said: Mapping[str, Any], key: str, default: str) -> str:
    return _checked(said, key, default, lambda value: isinstance(value, str), "a text")


def _texts(said: Mapping[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    def fits(value: object) -> bool:
        return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)

    return tuple(_checked(said, key, default, fits, "a list of texts"))


def _seconds(said: Mapping[str, Any], key: str, default: float) -> float:
    def fits(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    seconds = float(_checked(said, key, default, fits, "a number of seconds"))
    # Epoch seconds are larger than a duration may be; NaN is neither.
    if not 0 <= seconds <= (1e11 if key == "seen_at" else LONGEST_S):
        raise Fault(f"`{key}` is out of range", "write seconds, from 0 to a year")
    return seconds


def _checked(said: Mapping[str, Any], key: str, default: T, fits: Callable[[object], bool], what: str) -> T:
    value: T = said.get(key, default)
    if not fits(value):
        raise Fault(f"`{key}` is not {what}", f"write {what}")
    return value
