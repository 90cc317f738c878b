"""Which conversation of an earlier attempt an agent goes on with. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ticketd.domain.attempt import Attempt
from ticketd.domain.report import Report
from ticketd.domain.ticket import Reason


def session_of(earlier: Iterable[Attempt], attempt: Attempt, tree: str | None) -> str | None:
    """The newest one of the same ticket and profile, if there is work of it to go on with. `earlier`: oldest first;
    `tree`: the worktree that it has to have been in, where the agent finds it in no other.

    One that could not be taken up is not tried again: its attempt has failed, and the model was never asked.
    """
    if attempt.resumes is None:
        return None
    ran = [each for each in earlier if each.agent == attempt.agent and each.key < attempt.key and each.started_at]
    for each in reversed(ran):
        if each.reason is Reason.AGENT_FAILED and not _has_spoken(each.report):
            return None
        if each.report.session:
            return each.report.session if tree in (None, each.worktree) else None
    return None


def _has_spoken(report: Report) -> bool:
    return bool(report.session) and any(each.input or each.output or each.cache_read for each in report.usage)
