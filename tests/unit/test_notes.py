"""Notes for running agents: each line once, whatever the agent has put in the file's place."""

from __future__ import annotations

import os
from pathlib import Path

from ticketd.app.notes import append_missing

ONE, TWO = {"- one\n": "- one\n"}, {"- two": "- two, and more\n"}
LINES = ONE | TWO


def test_each_line_is_written_once_also_by_the_next_daemon(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.touch()
    append_missing(notes, ONE)
    append_missing(notes, LINES)
    append_missing(notes, LINES)
    assert notes.read_text() == "- one\n- two, and more\n"


def test_notes_that_an_agent_has_removed_come_again(tmp_path: Path) -> None:
    append_missing(tmp_path / "notes.md", LINES)
    assert (tmp_path / "notes.md").read_text() == "- one\n- two, and more\n"


def test_no_link_is_followed_and_no_pipe_waited_for(tmp_path: Path) -> None:
    theirs, link, pipe = tmp_path / "theirs", tmp_path / "link", tmp_path / "pipe"
    theirs.write_text("precious")
    link.symlink_to(theirs)
    os.mkfifo(pipe)
    for notes in (link, pipe, tmp_path, tmp_path / "gone" / "notes.md"):
        append_missing(notes, LINES)
    assert theirs.read_text() == "precious"


def test_what_is_no_news_is_not_said_again_in_other_words(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    append_missing(notes, TWO)
    append_missing(notes, {"- two": "- two, and something else\n"})
    assert notes.read_text() == "- two, and more\n"
