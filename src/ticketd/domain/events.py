"""What can happen, in the past tense. Every state change is stored together with its event.

The data of an event says all that the change did: `domain/replay.py` makes the same states from the events alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class EventKind(StrEnum):
    FILES_READ = "files-read"
    TICKET_ADDED = "ticket-added"
    TICKET_CHANGED = "ticket-changed"
    TICKET_WITHDRAWN = "ticket-withdrawn"
    TICKET_RETURNED = "ticket-returned"
    DISPATCHED = "dispatched"
    PREEMPTED = "preempted"
    RESTART_ASKED = "restart-asked"
    END_ASKED = "end-asked"
    START_REFUSED = "start-refused"
    PASSED_OVER = "passed-over"
    STARTED = "started"
    AGENT_ENDED = "agent-ended"
    WORK_KEPT = "work-kept"
    ATTEMPT_CLOSED = "attempt-closed"
    CLAIM_EXTENDED = "claim-extended"
    CLAIM_COLLIDED = "claim-collided"
    OUTSIDE_CLAIM = "outside-claim"
    REVIEW_ASKED = "review-asked"
    REVIEW_SHOWN = "review-shown"
    APPROVED = "approved"
    LANDING_QUEUED = "landing-queued"
    LANDING_PHASE = "landing-phase"
    VERIFIED = "verified"
    FLATTENED = "flattened"
    PROPOSED = "proposed"
    PUT_AHEAD = "put-ahead"
    ENTERED = "entered"
    LANDED = "landed"
    TAKEN_OFF = "taken-off"
    ALARM = "alarm"
    REQUEUED = "requeued"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCEL_ASKED = "cancel-asked"
    CANCELLED = "cancelled"
    HELD = "held"
    UNHELD = "unheld"
    BUMPED = "bumped"
    PAUSED = "paused"
    RESUMED = "resumed"
    SLOTS_SET = "slots-set"
    STOP_ASKED = "stop-asked"
    DAEMON_STARTED = "daemon-started"
    DAEMON_STOPPED = "daemon-stopped"
    TARGET_MOVED = "target-moved"
    TARGET_TROUBLE = "target-trouble"
    DRIFTED = "drifted"
    THROTTLED = "throttled"
    THROTTLE_EASED = "throttle-eased"
    THROTTLE_LIFTED = "throttle-lifted"
    RECOVERED = "recovered"
    WORKTREE_RETIRED = "worktree-retired"
    TAMPERED = "tampered"
    CLEARED = "cleared"
    DISK_SHORT = "disk-short"
    DISK_EASED = "disk-eased"
    STALLED = "stalled"
    SHADOW_DIFFERED = "shadow-differed"


NO_MOVES = frozenset(
    {
        EventKind.FILES_READ,
        EventKind.DISPATCHED,
        EventKind.PASSED_OVER,
        EventKind.WORK_KEPT,
        EventKind.ATTEMPT_CLOSED,
        EventKind.CLAIM_EXTENDED,
        EventKind.CLAIM_COLLIDED,
        EventKind.OUTSIDE_CLAIM,
        EventKind.REVIEW_SHOWN,
        EventKind.LANDING_QUEUED,
        EventKind.LANDING_PHASE,
        EventKind.VERIFIED,
        EventKind.FLATTENED,
        EventKind.PUT_AHEAD,
        EventKind.TAKEN_OFF,
        EventKind.TARGET_TROUBLE,
        EventKind.DRIFTED,
        EventKind.RECOVERED,
        EventKind.WORKTREE_RETIRED,
        EventKind.TAMPERED,
        EventKind.CLEARED,
        EventKind.DISK_SHORT,
        EventKind.STALLED,
        EventKind.SHADOW_DIFFERED,
    }
)
"""What cannot make a ticket startable, nor end a run."""


@dataclass(frozen=True, slots=True)
class Event:
    """`at` in epoch seconds; `number` counts up within a repository."""

    number: int
    at: float
    kind: EventKind
    ticket: str | None = None
    attempt: int | None = None
    data: Mapping[str, object] = field(default_factory=dict)
