"""The one door of deletion: no link is followed, and nothing goes that is not below the directory that was named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ticketd.app.removal import remove_below


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    file = tmp_path / "home" / "precious"
    file.parent.mkdir()
    file.write_text("all there is")
    return file


def test_a_tree_goes_with_its_read_only_directories_and_what_its_links_lead_to_stays(
    tmp_path: Path, precious: Path
) -> None:
    tree = tmp_path / "state" / "tree"
    (tree / "mod" / "deep").mkdir(parents=True)
    (tree / "mod" / "deep" / "file").write_text("x")
    (tree / "mod" / "link").symlink_to(precious.parent)
    precious.parent.chmod(0o500)
    for closed in (tree / "mod" / "deep", tree / "mod"):
        closed.chmod(0)
    remove_below(tmp_path / "state", "tree")
    assert not tree.exists()
    assert precious.exists() and precious.parent.stat().st_mode & 0o777 == 0o500


def test_a_link_goes_itself(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "link").symlink_to(precious.parent)
    remove_below(tmp_path, "link")
    assert not os.path.lexists(tmp_path / "link") and precious.exists()


@pytest.mark.parametrize("at_root", [False, True])
def test_a_link_on_the_way_is_not_followed(tmp_path: Path, precious: Path, at_root: bool) -> None:
    (tmp_path / "link").symlink_to(precious.parent)
    with pytest.raises(OSError, match="link"):
        remove_below(tmp_path / "link", "precious") if at_root else remove_below(tmp_path, "link", "precious")
    assert precious.exists()


@pytest.mark.parametrize("parts", [(), ("",), (".",), ("..",), ("a", ".."), ("a/b",), ("/",), ("a\0b",)])
def test_what_is_no_plain_name_is_refused(tmp_path: Path, parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="not below"):
        remove_below(tmp_path, *parts)


def test_what_is_not_there_is_gone_already(tmp_path: Path) -> None:
    remove_below(tmp_path, "never")
    remove_below(tmp_path, "never", "was")
