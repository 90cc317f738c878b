"""What a ticket has landed, for `diff` and `revert`."""

from __future__ import annotations

from ticketd.cli.checkout import control_of
from ticketd.cli.repository import View
from ticketd.domain.attempt import Attempt
from ticketd.domain.events import Event, EventKind
from ticketd.domain.ticket import TicketRecord
from ticketd.errors import TicketdError
from ticketd.git.control import Control
from ticketd.git.landed import is_merge, landed_commits, parent, runs


def landed_ranges(here: View, record: TicketRecord) -> tuple[tuple[str, str], ...]:
    """Each what was there before, and the last of its commits, the oldest first.

    Raises:
        TicketdError: it has landed without a commit of its own.
    """
    assert record.landed_sha is not None, record.id
    control, attempt = control_of(here), _landed_attempt(here, record)
    by_forge = bool(_landed_event(here, record.id).data.get("proposal"))
    if by_forge and is_merge(control, record.landed_sha):
        return _whole(control, record.landed_sha)  # with what reviewers have added to it
    found = runs(control, landed_commits(control, record.id, attempt.base, record.landed_sha))
    if not found and not by_forge:
        raise TicketdError(f"{record.id} has landed without a commit of its own: {record.detail}")
    return found or _whole(control, record.landed_sha)  # all squashed into one, with another message


def _whole(control: Control, sha: str) -> tuple[tuple[str, str], ...]:
    return ((parent(control, sha), sha),)


def _landed_event(here: View, ticket: str) -> Event:
    after, found = 0, None
    while events := here.session.store.events(after, ticket):
        after = events[-1].number
        found = next((each for each in events if each.kind is EventKind.LANDED), found)
    assert found is not None, ticket
    return found


def _landed_attempt(here: View, record: TicketRecord) -> Attempt:
    number = _landed_event(here, record.id).attempt
    return next(each for each in here.session.store.attempts(record.id) if each.key.number == number)
