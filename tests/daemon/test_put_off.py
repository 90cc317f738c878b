"""Starts that come to nothing through no fault of the ticket: it waits, says for what, and is charged nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from acceptance_yard import make_yard
from test_capacity import FastClock

from ticketd.boot.daemon import open_daemon
from ticketd.boot.session import open_session
from ticketd.domain.brieftemplate import TEMPLATE
from ticketd.domain.events import EventKind
from ticketd.domain.ticket import TicketRecord
from ticketd.files import CheckoutFiles

AGENT = """\
test -z "$TICKETD_REPAIR" || { echo both > README.md; exit; }
echo mine > README.md
git clone -q "$YARD/origin.git" "$YARD/other"
cd "$YARD/other" && echo theirs > README.md && git commit -qam theirs && git push -q
"""


class BadlyEdited(CheckoutFiles):
    """Once the target has moved, the template is spoilt until the ticket has been put off four times."""

    is_spoilt: Callable[[], bool]

    def template(self, path: str) -> str:
        return "Do $taks.\n" if self.is_spoilt() else TEMPLATE


def test_a_faulty_template_puts_off_a_ticket_that_is_to_merge_however_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = make_yard(tmp_path, monkeypatch)
    (yard.root / "agent.sh").write_text(AGENT)
    monkeypatch.setenv("YARD", str(yard.root))
    command = f'[agents.default]\ncommand = ["sh", "{yard.root}/agent.sh"]\nenv = ["YARD"]\n'
    yard.config('[brief]\ntemplate = "brief.md"\n', command)
    (yard.work / "brief.md").write_text(TEMPLATE)
    yard.ticket("edit", touches="/README.md", retries=0)
    opened = open_session(yard.work)
    store = opened.session.store

    def edit() -> TicketRecord:
        found = store.ticket("edit")
        assert found is not None
        return found

    files = BadlyEdited(yard.work, opened.session.places.last_good_settings)
    files.is_spoilt = lambda: (yard.root / "other").exists() and edit().deferrals < 4
    opened = replace(opened, session=replace(opened.session, clock=FastClock(time.monotonic()), files=files))
    with open_daemon(opened) as daemon:
        daemon.run(os.getpid(), None, until_idle=True)
    assert (edit().state, edit().failures, edit().attempts) == ("landed", 0, 6)
    assert yard.file("README.md") == "both"
    _conflict, *put_off = (event.data for event in store.events() if event.kind is EventKind.REQUEUED)
    assert [each["reason"] for each in put_off] == [None] * 4
    for each in put_off:
        assert "brief.md:1: " in each["detail"] and "did you mean `task`?" in each["detail"]
        assert each["detail"].endswith("; Mend it; `ticketd lint` checks it.")
