"""From the events alone to how everything stands; and what is decided next follows from how things stand.

Each case says what the writers of that event change in the tables. A new kind of event is one more case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, assert_never

from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState, EndedFor
from ticketd.domain.claims import Claim
from ticketd.domain.declared import ticket_declared
from ticketd.domain.events import Event
from ticketd.domain.events import EventKind as Kind
from ticketd.domain.globs import PatternSet
from ticketd.domain.landing import Landing, Phase, Proposal
from ticketd.domain.pool import DaemonRecord, Pool, Stop
from ticketd.domain.repair import RepairKind, from_told
from ticketd.domain.report import report_of
from ticketd.domain.standing import Standing
from ticketd.domain.throttle import Throttle
from ticketd.domain.ticket import Gate, Priority, Reason, TicketRecord, TicketState
from ticketd.domain.widening import Collision


def replay(events: Iterable[Event]) -> Standing:
    """All events there are, oldest first."""
    replaying = Replay()
    for event in events:
        replaying.take(event)
    return replaying.standing()


class Replay:
    """Takes one event after the other. Its size is that of what stands, however many events there were."""

    def __init__(self) -> None:
        self._tickets: dict[str, TicketRecord] = {}
        self._withdrawn: set[str] = set()
        self._attempts: dict[AttemptKey, Attempt] = {}
        self._lane_s: dict[AttemptKey, float] = {}
        self._claims: dict[AttemptKey, Claim] = {}
        self._held: dict[str, AttemptKey] = {}
        self._collisions: set[tuple[AttemptKey, AttemptKey, str]] = set()
        self._landings: dict[str, Landing] = {}
        self._pool = Pool()
        self._daemon: DaemonRecord | None = None
        self._target: str | None = None
        self._throttles: dict[str, Throttle] = {}

    def standing(self) -> Standing:
        return Standing(
            tickets=dict(self._tickets),
            withdrawn=frozenset(self._withdrawn),
            attempts=dict(self._attempts),
            lane_s=dict(self._lane_s),
            claims={ticket: self._claims[key] for ticket, key in self._held.items()},
            collisions=frozenset(self._standing_collisions()),
            landings=dict(self._landings),
            pool=self._pool,
            daemon=self._daemon,
            target=self._target,
            throttles=dict(self._throttles),
        )

    def _standing_collisions(self) -> Iterator[Collision]:
        held = set(self._held.values())
        return (Collision(a.ticket, b.ticket, path) for a, b, path in self._collisions if {a, b} <= held)

    def take(self, event: Event) -> None:
        """Raises:
        KeyError, TypeError, ValueError: the event does not fit those before it, or lacks what its kind must say.
        """
        id_, at, data = event.ticket or "", event.at, _Data(event)
        key = AttemptKey(id_, event.attempt or 0)
        match event.kind:
            case Kind.TICKET_ADDED:
                ticket = ticket_declared(id_, data["path"], data["says"])
                self._tickets[id_] = TicketRecord(ticket, age=len(self._tickets) + 1, seen_at=at)
            case Kind.TICKET_CHANGED:
                approved = self._tickets[id_].start_approved and not data["approval_void"]
                ticket = ticket_declared(id_, data["path"], data["says"])
                self._ticket(id_, ticket=ticket, start_approved=approved)
            case Kind.TICKET_WITHDRAWN:
                self._withdrawn.add(id_)
            case Kind.TICKET_RETURNED:
                self._withdrawn.remove(id_)
            case Kind.DISPATCHED:
                self._dispatched(key, data, at)
            case Kind.PASSED_OVER:
                self._ticket(id_, attempts=key.number)
            case Kind.START_REFUSED:
                del self._attempts[key], self._claims[key], self._held[id_]
                self._collisions = {each for each in self._collisions if key not in each}
                self._moved(id_, TicketState.QUEUED, detail=data["detail"], attempts=key.number - 1)
            case Kind.PREEMPTED:
                self._attempt(key, preempted=True)
            case Kind.RESTART_ASKED:
                self._attempt(key, restarted=True)
            case Kind.END_ASKED:
                self._attempt(key, ended_for=EndedFor(data["for"]))
            case Kind.STARTED:
                self._attempt(key, state=AttemptState.RUNNING, pid=data["pid"], started_at=at)
            case Kind.AGENT_ENDED:
                over = {"exit_code": data["exit_code"], "outcome": data["how"], "ended_at": at, "pid": None}
                self._attempt(key, state=AttemptState.COLLECTING, **over)
            case Kind.WORK_KEPT:
                self._attempt(key, tip=data["tip"])
            case Kind.ATTEMPT_CLOSED:
                report = report_of(event.data)
                self._attempt(key, state=AttemptState.ENDED, report=report, pid=None)
                self._ticket(id_, spent_usd=self._tickets[id_].spent_usd + (report.cost_usd or 0.0))
            case Kind.CLAIM_EXTENDED:
                held = self._claims[key]
                wider = PatternSet((*held.patterns.patterns, *data["patterns"]))
                self._claims[key] = replace(held, patterns=wider)
            case Kind.CLAIM_COLLIDED:
                other = self._held[data["with"]]
                self._collisions.update((key, other, path) for path in data["paths"])
            case Kind.REVIEW_ASKED:
                self._release(id_)
                self._hold(key, data["claim_held"])
                self._moved(id_, TicketState.REVIEW, detail=data["detail"], gate_at=Gate(data["gate"]))
            case Kind.REVIEW_SHOWN:
                self._ticket(id_, shown=data["commit"])
            case Kind.APPROVED:
                self._approved(id_, Gate(data["gate"]), data["commit"])
            case Kind.LANDING_QUEUED:
                self._into_lane(key, data, at)
            case Kind.LANDING_PHASE | Kind.PROPOSED:
                self._phase(key, data)
            case Kind.PUT_AHEAD:
                self._landings[id_] = replace(self._landings[id_], ahead=True)
            case Kind.ENTERED:
                self._entered(key, data, at)
            case Kind.LANDED:
                if (landing := self._landings.get(id_)) is not None:
                    self._lane_s[landing.key] = at - landing.queued_at
                self._release(id_)
                landed = {"landed_sha": data["commit"], "deferrals": 0, "cancel_requested": False}
                self._moved(id_, TicketState.LANDED, detail=data["detail"], **landed)
            case Kind.TAKEN_OFF:
                self._ticket(id_, detail=data["detail"])
            case Kind.REQUEUED:
                self._release(id_)
                names = ("failures", "deferrals", "preemptions", "resume", "repairs")
                counts = {name: data[name] for name in names}
                counts |= {"repair": from_told(data["repair"]), "cancel_requested": False}
                self._moved(id_, TicketState.QUEUED, detail=data["detail"], not_before=data["not_before"], **counts)
            case Kind.FAILED:
                self._release(id_)
                reason = Reason(data["reason"])
                self._moved(id_, TicketState.FAILED, reason=reason, detail=data["detail"], deferrals=0)
            case Kind.SKIPPED:
                reason = Reason.DEPENDENCY_FAILED
                self._moved(id_, TicketState.SKIPPED, reason=reason, detail=data["detail"])
            case Kind.CANCEL_ASKED:
                self._ticket(id_, cancel_requested=True)
            case Kind.CANCELLED:
                self._release(id_)
                self._moved(id_, TicketState.CANCELLED, detail=data["detail"], cancel_requested=False)
            case Kind.HELD:
                self._ticket(id_, held=True)
            case Kind.UNHELD:
                self._ticket(id_, held=False)
            case Kind.BUMPED:
                self._ticket(id_, bumped=Priority(data["priority"]))
            case Kind.PAUSED:
                self._pool = replace(self._pool, paused=data["why"])
            case Kind.RESUMED:
                self._pool = replace(self._pool, paused="", alarm="")
            case Kind.ALARM:
                self._pool = replace(self._pool, alarm=data["why"])
            case Kind.DISK_SHORT:
                self._pool = replace(self._pool, short=data["why"])
            case Kind.DISK_EASED:
                self._pool = replace(self._pool, short="")
            case Kind.SLOTS_SET:
                self._pool = replace(self._pool, slots=data["slots"])
                self._daemon = self._daemon and replace(self._daemon, slots=None)
            case Kind.STOP_ASKED:
                # One that a ticket asked for is an abort.
                aborted = data["why"] if event.ticket else self._pool.aborted
                self._pool = replace(self._pool, stop=Stop(data["how"]), aborted=aborted)
            case Kind.DAEMON_STARTED:
                self._pool = replace(self._pool, stop=None, aborted="", short="")
                self._daemon = DaemonRecord(data["pid"], at, data["engine"], data["slots"])
            case Kind.DAEMON_STOPPED:
                self._daemon = None
            case Kind.TARGET_MOVED:
                self._target = data["new"]
            case Kind.THROTTLED | Kind.THROTTLE_EASED:
                self._throttles[data["profile"]] = _throttle(event.data)
            case Kind.THROTTLE_LIFTED:
                del self._throttles[data["profile"]]
            case (
                Kind.FILES_READ
                | Kind.STALLED
                | Kind.SHADOW_DIFFERED
                | Kind.OUTSIDE_CLAIM
                | Kind.VERIFIED
                | Kind.FLATTENED
                | Kind.TARGET_TROUBLE
                | Kind.DRIFTED
                | Kind.RECOVERED
                | Kind.WORKTREE_RETIRED
                | Kind.TAMPERED
                | Kind.CLEARED
            ):
                pass  # they tell of the world, not of what stands
            case _:
                assert_never(event.kind)

    def _ticket(self, id_: str, **changes: Any) -> None:
        self._tickets[id_] = replace(self._tickets[id_], **changes)

    def _moved(self, id_: str, state: TicketState, **changes: Any) -> None:
        """What a move does not set is gone with the state it came from."""
        before = {"reason": None, "detail": "", "not_before": None, "gate_at": None}
        self._ticket(id_, state=state, **(before | changes))

    def _attempt(self, key: AttemptKey, **changes: Any) -> None:
        self._attempts[key] = replace(self._attempts[key], **changes)

    def _dispatched(self, key: AttemptKey, data: _Data, at: float) -> None:
        self._moved(key.ticket, TicketState.RUNNING, attempts=key.number, approved=None)
        self._attempts[key] = Attempt(
            key,
            AttemptState.PREPARING,
            data["slot"],
            data["base"],
            data["agent"],
            dispatched_at=at,
            batch=data["batch"],
            resumes=data["resumes"],
            mends=data["mends"] and RepairKind(data["mends"]),
            merges=data["merges"],
        )
        self._claims[key] = Claim(key.ticket, key.number, self._tickets[key.ticket].ticket.touches)
        self._held[key.ticket] = key

    def _entered(self, key: AttemptKey, data: _Data, at: float) -> None:
        """`landing-queued` follows."""
        self._ticket(key.ticket, attempts=key.number, approved=data["tip"])
        made = Attempt(key, AttemptState.ENDED, 0, data["base"], data["by"], dispatched_at=at, tip=data["tip"])
        self._attempts[key] = made
        self._claims[key] = Claim(key.ticket, key.number, self._tickets[key.ticket].ticket.touches)

    def _approved(self, id_: str, gate: Gate, commit: str) -> None:
        if gate is Gate.LAND:  # `landing-queued` follows
            self._ticket(id_, approved=commit)
        else:
            self._moved(id_, TicketState.QUEUED, start_approved=True, shown=None)

    def _into_lane(self, key: AttemptKey, data: _Data, at: float) -> None:
        self._moved(key.ticket, TicketState.LANDING)
        self._hold(key, data["claim_held"])
        self._landings[key.ticket] = Landing(
            key,
            self._attempts[key].base,
            data["tip"],
            queued_at=at,
            candidate=data["candidate"],
            proposal=_proposal(data),
        )

    def _phase(self, key: AttemptKey, data: _Data) -> None:
        landing = self._landings.get(key.ticket)
        if landing is not None and landing.key == key:
            names = (
                "onto",
                "candidate",
                "races_lost",
                "trouble",
                "trouble_since",
                "not_before",
                "passed_on",
                "refusals",
                "note",
            )
            said = {name: data[name] for name in names} | {"proposal": _proposal(data)}
            self._landings[key.ticket] = replace(landing, phase=Phase(data["phase"]), **said)

    def _hold(self, key: AttemptKey, held: bool) -> None:
        if held:
            self._held[key.ticket] = key
        else:
            self._held.pop(key.ticket, None)

    def _release(self, id_: str) -> None:
        self._held.pop(id_, None)
        self._landings.pop(id_, None)


def _proposal(data: _Data) -> Proposal | None:
    said = data["proposal"]
    return None if said is None else Proposal(**said)


def _throttle(data: Mapping[str, Any]) -> Throttle:
    return Throttle(**data)


class _Data:
    """What an event says; what it lacks is named together with the event."""

    def __init__(self, event: Event) -> None:
        self._event = event

    def __getitem__(self, name: str) -> Any:
        if name not in self._event.data:
            raise KeyError(f"event {self._event.number} ({self._event.kind}) does not say `{name}`")
        return self._event.data[name]
