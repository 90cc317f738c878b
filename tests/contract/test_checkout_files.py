"""Ticket files and `ticketd.toml` as they may lie about: links, pipes, devices, folders, and files for all to write."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ticketd.domain.problems import Problem
from ticketd.domain.secrets import secrets_of
from ticketd.domain.settings import Settings
from ticketd.files import CheckoutFiles


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "repo" / "tickets").mkdir(parents=True)
    (tmp_path / "outside.md").write_text("# Secret of others\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "theirs.md").write_text("# Theirs\n")
    return tmp_path / "repo"


def files(root: Path) -> CheckoutFiles:
    return CheckoutFiles(root, root.parent / "last-good.toml")


def found(root: Path) -> dict[str, str]:
    """By path, the title of what is a ticket, and else what is wrong."""
    read = {path: files(root).read(path, stamp, Settings()).parsed for path, stamp in files(root).stamps().items()}
    return {path: each.ticket.title if each.ticket else each.problems[0].what for path, each in read.items()}


def test_links_are_named_and_not_followed_wherever_they_lead(root: Path) -> None:
    tickets = root / "tickets"
    (tickets / "own.md").write_text("# Own\n")
    (tickets / "out.md").symlink_to(root.parent / "outside.md")
    (tickets / "in.md").symlink_to("own.md")
    (tickets / "nowhere.md").symlink_to("nothing")
    (tickets / "acme").symlink_to(root.parent / "outside")
    assert {path: what.split(":")[0] for path, what in found(root).items()} == {
        "tickets/own.md": "Own",
        **dict.fromkeys(("tickets/out.md", "tickets/in.md", "tickets/nowhere.md"), "cannot be read"),
    }


def test_a_folder_of_tickets_that_is_a_link_is_a_fault(root: Path) -> None:
    (root / "tickets").rmdir()
    (root / "tickets").symlink_to(root.parent / "outside")
    assert list(found(root)) == ["tickets"]
    assert "cannot be read" in found(root)["tickets"]


def test_a_folder_that_becomes_a_link_between_the_look_and_the_reading_is_not_followed(root: Path) -> None:
    (root / "tickets" / "acme").symlink_to(root.parent / "outside")
    parsed = files(root).read("tickets/acme/theirs.md", "", Settings()).parsed
    assert parsed.ticket is None and "cannot be read" in parsed.problems[0].what


def test_pipes_sockets_devices_and_folders_are_named_and_nobody_waits_for_them(root: Path) -> None:
    tickets = root / "tickets"
    os.mkfifo(tickets / "pipe.md")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tickets / "socket.md"))
    (tickets / "a" / "b" / "folder.md").mkdir(parents=True)
    expected = {"tickets/pipe.md", "tickets/socket.md", "tickets/a/b/folder.md"}
    if os.geteuid() == 0:
        os.mknod(tickets / "device.md", 0o600 | 0o020000, os.makedev(1, 5))
        expected.add("tickets/device.md")
    told = found(root)
    assert set(told) == expected
    assert all(what.startswith("cannot be read") for what in told.values())


def test_a_file_that_is_gone_or_may_not_be_read_is_told(root: Path) -> None:
    parsed = files(root).read("tickets/gone.md", "", Settings()).parsed
    assert parsed.problems[0].what == "cannot be read: No such file or directory"


def test_a_configuration_that_anybody_may_write_is_refused(root: Path) -> None:
    config = root / "ticketd.toml"
    config.write_text("slots = 3\n")
    config.chmod(0o664)
    assert files(root).settings().settings == Settings(slots=3)
    config.chmod(0o666)
    parsed = files(root).settings()
    what = "anybody on this machine may write it, and it says which programs run"
    assert (parsed.settings, parsed.problems) == (None, (Problem("ticketd.toml", 0, what, "chmod o-w ticketd.toml"),))


def test_a_configuration_that_is_a_link_is_not_followed(root: Path) -> None:
    (root / "ticketd.toml").symlink_to(root.parent / "outside.md")
    assert files(root).settings().settings is None


def test_a_ticket_that_quotes_a_secret_is_read_without_it_and_warned_of(root: Path) -> None:
    (root / "tickets" / "use.md").write_text("# Use hunter-two\n\nLog in with hunter-two.\n")
    secrets = secrets_of([("SHOP_TOKEN", "hunter-two")])
    parsed = CheckoutFiles(root, root / "x", lambda: secrets).read("tickets/use.md", "", Settings()).parsed
    assert parsed.ticket is not None
    assert (parsed.ticket.title, "hunter" in parsed.ticket.body) == ("Use [SHOP_TOKEN]", False)
    assert [problem.mend for problem in parsed.problems] == ["take the value out"]
