"""The demo, end to end, at the pace of the machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ticketd.cli.demo import FAILS_ONCE, GLOBAL, NEVER_LANDS, PACE, TICKETS, Planned
from ticketd.domain.settings import Settings
from ticketd.domain.ticketfile import parse_ticket


@pytest.fixture(scope="module")
def plan() -> dict[str, Planned]:
    return {ticket.id: ticket for ticket in TICKETS}


def test_the_plan_has_all_that_the_demo_is_to_show(plan: dict[str, Planned]) -> None:
    paths = [path for ticket in TICKETS for path in ticket.writes]
    assert len(plan) == len(TICKETS) == 24
    assert any(ticket.after for ticket in TICKETS)
    assert any(ticket.scope == GLOBAL for ticket in TICKETS)
    assert len(set(paths)) < len(paths), "some tickets overlap"
    assert {FAILS_ONCE, NEVER_LANDS} < plan.keys()


def test_every_ticket_of_the_plan_is_a_sound_file() -> None:
    for ticket in TICKETS:
        parsed = parse_ticket(ticket.path, ticket.text(PACE).encode(), Settings())
        assert parsed.problems == ()
        assert parsed.ticket is not None
        assert parsed.ticket.id == ticket.id


def test_nothing_waits_on_the_ticket_that_never_lands() -> None:
    assert not [ticket.id for ticket in TICKETS if NEVER_LANDS in ticket.after]


def test_the_demo_lands_23_tickets_and_leaves_nothing_behind(
    tmp_path: Path, hermetic_home: Path, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Planned]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "an outer repository's"))
    home = sorted(hermetic_home.rglob("*"))

    done = subprocess.run([sys.executable, "-m", "ticketd", "demo", "--pace=0"], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("All came out as planned.\n")
    log = done.stdout.split("$ git log --oneline main\n")[1]
    subjects = re.findall(r"^[0-9a-f]{7,} (.+)$", log, re.MULTILINE)
    wanted = {ticket.title for ticket in TICKETS if ticket.id != NEVER_LANDS}
    assert sorted(subjects[:-1]) == sorted(wanted)
    assert re.search(rf"{FAILS_ONCE} .*\(attempt 2\)", done.stdout)
    assert f"{NEVER_LANDS}: failed (verify-failed)" in done.stdout
    assert list(tmp_path.glob("ticketd-demo-*")) == []
    assert sorted(hermetic_home.rglob("*")) == home


def test_what_depends_on_a_ticket_lands_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "ticketd", "demo", "--pace=0", "--keep"], capture_output=True, text=True, check=True
    )
    (root,) = tmp_path.glob("ticketd-demo-*")
    assert f"Kept: {root}" in done.stdout
    order = subprocess.run(
        ["git", "log", "--reverse", "--format=%(trailers:key=Ticket,valueonly,separator=)", "main"],
        cwd=root / "origin.git",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert len(order) == 23
    for ticket in TICKETS:
        assert all(order.index(before) < order.index(ticket.id) for before in ticket.after)
