"""Events in words, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from ticketd.cli.render.words import plural, safe, short
from ticketd.domain.events import Event, EventKind
from ticketd.domain.landing import Phase
from ticketd.domain.review import BEFORE_IT_RUNS

ROOM_FOR_ID = 16
STALL_LINES = 20
TIME = "%H:%M:%S"
DATE_AND_TIME = f"%Y-%m-%d {TIME}"
MENDED = {"conflict": "a conflict", "verify": "what failed its verification"}
WAITS = (Phase.WAITING, Phase.BLOCKED)
"""Once more tried it may still have what troubled it, and that has been told."""
Words = Callable[[dict[str, Any]], str | None]


def _paths(data: dict[str, Any], key: str = "paths") -> str:
    paths = data.get(key) or []
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _requeued(data: dict[str, Any]) -> str:
    reason = f"{data['reason']}: " if data.get("reason") else ""
    until = data.get("not_before")
    again = f", not before {datetime.fromtimestamp(until).strftime(TIME)}" if until else ""
    if data.get("repair") and reason:
        return f"goes back to its agent, repair {data['repairs']}: {reason}{data['detail']}"
    return f"goes back to the queue{again}: {reason}{data.get('detail') or ''}"


def _ended(data: dict[str, Any]) -> str:
    return f"its agent has ended: {data['detail'] or data['how']}"


def _why(data: dict[str, Any], what: str) -> str:
    why = data.get("why") or data.get("detail") or ""
    return f"{what}: {why}" if why else what


def _recovered(data: dict[str, Any]) -> str:
    if failed := data.get("keep_failed"):
        return f"its work cannot be kept yet, and that is tried again: {failed}"
    return _why({"detail": "; ".join(str(value) for value in data.values() if value)}, "put right")


def _tampered(data: dict[str, Any]) -> str:
    """Of several that ran side by side nobody can say which it was."""
    suspects = data.get("suspects") or []
    who = f"one of {', '.join(suspects)}" if len(suspects) > 1 else "".join(suspects) or "somebody while no agent ran"
    return f"{who} has changed what all worktrees share: {'; '.join(data.get('what') or [])}"


def _url(data: dict[str, Any]) -> str:
    return str((data.get("proposal") or {}).get("url", ""))


def _throttled(data: dict[str, Any]) -> str:
    until = datetime.fromtimestamp(data["until"]).strftime(TIME)
    return f"agent profile {data['profile']} starts nothing until {until}: {data['why']}"


def _stalled(data: dict[str, Any]) -> str:
    return f"nothing runs and nothing can; {plural(len(data.get('tickets') or []), 'ticket')} stand still:"


def _shadow(data: dict[str, Any]) -> str:
    live, shadow = (", ".join(map(str, data.get(key) or [])) or "nothing" for key in ("starts", "shadow"))
    return f"the shadow policy would start {shadow}; started: {live}"


def _verified(data: dict[str, Any]) -> str | None:
    """What passed at once is no news: it lands."""
    below = (data.get("together") or [])[:-1]
    others = f" together with {', '.join(below)}" if below else ""
    if data.get("passed"):
        return f"passes{others} what it failed before: flaky" if data.get("flaky") else None
    return f"fails verification{_again(data)}{others}: {data.get('detail', '')}"


def _again(data: dict[str, Any]) -> str:
    """Without it the same line stands there twice: what has failed is run again before anybody is blamed."""
    return " again" if data.get("again") else ""


def _verified_target(data: dict[str, Any]) -> str | None:
    return None if data.get("passed") else f"the target fails verification{_again(data)}: {data.get('detail', '')}"


OF_TICKET: dict[EventKind, Words] = {
    EventKind.PREEMPTED: lambda data: f"makes way for {data.get('for')}: its agent is ended, its work is kept",
    EventKind.RESTART_ASKED: lambda data: (
        f"begins anew on {short(data['onto'])}, with which it conflicts in {_paths(data)}: its agent is ended, its work"
        " is kept"
    ),
    EventKind.END_ASKED: lambda data: f"its agent is ended, its work is kept: {data['why']}",
    EventKind.TICKET_ADDED: lambda data: f"is new in the queue ({data.get('path', '')})",
    EventKind.TICKET_CHANGED: lambda data: (
        "its file has changed" + ("; a person must approve it again" if data.get("approval_void") else "")
    ),
    EventKind.TICKET_WITHDRAWN: lambda data: "its file is gone",
    EventKind.START_REFUSED: lambda data: f"could not be started and waits: {data['detail']}",
    EventKind.PASSED_OVER: lambda data: f"has attempts that this store knows nothing of: {data['why']}",
    EventKind.TICKET_RETURNED: lambda data: "its file is back",
    EventKind.AGENT_ENDED: _ended,
    EventKind.CLAIM_COLLIDED: lambda data: f"wrote what {data['with']} holds: {_paths(data)}",
    EventKind.WORKTREE_RETIRED: lambda data: f"left worktree {data['worktree']} as it is: no commit holds all of it",
    EventKind.OUTSIDE_CLAIM: lambda data: f"wrote outside its claim: {_paths(data)}",
    EventKind.REVIEW_ASKED: lambda data: data.get("detail") or BEFORE_IT_RUNS,
    EventKind.APPROVED: lambda data: "is approved",
    EventKind.VERIFIED: _verified,
    EventKind.FLATTENED: lambda data: (
        f"holds {'commits of another ticket' if data.get('mixed') else 'a merge'}: all of it lands as one commit"
    ),
    EventKind.ALARM: lambda data: f"ALARM: {data['why']}",
    EventKind.LANDED: lambda data: _why({"why": data.get("detail")}, f"landed as {short(data['commit'])}"),
    EventKind.TAKEN_OFF: lambda data: data["detail"],
    EventKind.PROPOSED: lambda data: _why({"why": data.get("trouble")}, f"waits for its pull request {_url(data)}"),
    EventKind.PUT_AHEAD: lambda data: "goes to the front of the lane",
    EventKind.ENTERED: lambda data: f"comes with its work, made by `{data.get('by')}`",
    EventKind.REQUEUED: _requeued,
    EventKind.FAILED: lambda data: f"failed: {data['reason']}: {data['detail']}",
    EventKind.SKIPPED: lambda data: f"is skipped: {data['because']} did not land",
    EventKind.CANCEL_ASKED: lambda data: "is being cancelled",
    EventKind.CANCELLED: lambda data: _why(data, "is cancelled"),
    EventKind.HELD: lambda data: "is held",
    EventKind.UNHELD: lambda data: "is held no longer",
    EventKind.BUMPED: lambda data: f"has priority {data['priority']} now",
    EventKind.PAUSED: lambda data: _why(data, "the pool is paused"),
    EventKind.STOP_ASKED: lambda data: _why(data, "the pool stops"),
    EventKind.RECOVERED: _recovered,
    EventKind.TAMPERED: _tampered,
}

OF_POOL: dict[EventKind, Words] = {
    EventKind.VERIFIED: _verified_target,
    EventKind.ALARM: lambda data: f"ALARM: {data['why']}",
    EventKind.PAUSED: lambda data: _why(data, "the pool is paused"),
    EventKind.RESUMED: lambda data: "the pool goes on",
    EventKind.SLOTS_SET: lambda data: f"the pool has {data['slots'] or 'the configured number of'} slots",
    EventKind.STOP_ASKED: lambda data: "ends agents now" if data["how"] == "now" else "drains: running agents finish",
    EventKind.DAEMON_STARTED: lambda data: f"the daemon starts (pid {data['pid']})",
    EventKind.DAEMON_STOPPED: lambda data: "the daemon ends",
    EventKind.THROTTLED: _throttled,
    EventKind.THROTTLE_LIFTED: lambda data: f"agent profile {data['profile']} is throttled no longer",
    EventKind.STALLED: _stalled,
    EventKind.SHADOW_DIFFERED: _shadow,
    EventKind.TARGET_TROUBLE: lambda data: f"the target gives no answer: {data['detail']}",
    EventKind.RECOVERED: _recovered,
    EventKind.TAMPERED: _tampered,
    EventKind.CLEARED: lambda data: f"cleared {data['what']}: {data['why']}",
    EventKind.DISK_SHORT: lambda data: f"nothing is started: {data['why']}",
    EventKind.DISK_EASED: lambda data: "there is room on the disk again",
}


class Teller:
    """Turns events into lines. It remembers what ticketd itself has landed, and so what moved the target otherwise."""

    def __init__(self, time: str = TIME) -> None:
        self._time = time
        self._landed: set[object] = set()

    def lines(self, event: Event) -> Iterator[str]:
        """All that is to be said of it: none for an event that no person waits for, more for a stall."""
        head = self.line(event)
        if head is not None:
            yield head
        if event.kind is EventKind.STALLED:
            yield from _standing_still(event)

    def line(self, event: Event) -> str | None:
        """`08:20:01 retry-uploader    landed as 1a2b3c4`; None for an event that no person waits for."""
        words = self._words(event)
        if words is None:
            return None
        who = f"{event.ticket or '':<{ROOM_FOR_ID}}"
        return safe(f"{datetime.fromtimestamp(event.at).strftime(self._time)} {who}  {words}".rstrip())

    def _words(self, event: Event) -> str | None:
        data: dict[str, Any] = dict(event.data)
        match event.kind:
            case EventKind.LANDED:
                self._landed.add(data["commit"])
            case EventKind.TARGET_MOVED if data["new"] not in self._landed:
                return f"the target is at {short(data['new'])} now"
            case EventKind.DISPATCHED:
                return _starts(event)
            case EventKind.DRIFTED if data["drift"] == "conflict":
                return f"would conflict with the target in {_paths(data)}"
            case EventKind.PROPOSED if not _url(data):
                return None
            case EventKind.LANDING_PHASE if data["trouble"] and data["phase"] in WAITS:
                return f"waits to land: {data['trouble']}"
        words = (OF_TICKET if event.ticket else OF_POOL).get(event.kind)
        return words(data) if words else None


def _starts(event: Event) -> str:
    again = f" (attempt {event.attempt})" if (event.attempt or 1) > 1 else ""
    resumes = event.data.get("resumes")
    on = f", going on from {short(str(resumes))}" if resumes else ""
    on = f", to mend {MENDED[str(mends)]}" if (mends := event.data.get("mends")) else on
    return f"starts in slot {event.data['slot']}{again}{on}"


def _standing_still(event: Event) -> Iterator[str]:
    """Each ticket of a stall with its cause, and what a person can do."""
    tickets: Any = event.data.get("tickets") or []
    for each in islice(tickets, STALL_LINES):
        mend = f"; {each['mend']}" if each["mend"] else ""
        yield safe(f"  {each['ticket']}: {each['why']}{mend}")
    if len(tickets) > STALL_LINES:
        yield f"  and {len(tickets) - STALL_LINES} more: `ticketd status`"
