"""What is new to an agent that goes on in its session is told; what it knows is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ticketd.app.brief import Desk, write_brief
from ticketd.app.places import Places
from ticketd.app.session import Session
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.events import Event, EventKind
from ticketd.domain.report import Report
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import Ticket, TicketRecord

TICKET = Ticket("fix-it", "tickets/fix-it.md", "Fix it", body="Mend the lamp.")
RECORD = TicketRecord(TICKET, age=1)
BASE = "a" * 40


class Told:
    """A store of a few events and attempts, and a history without a page."""

    def __init__(self, events: Sequence[Event], attempts: Sequence[Attempt]) -> None:
        self._events, self._attempts = tuple(events), tuple(attempts)

    def events(self, after: int, ticket: str, limit: int) -> tuple[Event, ...]:
        assert ticket == TICKET.id
        return tuple(event for event in self._events if event.number > after)[:limit]

    def attempts(self, ticket: str) -> tuple[Attempt, ...]:
        return self._attempts if ticket == TICKET.id else ()

    def claims(self) -> tuple[()]:
        return ()

    def collisions(self) -> tuple[()]:
        return ()

    def target(self) -> None:
        return None


def attempt(number: int, agent: str = "claude", session: str | None = None, resumes: str | None = None) -> Attempt:
    key = AttemptKey(TICKET.id, number)
    ended = Attempt(key, AttemptState.ENDED, 1, BASE, agent, report=Report(session=session))
    return replace(ended, resumes=resumes)


def happened(*kinds: tuple[EventKind, int, dict[str, object]]) -> list[Event]:
    return [Event(n, 0.0, kind, TICKET.id, number, data) for n, (kind, number, data) in enumerate(kinds, 1)]


REJECTED = {"reason": "rejected"}
OLD = (EventKind.FAILED, 1, {**REJECTED, "detail": "not blue"})
NEW = (EventKind.FAILED, 2, {**REJECTED, "detail": "too bright"})


def follow_up(events: Sequence[Event], attempts: Sequence[Attempt]) -> str:
    told = Told(events, attempts)
    session = Session(Path(), Places(Path()), None, told, None, lambda: None, lambda: False)  # type: ignore[arg-type]
    desk = Desk(session, Settings(), told, lambda *_: ())  # type: ignore[arg-type]
    return write_brief(desk, RECORD, attempt(4, resumes="b" * 40), (), follow_up=True)


def test_words_that_the_session_has_had_are_not_told_again() -> None:
    begun = (EventKind.DISPATCHED, 2, {})
    told = follow_up(happened((EventKind.DISPATCHED, 1, {}), OLD, begun, NEW), [attempt(1), attempt(2, session="s")])
    assert "too bright" in told and "not blue" not in told and TICKET.body not in told


def test_what_happened_in_attempts_without_the_session_is_new_to_it() -> None:
    """The third attempt was another profile's: the session of the second knows nothing of it."""
    events = happened(
        (EventKind.DISPATCHED, 2, {}),
        (EventKind.DISPATCHED, 3, {}),
        (EventKind.REQUEUED, 3, {"reason": "timeout", "detail": "no sign of progress"}),
    )
    told = follow_up(events, [attempt(2, session="s"), attempt(3, agent="codex", session="t")])
    assert "- attempt 3: timeout: no sign of progress" in told and "broken off" in told


@pytest.mark.parametrize("late", [True, False])
def test_a_text_that_was_changed_since_is_told_whole(late: bool) -> None:
    changed, begun = (EventKind.TICKET_CHANGED, 0, {}), (EventKind.DISPATCHED, 2, {})
    events = happened(*((begun, changed) if late else (changed, begun)))
    assert (TICKET.body in follow_up(events, [attempt(2, session="s")])) is late
