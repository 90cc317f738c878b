"""Who has to make way for a critical ticket, and who never."""

from __future__ import annotations

from dataclasses import replace

import pytest
from queues import SETTINGS, snapshot, ticket

from ticketd.domain.scheduler.preemption import MOST_PREEMPTIONS
from ticketd.domain.scheduler.queue import decide
from ticketd.domain.scheduler.schedule import PreemptAttempt
from ticketd.domain.settings import Preempt, SchedulerSettings
from ticketd.domain.ticket import Priority, TicketState

PREEMPTS = replace(SETTINGS, scheduler=SchedulerSettings(preempt=Preempt.CRITICAL))


@pytest.mark.parametrize("times", range(MOST_PREEMPTIONS + 2))
def test_a_ticket_makes_way_only_so_often(times: int) -> None:
    running = ticket("long", state=TicketState.RUNNING, preemptions=times)
    urgent = ticket("urgent", 1, priority=Priority.CRITICAL)
    decisions = decide(snapshot(running, urgent, slots=1, settings=PREEMPTS), 1.0).decisions
    chosen = [each.attempt.ticket for each in decisions if isinstance(each, PreemptAttempt)]
    assert chosen == (["long"] if times < MOST_PREEMPTIONS else [])
