"""Pages of the wiki come from a commit, not from a checkout; and what is no ordinary text stays out."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitworld import commit, git

from ticketd.errors import GitFailed
from ticketd.git.door import Git
from ticketd.git.objects import objects_of
from ticketd.git.pages import LONGEST, read_pages, read_subjects


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


FOLDERS = ("wiki/acme", "wiki/_global")


def test_pages_are_those_of_the_commit_without_links_binaries_and_what_is_no_text(repository: Path) -> None:
    (repository / "wiki/_global").mkdir(parents=True)
    (repository / "wiki/_global/link.md").symlink_to("/etc/passwd")
    (repository / "wiki/_global/picture.md").write_bytes(b"# P\n\0\1")
    (repository / "wiki/_global/latin.md").write_bytes(b"# Caf\xe9\n")
    files = {
        "wiki/acme/own.md": "# Own\n",
        "wiki/_global/deep/down.md": "down\n",
        "wiki/_global/shot.svg": "<svg/>",
        "wiki/_global/a\nb.md": "odd name\n",
        "wiki/globex/other.md": "another's\n",
        "wiki/_global/long.md": "x" * (LONGEST + 1),
    }
    base = commit(repository, files)
    (repository / "wiki/acme/own.md").write_text("# Changed in the checkout\n")
    pages = read_pages(Git(repository), base, FOLDERS)
    assert {page.path: page.text for page in pages} == {
        "wiki/acme/own.md": "# Own\n",
        "wiki/_global/a\nb.md": "odd name\n",
        "wiki/_global/latin.md": "# Caf\ufffd\n",
        "wiki/_global/deep/down.md": "down\n",
        "wiki/_global/long.md": None,
    }
    assert pages[0].path == "wiki/acme/own.md" and pages[0].heading == "Own"


def test_where_there_is_no_wiki_there_are_no_pages_and_a_missing_commit_is_told(repository: Path) -> None:
    assert read_pages(Git(repository), commit(repository, {"a": "a"}), FOLDERS) == ()
    with pytest.raises(GitFailed):
        read_pages(Git(repository), "0" * 40, FOLDERS)


def test_subjects_are_those_since_the_base_the_newest_first(repository: Path) -> None:
    base = commit(repository, {"a": "1"}, "before")
    commit(repository, {"a": "2"}, "one\n\nand more")
    tip = commit(repository, {"a": "3"}, "two")
    objects = objects_of(Git(repository, env={"GIT_DIR": str(repository / ".git")}))
    assert read_subjects(objects, base, tip, 10) == ("two", "one")
    assert read_subjects(objects, base, tip, 1) == ("two",) and read_subjects(objects, base, "f" * 40, 5) == ()
