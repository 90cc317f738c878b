"""What agents leave behind, by mistake or on purpose: each has a defined end; nothing is lost, nothing waited for."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from gitworld import ADA, KEY, World, commit, git, write

from ticketd.app.launching import copy_files
from ticketd.domain.attempt import AttemptKey
from ticketd.ports import Kept, Watched

OTHER = AttemptKey("other", 1)
needs_no_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


def at_work(world: World) -> tuple[Path, str]:
    base = world.tip()
    world.pool.prepare("1", base, "ticketd/fix-it/1", keep_ignored=False)
    return world.pool.path("1"), base


def keep(world: World, base: str, largest: int = 10**6) -> Kept:
    return world.pool.keep("1", KEY, base, "left", ADA, largest)


def held(world: World, kept: Kept, path: str) -> str:
    return git(world.control.path, "show", f"{kept.tip}:{path}")


def is_usable_again(world: World, base: str) -> None:
    world.pool.prepare("1", base, "ticketd/next/1", keep_ignored=False)
    assert git(world.pool.path("1"), "status", "--porcelain") == ""
    assert git(world.pool.path("1"), "rev-parse", "HEAD") == base


# --- where HEAD stands ---


def sibling(world: World) -> tuple[Path, str]:
    base = world.tip()
    world.pool.prepare("2", base, "ticketd/other/1", keep_ignored=False)
    tree = world.pool.path("2")
    return tree, commit(tree, {"theirs": "t"})


def test_a_head_on_the_branch_of_another_loses_nobody_s_work(world: World) -> None:
    tree, base = at_work(world)
    other, theirs = sibling(world)
    write(other, {"more": "m"})
    git(tree, "symbolic-ref", "HEAD", "refs/heads/ticketd/other/1")
    git(tree, "reset", "-q", "--hard")
    mine = commit(tree, {"mine": "m"})
    kept = keep(world, base)
    assert git(world.control.path, "rev-parse", kept.tip) == mine
    their_work = world.pool.keep("2", OTHER, base, "left", ADA)
    assert {"theirs", "more"} <= set(their_work.changed)
    assert held(world, their_work, "more") == "m"
    assert git(world.control.path, "merge-base", "--is-ancestor", theirs, their_work.tip) == ""
    is_usable_again(world, base)
    assert git(other, "symbolic-ref", "HEAD") == "refs/heads/ticketd/other/1"


def test_a_reset_to_the_commit_of_another_keeps_what_was_there_before(world: World) -> None:
    tree, base = at_work(world)
    _, theirs = sibling(world)
    mine = commit(tree, {"mine": "m"})
    git(tree, "reset", "-q", "--hard", theirs)
    kept = keep(world, base)
    assert kept.tip == theirs
    aside = git(world.control.path, "for-each-ref", "--format=%(objectname)", f"refs/ticketd-extra/{KEY}").split()
    assert aside == [mine]


def test_a_base_that_was_amended_is_kept_as_it_was_made(world: World) -> None:
    tree, base = at_work(world)
    write(tree, {"mine": "m"})
    git(tree, "add", "-A")
    git(tree, "-c", "user.name=Robot", "commit", "-q", "--amend", "--reset-author", "-m", "rewritten")
    kept = keep(world, base)
    assert kept.changed == ("mine",)
    assert git(world.control.path, "log", "-1", "--format=%an %s", kept.tip) == "Robot rewritten"


def test_commits_without_a_change_change_nothing(world: World) -> None:
    tree, base = at_work(world)
    git(tree, "commit", "-q", "--allow-empty", "-m", "nothing")
    assert keep(world, base).changed == ()


def cherry_pick(tree: Path) -> None:
    two_lines(tree)
    git(tree, "cherry-pick", "side", ok=False)


def revert(tree: Path) -> None:
    two_lines(tree)
    git(tree, "revert", "--no-edit", "HEAD~1", ok=False)


def bisect(tree: Path) -> None:
    two_lines(tree)
    git(tree, "bisect", "start", "HEAD", "HEAD~1")


def stopped_am(tree: Path) -> None:
    two_lines(tree)
    patch = git(tree, "format-patch", "-1", "--stdout", "side").encode() + b"\n"
    git(tree, "am", "-q", stdin=patch, ok=False)


def two_lines(tree: Path) -> None:
    git(tree, "switch", "-q", "-c", "side")
    commit(tree, {"a.txt": "one\n"})
    git(tree, "switch", "-q", "-")
    commit(tree, {"a.txt": "two\n"})
    commit(tree, {"a.txt": "three\n"})
    write(tree, {"mine": "m"})


@pytest.mark.parametrize("leave", [cherry_pick, revert, bisect, stopped_am])
def test_what_was_left_unfinished_is_kept_as_it_stands_and_forgotten(
    world: World, leave: Callable[[Path], None]
) -> None:
    tree, base = at_work(world)
    leave(tree)
    kept = keep(world, base)
    assert held(world, kept, "mine") == "m"
    is_usable_again(world, base)
    assert "bisect" not in git(tree, "status") and "progress" not in git(tree, "status")


# --- what lies in the tree ---


def test_a_file_that_is_too_large_is_in_no_commit_and_the_rest_is_kept(world: World) -> None:
    tree, base = at_work(world)
    write(tree, {"mine": "m", "lar ge": ""})
    os.truncate(tree / "lar ge", 10**9)
    before = git(world.control.path, "count-objects")
    world.pool.look("1", base, base)
    assert git(world.control.path, "count-objects") == before
    kept = keep(world, base)
    assert (kept.changed, kept.too_large, kept.is_whole) == (("mine",), ("lar ge",), False)
    assert (tree / "lar ge").stat().st_size == 10**9


def test_a_known_file_that_has_grown_too_large_is_as_it_was(world: World) -> None:
    tree, base = at_work(world)
    write(tree, {"a.txt": "a" * 2000, "mine": "m"})
    kept = keep(world, base, largest=1000)
    assert (kept.changed, kept.too_large) == (("mine",), ("a.txt",))


def test_nor_does_one_land_that_the_agent_has_committed_by_itself(world: World) -> None:
    tree, base = at_work(world)
    committed = commit(tree, {"large": "a" * 2000, "mine": "m"})
    kept = keep(world, base, largest=1000)
    assert (kept.changed, kept.too_large) == (("mine",), ("large",))
    assert git(world.control.path, "merge-base", "--is-ancestor", committed, kept.tip) == ""


def test_what_is_no_file_is_not_waited_for(world: World) -> None:
    tree, base = at_work(world)
    os.mkfifo(tree / "pipe")
    (tree / "a.txt").unlink()
    os.mkfifo(tree / "a.txt")
    with socket.socket(socket.AF_UNIX) as end:
        here = os.open(tree, os.O_RDONLY)
        end.bind(f"/proc/self/fd/{here}/socket" if Path("/proc/self/fd").is_dir() else str(tree / "socket"))
        os.close(here)
    write(tree, {"mine": "m"})
    world.pool.look("1", base, base)
    kept = keep(world, base)
    assert (kept.changed, kept.nested) == (("mine",), ("a.txt",))
    is_usable_again(world, base)
    assert (tree / "a.txt").is_file()


@pytest.mark.parametrize("name", [".GIT/config", "git~1/config", ".Git", "sub/.GIT/hooks/pre-commit"])
def test_a_name_that_is_git_s_elsewhere_is_named_and_the_rest_is_kept(world: World, name: str) -> None:
    tree, base = at_work(world)
    write(tree, {name: "x", "mine": "m"})
    kept = keep(world, base)
    assert kept.changed == ("mine",)
    assert not kept.is_whole
    assert (tree / name).read_text() == "x"


def test_long_names_and_names_that_differ_by_case_are_kept(world: World) -> None:
    tree, base = at_work(world)
    names = ["n" * 255, "/".join(["d" * 200] * 5), "--upload-pack=x", "README", "readme"]
    write(tree, dict.fromkeys(names, "x"))
    assert sorted(keep(world, base).changed) == sorted(names)
    is_usable_again(world, base)


def test_the_modes_of_a_file_are_no_obstacle_to_root(world: World) -> None:
    tree, base = at_work(world)
    write(tree, {"shut": "s", "mine": "m"})
    (tree / "shut").chmod(0)
    kept = keep(world, base)
    assert "mine" in kept.changed
    assert ("shut" in kept.changed) is kept.is_whole
    is_usable_again(world, base)


def test_a_tree_that_cannot_be_deleted_is_set_aside(world: World) -> None:
    tree, base = at_work(world)
    write(tree, {"mine": "m"})
    keep(world, base)
    if (
        not shutil.which("chattr")
        or subprocess.run(["chattr", "+i", tree / "mine"], check=False, capture_output=True).returncode
    ):
        pytest.skip("no file can be made immutable here: that takes root, and chattr, and a file system that knows it")
    left = None
    try:
        is_usable_again(world, base)
        left = next(path for path in tree.parent.iterdir() if path.name.startswith("1-"))
        assert (left / "mine").read_text() == "m"
    finally:
        subprocess.run(["chattr", "-i", (left or tree) / "mine"], check=True)


@needs_no_root
def test_what_cannot_be_read_is_named_and_the_rest_is_kept(world: World) -> None:
    tree, base = at_work(world)
    write(tree, {"shut": "s", "folder/inner": "i", "mine": "m"})
    (tree / "shut").chmod(0)
    kept = keep(world, base)
    assert (kept.changed, kept.nested) == (("folder/inner", "mine"), ("shut",))


def test_a_submodule_that_an_agent_adds_is_named_and_its_tree_used_again_after(world: World) -> None:
    tree, base = at_work(world)
    git(tree, "submodule", "--quiet", "add", str(world.origin), "vendor/x")
    kept = keep(world, base)
    assert kept.nested == ("vendor/x",)
    assert ".gitmodules" in kept.changed
    is_usable_again(world, base)
    assert not (tree / "vendor/x").exists()


@pytest.mark.parametrize("wrong", ["ignore = all", "update = !touch /tmp/ran"])
def test_what_gitmodules_says_hides_no_repository_and_holds_nothing_up(world: World, wrong: str) -> None:
    tree, base = at_work(world)
    git(tree, "init", "-q", "inner")
    commit(tree / "inner", {"f": "f"})
    git(tree, "add", "inner")
    said = f'[submodule "inner"]\n\tpath = inner\n\turl = x\n\t{wrong}\n'
    commit(tree, {".gitmodules": said})
    kept = keep(world, base)
    assert kept.nested == ("inner",)
    commit(tree / "inner", {"f": "g"})
    git(tree, "update-index", "--cacheinfo", f"160000,{git(tree / 'inner', 'rev-parse', 'HEAD')},inner")
    git(tree, "commit", "-q", "-m", "moved on")
    moved = git(tree, "rev-parse", "HEAD")
    assert world.control.changed(kept.tip, moved) == ("inner",)
    assert world.control.changed_in([(kept.tip, moved)]) == (frozenset({"inner"}),)
    assert "inner" in world.control.moved([kept.tip], moved)[kept.tip].paths


def test_a_tree_whose_link_is_gone_is_kept_and_not_believed(world: World) -> None:
    tree, base = at_work(world)
    commit(tree, {"mine": "m"})
    for path in (tree / "a.txt", tree / ".git"):
        path.unlink()
    assert world.mended("1", live=[KEY]) == []  # to a daemon that follows on one just killed
    kept = keep(world, base)
    assert kept.changed == ("mine",)  # an attempt that is lost is gone on from as it was kept
    assert (kept.unread, kept.is_whole) == ("its .git is gone", True)
    is_usable_again(world, base)


def test_a_repository_inside_that_has_moved_on_is_known_by_its_head(world: World) -> None:
    tree, base = at_work(world)
    git(tree, "init", "-q", "inner")
    commit(tree / "inner", {"f": "f"})
    git(tree, "add", "inner")
    now = commit(tree / "inner", {"f": "g"})
    kept = keep(world, base)
    assert git(world.control.path, "rev-parse", f"{kept.tip}:inner") == now
    assert kept.nested == ("inner",)


# --- the git directory ---


def test_a_pipe_or_a_link_for_an_index_is_not_waited_for(world: World, tmp_path: Path) -> None:
    tree, base = at_work(world)
    index = world.control.path / "worktrees/1/index"
    write(tree, {"mine": "m"})
    for plant in (lambda: os.mkfifo(index), lambda: index.symlink_to("/dev/zero")):
        index.unlink()
        plant()
        assert keep(world, base).changed == ("mine",)
    is_usable_again(world, base)


@pytest.mark.parametrize("plant", [Path.mkdir, os.mkfifo])
@pytest.mark.parametrize("files", [("index", "ORIG_HEAD", "MERGE_HEAD", "locked"), ("HEAD",), ("gitdir", "commondir")])
def test_a_tree_is_of_use_again_whatever_stood_in_its_git_directory(
    world: World, files: tuple[str, ...], plant: Callable[[Path], None]
) -> None:
    tree, base = at_work(world)
    write(tree, {"mine": "m"})
    for path in (world.control.path / "worktrees/1" / file for file in files):
        path.unlink(missing_ok=True)
        plant(path)
    world.pool.watch(["1"], KEY)
    assert keep(world, base).changed == ("mine",)
    is_usable_again(world, base)


def test_a_link_for_a_git_directory_is_not_followed(world: World) -> None:
    tree, base = at_work(world)
    write(tree, {"mine": "m"})
    admin = world.control.path / "worktrees/1"
    admin.rename(admin.with_name("moved-away"))
    admin.symlink_to(world.user / ".git")
    before = {path: path.read_bytes() for path in sorted((world.user / ".git").rglob("*")) if path.is_file()}
    assert keep(world, base).changed == ("mine",)
    world.pool.watch(["1"], KEY)
    is_usable_again(world, base)
    assert {p: p.read_bytes() for p in sorted((world.user / ".git").rglob("*")) if p.is_file()} == before


def test_a_worktree_and_git_s_side_of_it_may_both_be_gone(world: World) -> None:
    tree, base = at_work(world)
    done = commit(tree, {"mine": "m"})
    tree.rename(tree.with_name("taken-away"))
    admin = world.control.path / "worktrees/1"
    admin.rename(world.control.path.with_name("taken-away"))
    assert keep(world, base).tip == done
    is_usable_again(world, base)


def test_planted_locks_keep_nobody_s_work_from_being_kept(world: World) -> None:
    tree, base = at_work(world)
    write(tree, {"mine": "m"})
    of_tree = ("worktrees/1/index.lock", "worktrees/1/HEAD.lock")
    of_refs = (f"{KEY.ref}.lock", "refs/heads/ticketd/fix-it/1.lock", "refs/heads/ticketd/next/1.lock")
    for lock in (*of_tree, *of_refs, "packed-refs.lock", "HEAD.lock", "config.lock", "index.lock"):
        (world.control.path / lock).parent.mkdir(parents=True, exist_ok=True)
        (world.control.path / lock).write_text("")
    assert keep(world, base).changed == ("mine",)
    is_usable_again(world, base)


def test_grafts_and_commit_graphs_that_lie_are_not_believed(world: World) -> None:
    tree, base = at_work(world)
    first, second = commit(tree, {"one": "1"}), commit(tree, {"two": "2"})
    git(tree, "commit-graph", "write", "--reachable")
    assert list((world.control.path / "objects/info").glob("commit-graph*"))
    (world.control.path / "objects/info/commit-graph").unlink()
    write(world.control.path, {"info/grafts": f"{second}\n", "objects/info/commit-graph": "rubbish"})
    assert world.control.count(base, second) == 2
    assert world.control.contains(second, first)


def test_objects_from_elsewhere_are_no_part_of_what_is_kept(world: World, tmp_path: Path) -> None:
    """A commit that only another repository holds goes with it; so it counts as missing from the start."""
    tree, base = at_work(world)
    write(tree, {"mine": "m"})
    (world.control.path / "objects/info").mkdir(exist_ok=True)
    elsewhere = world.other
    theirs = commit(elsewhere, {"else": "e"})
    (world.control.path / "objects/info/alternates").write_text(f"{elsewhere}/.git/objects\n")
    git(tree, "update-ref", "--no-deref", "HEAD", theirs)
    assert world.pool.watch(["1"], KEY) == Watched(("objects/info/alternates put back",))
    kept = keep(world, base)
    assert git(world.control.path, "rev-list", "--objects", kept.tip)
    assert held(world, kept, "mine") == "m"


# --- what ticketd itself writes into a tree ---


def test_what_git_reads_by_itself_is_not_waited_for_either(world: World) -> None:
    tree, base = at_work(world)
    write(tree, {"mine": "m", "sub/inner/x": "x"})
    (tree / "sub/.git").mkdir()
    pipes = (
        ".gitignore",
        ".gitattributes",
        ".gitmodules",
        "sub/.gitignore",
        "sub/inner/.gitattributes",
        "sub/.git/HEAD",
    )
    (tree / ".gitignore").unlink()
    for name in (*pipes, "theirs"):
        os.mkfifo(tree / name)
    assert set(keep(world, base).changed) >= {".gitignore", "mine"}
    assert (tree / "theirs").is_fifo()
    is_usable_again(world, base)


def test_copies_are_written_through_no_link_and_into_no_pipe(tmp_path: Path) -> None:
    root, tree, outside = tmp_path / "root", tmp_path / "tree", tmp_path / "outside"
    write(root, {".env": "secret", "conf/local": "l", "pipe": "p", "folder": "f"})
    tree.mkdir()
    outside.mkdir()
    (tree / "conf").symlink_to(outside)
    (tree / ".env").symlink_to(outside / "env")
    os.mkfifo(tree / "pipe")
    write(tree, {"folder/inner": "i"})
    copy_files(root, tree, (".env", "conf/local", "pipe", "folder"))
    assert list(outside.iterdir()) == []
    assert {p.name: p.read_text() for p in tree.iterdir() if p.is_file()} == {
        ".env": "secret",
        "pipe": "p",
        "folder": "f",
    }
