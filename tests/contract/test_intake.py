"""Ticket files into the store: what is read again, and when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ticketd.app.places import Places
from ticketd.app.session import Session
from ticketd.app.tickets import Intake, problems, sync
from ticketd.clock import SystemClock
from ticketd.domain.settings import AgentProfile, Settings
from ticketd.files import CheckoutFiles
from ticketd.store import open_store

PLAIN = Settings()


@pytest.fixture
def session(tmp_path: Path) -> Session:
    places = Places(tmp_path / "state")
    files = CheckoutFiles(tmp_path, places.last_good_settings)
    return Session(tmp_path, places, SystemClock(), open_store(places.store), files, lambda: None, lambda: False)


def write(session: Session, name: str, *keys: str, body: str = "# Title\n\nDo it.\n") -> None:
    path = session.root / "tickets" / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["---", "touches: [src/x.py]", *keys, "---", body]))


def titles(session: Session) -> dict[str, str]:
    return {record.id: record.ticket.title for record in session.store.board().tickets.values()}


def test_a_look_at_unchanged_files_changes_nothing_and_is_no_event(session: Session) -> None:
    write(session, "a")
    intake = Intake(session)
    assert intake.sync(PLAIN)
    before = session.store.board().newest
    assert [intake.sync(PLAIN) for _ in range(3)] == [False] * 3
    assert session.store.board().newest == before


def test_each_look_finds_what_is_new_changed_or_gone(session: Session) -> None:
    intake = Intake(session)
    write(session, "a")
    intake.sync(PLAIN)
    intake.sync(PLAIN)
    write(session, "a", "title: another")
    write(session, "acme/b")
    assert intake.sync(PLAIN)
    assert titles(session) == {"a": "another", "b": "Title"}
    (session.root / "tickets" / "a.md").unlink()
    assert intake.sync(PLAIN)
    assert set(session.store.stamps()) == {"tickets/acme/b.md"}


def test_a_file_that_was_passed_over_is_taken_up_at_the_next_look(session: Session) -> None:
    intake = Intake(session)
    write(session, "a", "title: first")
    intake.sync(PLAIN)
    write(session, "acme/a", "title: second")
    intake.sync(PLAIN)
    assert titles(session) == {"a": "first"}
    (session.root / "tickets" / "a.md").unlink()
    intake.sync(PLAIN)
    intake.sync(PLAIN)
    assert titles(session) == {"a": "second"}


def test_what_another_process_saved_is_taken_into_account(session: Session) -> None:
    intake = Intake(session)
    write(session, "a")
    intake.sync(PLAIN)
    intake.sync(PLAIN)
    session.store.save_files([], ["tickets/a.md"], 5.0)
    assert intake.sync(PLAIN)
    assert set(session.store.stamps()) == {"tickets/a.md"}


def test_files_are_read_again_when_settings_change_what_they_mean_and_only_then(session: Session) -> None:
    write(session, "a", "agent: swift")
    sync(session, PLAIN)
    assert [problem.line for problem in problems(session, PLAIN, ())] == [3]
    assert not sync(session, replace(PLAIN, slots=3))
    swift = replace(PLAIN, agents={"swift": AgentProfile("swift", command=("./agent.sh",))})
    assert sync(session, swift)
    assert problems(session, swift, ()) == ()


def test_faults_of_one_file_and_of_several_are_told_with_their_lines(session: Session) -> None:
    write(session, "a", "depends_on:", "  - b", "  - ghost")
    write(session, "b", "depends_on: [a]", body="")
    sync(session, PLAIN)
    found = {(problem.file, problem.line): problem.what for problem in problems(session, PLAIN, ())}
    assert "no ticket `ghost`" in found["tickets/a.md", 5]
    assert "goes round in a circle" in found["tickets/a.md", 4]
    assert "no text" in found["tickets/b.md", 0] or "no title" in found["tickets/b.md", 0]
