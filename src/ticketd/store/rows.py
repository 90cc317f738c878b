"""Rows to values and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from sys import intern
from typing import Any

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState, Drift, EndedFor
from ticketd.domain.claims import Claim
from ticketd.domain.declared import spec, terms
from ticketd.domain.events import Event, EventKind
from ticketd.domain.globs import PatternSet
from ticketd.domain.landing import Landing, Phase, Proposal
from ticketd.domain.lint import Outline
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.repair import RepairKind, from_told
from ticketd.domain.report import Usage, report_of
from ticketd.domain.spending import Bill
from ticketd.domain.throttle import Throttle
from ticketd.domain.ticket import Gate, OnFailure, Priority, Reason, Size, Ticket, TicketRecord, TicketState
from ticketd.domain.ticketfile import Lines, Parsed
from ticketd.ports import FoundFile

Row = Mapping[str, Any]


def spec_of(ticket: Ticket) -> str:
    """What a ticket declares and is mostly its own, as JSON; its id, path and body have columns of their own."""
    return json.dumps(spec(ticket))


def terms_of(ticket: Ticket) -> str:
    """What it declares beside, as JSON. Many tickets have the same, so each text is parsed once."""
    return json.dumps(terms(ticket))


DECLARED = ("id", "path", "spec", "terms", "body")
RECORD_COLUMNS = (
    "id, path, spec, terms, age, state, reason, detail, held, bumped, not_before, failures, deferrals, attempts,"
    " cancel_requested, start_approved, landed_sha, seen_at, preemptions, resume, gate, shown, approved,"
    " repair, repairs, spent_usd"
)

_PRIORITIES = {str(each): each for each in Priority}
_SIZES = {str(each): each for each in Size}
_STATES = {str(each): each for each in TicketState}

Terms = tuple[
    Gate | None, str | None, float | None, int | None, tuple[str, ...], OnFailure, float | None, tuple[str, ...]
]


class Records:
    """Rows of tickets to records. What is equal in those that one of these has read is one object: of 100,000 tickets
    most share scope, patterns, commands and the moment they were first seen."""

    def __init__(self) -> None:
        self._patterns: dict[tuple[str, ...], PatternSet] = {}
        self._terms: dict[str, Terms] = {}
        self._moments: dict[float, float] = {}

    def record(self, row: tuple[Any, ...], body: str = "") -> TicketRecord:
        """`row` has `RECORD_COLUMNS`."""
        id_, path, spec, terms, age, state, reason, detail, held, bumped, not_before, failures, deferrals, *rest = row
        attempts, cancel_requested, start_approved, landed_sha, seen_at, preemptions, *rest = rest
        resume, gate, shown, approved, repair, repairs, spent_usd = rest
        return TicketRecord(
            self.ticket(id_, path, spec, terms, body),
            age,
            _STATES[state],
            reason and Reason(reason),
            detail,
            held == 1,
            bumped and Priority(bumped),
            not_before,
            failures,
            deferrals,
            attempts,
            cancel_requested == 1,
            start_approved == 1,
            landed_sha,
            self._moments.setdefault(seen_at, seen_at),
            preemptions,
            resume,
            gate and Gate(gate),
            shown,
            approved,
            repair and from_told(json.loads(repair)),
            repairs,
            spent_usd,
        )

    def ticket(self, id_: str, path: str, spec: str, terms: str, body: str) -> Ticket:
        said = json.loads(spec)
        touches = tuple(map(intern, said["touches"]))
        gate, agent, timeout_s, retries, verify, on_failure, budget_usd, labels = self._terms_of(terms)
        return Ticket(
            intern(id_),
            path,
            said["title"],
            intern(said["scope"]),
            _PRIORITIES[said["priority"]],
            _SIZES[said["size"]],
            self._patterns.get(touches) or self._patterns.setdefault(touches, PatternSet(touches)),
            tuple(map(intern, said["depends_on"])),
            gate,
            agent,
            timeout_s,
            retries,
            verify,
            on_failure,
            budget_usd,
            labels,
            body,
        )

    def _terms_of(self, terms: str) -> Terms:
        known = self._terms.get(terms)
        if known is None:
            said = json.loads(terms)
            known = self._terms[terms] = (
                said["gate"] and Gate(said["gate"]),
                said["agent"],
                said["timeout_s"],
                said["retries"],
                tuple(map(intern, said["verify"])),
                OnFailure(said["on_failure"]),
                said["budget_usd"],
                tuple(map(intern, said["labels"])),
            )
        return known


def attempt_of(row: Row) -> Attempt:
    return Attempt(
        key=AttemptKey(row["ticket"], row["number"]),
        state=AttemptState(row["state"]),
        slot=row["slot"],
        base=row["base"],
        agent=row["agent"],
        worktree=row["worktree"],
        pid=row["pid"],
        dispatched_at=row["dispatched_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        exit_code=row["exit_code"],
        outcome=row["outcome"],
        reason=row["reason"] and Reason(row["reason"]),
        detail=row["detail"],
        tip=row["tip"],
        report=report_of({**row, "usage": json.loads(row["usage"])}),
        spent_usd=row["spent_usd"],
        ended_for=row["ended_for"] and EndedFor(row["ended_for"]),
        behind=row["behind"],
        drift=Drift(row["drift"]),
        drift_paths=tuple(json.loads(row["drift_paths"])),
        heartbeat_at=row["heartbeat_at"],
        output_at=row["output_at"],
        output_bytes=row["output_bytes"],
        held_up=row["held_up"],
        preempted=bool(row["preempted"]),
        restarted=bool(row["restarted"]),
        resumes=row["resumes"],
        mends=row["mends"] and RepairKind(row["mends"]),
        merges=row["merges"],
        batch=row["batch"],
    )


def throttle_of(row: Row) -> Throttle:
    return Throttle(
        profile=row["profile"],
        refused=row["refused"],
        until=row["until"],
        why=row["why"],
        limit=row["limit"],
        limited=row["limited"],
        since=row["since"],
        named=bool(row["named"]),
        failing=row["failing"],
        failed=row["failed"],
    )


def claim_of(row: Row) -> Claim:
    return Claim(row["ticket"], row["attempt"], PatternSet(tuple(json.loads(row["patterns"]))))


def bill_of(row: Row) -> Bill:
    usage = tuple(Usage(**each) for each in json.loads(row["usage"]))
    over = row["state"] == AttemptState.ENDED
    cost = row["cost_usd"] if over else row["spent_usd"]
    return Bill(AttemptKey(row["ticket"], row["number"]), row["scope"], row["agent"], row["at"], cost, usage)


def file_of(row: Row) -> FoundFile:
    """A file as it was read. Its ticket is the one in the queue, unless another file has the same id."""
    of_queue = row["sound"] and row["id"]
    ticket = Records().ticket(*(row[each] for each in DECLARED)) if of_queue else None
    lines = lines_of(row["lines"])
    return FoundFile(
        row["stamp"], Parsed(row["path"], row["names"], ticket, tuple(problems_of(row["problems"])), lines)
    )


def file_row(file: FoundFile) -> tuple[object, ...]:
    """In the order of the table's columns."""
    parsed = file.parsed
    problems = dump([asdict(problem) for problem in parsed.problems])
    sound = parsed.ticket is not None
    return parsed.path, file.stamp, parsed.id, sound, lines_text(parsed.lines), problems


def outline_of(row: tuple[Any, ...]) -> Outline:
    """`row`: path, the id it names, whether it is sound, what its ticket depends on as JSON."""
    path, names, sound, depends_on = row
    return Outline(path, names, sound == 1, tuple(json.loads(depends_on)) if depends_on else ())


def problems_of(encoded: str) -> Iterator[Problem]:
    for p in json.loads(encoded):
        yield Problem(p["file"], p["line"], p["what"], p["mend"], Severity(p["severity"]))


def lines_of(encoded: str) -> Lines:
    lines = json.loads(encoded)
    return Lines(lines["keys"], {(key, item): line for key, item, line in lines["items"]})


def lines_text(lines: Lines) -> str:
    items = [[key, item, line] for (key, item), line in lines.items.items()]
    return json.dumps({"keys": dict(lines.keys), "items": items})


def patterns_text(patterns: PatternSet) -> str:
    return json.dumps(patterns.patterns)


def landing_of(row: Row) -> Landing:
    return Landing(
        key=AttemptKey(row["ticket"], row["attempt"]),
        base=row["base"],
        tip=row["tip"],
        queued_at=row["queued_at"],
        phase=Phase(row["phase"]),
        onto=row["onto"],
        candidate=row["candidate"],
        races_lost=row["races_lost"],
        trouble=row["trouble"],
        trouble_since=row["trouble_since"],
        not_before=row["not_before"],
        passed_on=row["passed_on"],
        refusals=row["refusals"],
        proposal=None if row["proposal"] is None else Proposal(**json.loads(row["proposal"])),
        ahead=bool(row["ahead"]),
        note=row["note"],
    )


def proposal_text(proposal: Proposal | None) -> str | None:
    return None if proposal is None else dump(asdict(proposal))


def event_of(row: Row) -> Event:
    return Event(
        row["number"], row["at"], EventKind(row["kind"]), row["ticket"], row["attempt"], json.loads(row["data"])
    )


def dump(values: Sequence[object] | Mapping[str, object]) -> str:
    return json.dumps(values)
