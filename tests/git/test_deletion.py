"""A worktree is deleted only if nothing is lost with it: whatever else there is keeps it, and is told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from gitworld import ADA, KEY, World, commit, git, write

Do = Callable[[World, Path], object]


@pytest.fixture
def tree(world: World) -> Path:
    """A free tree of the pool; what an agent did in it is kept."""
    base = world.tip()
    world.pool.prepare("1", base, f"ticketd/{KEY}", keep_ignored=False)
    commit(world.pool.path("1"), {"mine": "work"})
    kept = world.pool.keep("1", KEY, base, "left over", ADA)
    world.pool.prepare("1", kept.tip, None, keep_ignored=False)
    return world.pool.path("1")


def discard(world: World, set_up: bool = False) -> str:
    return world.pool.discard("1", set_up, [".env"])


def test_a_tree_whose_work_is_kept_goes_and_is_made_anew_when_it_is_wanted(world: World, tree: Path) -> None:
    write(tree, {"src/__pycache__/b.pyc": "made again"})
    (world.state / "own.git/info/exclude").write_text("__pycache__\n.env\n")
    write(tree, {".env": "it was given that"})
    assert discard(world) == ""
    assert not tree.exists() and not (world.control.path / "worktrees/1").exists()
    assert not list(tree.parent.glob(".1.going"))
    world.pool.prepare("1", world.tip(), None, keep_ignored=False)
    assert (tree / "a.txt").exists()


def on_another_branch(world: World, tree: Path) -> None:
    git(tree, "checkout", "-q", "-b", "elsewhere")
    commit(tree, {"idea": "unpushed"})
    git(tree, "checkout", "-q", "--detach", "HEAD~1")


def stash(world: World, tree: Path) -> None:
    write(tree, {"a.txt": "stashed"})
    git(tree, "stash", "-q")


def unfinished_merge(world: World, tree: Path) -> None:
    (world.control.path / "worktrees/1/MERGE_HEAD").write_text(git(tree, "rev-parse", "HEAD") + "\n")


def hidden_change(world: World, tree: Path) -> None:
    git(tree, "update-index", "--assume-unchanged", "a.txt")
    write(tree, {"a.txt": "hidden"})


def committed_repository(world: World, tree: Path) -> None:
    git(tree, "init", "-q", "inner")
    commit(tree / "inner", {"x": "only here"})
    git(tree, "add", "inner")
    git(tree, "commit", "-q", "-m", "a gitlink")
    world.control.keep("refs/ticketd-extra/fix-it/1/1", git(tree, "rev-parse", "HEAD"))


def replaced_by_a_link(world: World, tree: Path) -> None:
    tree.rename(world.state / "elsewhere")
    tree.symlink_to(world.state / "elsewhere")


KEPT: dict[str, tuple[Do, str]] = {
    "a change": (lambda _, tree: write(tree, {"a.txt": "new"}), "an uncommitted change: a.txt"),
    "a staged change": (lambda _, tree: (write(tree, {"n": "n"}), git(tree, "add", "n")), "an uncommitted change: n"),
    "an untracked file": (lambda _, tree: write(tree, {"new/er": "x"}), "an untracked file: new/er"),
    "an ignored file": (lambda _, tree: write(tree, {"run.log": "x"}), "an ignored file: run.log"),
    "a commit on another branch": (on_another_branch, "is nowhere else"),
    "a detached commit": (lambda _, tree: commit(tree, {"b": "b"}), "is nowhere else"),
    "a commit reset away": (
        lambda _, tree: (commit(tree, {"b": "b"}), git(tree, "reset", "-q", "--hard", "HEAD~1")),
        "is nowhere else",
    ),
    "a stash": (stash, "is nowhere else"),
    "an unfinished merge": (unfinished_merge, "unfinished in it (MERGE_HEAD)"),
    "a hidden change": (hidden_change, "changes may be hidden in it: a.txt"),
    "a repository inside": (
        lambda _, tree: (git(tree, "init", "-q", "inner"), commit(tree / "inner", {"x": "x"})),
        "an untracked file: inner/",
    ),
    "a repository inside, committed": (committed_repository, "a repository inside: inner"),
    "a repository of its own": (
        lambda _, tree: ((tree / ".git").unlink(), git(tree, "init", "-q")),
        "git cannot read it",
    ),
    "no entry": (lambda world, _: (world.control.path / "worktrees/1/HEAD").unlink(), "git cannot read it"),
    "a symbolic link in its place": (replaced_by_a_link, "a symbolic link stands in its place"),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_is_nowhere_else_keeps_it(world: World, tree: Path, what: str) -> None:
    do, told = KEPT[what]
    do(world, tree)
    before = sorted(tree.rglob("*"))
    assert told in discard(world)
    assert sorted(tree.rglob("*")) == before


def test_what_an_agent_left_uncommitted_does_not_keep_it_as_long_as_it_is_what_was_kept(
    world: World, tree: Path
) -> None:
    world.pool.prepare("1", world.tip(), f"ticketd/{KEY}", keep_ignored=False)
    write(tree, {"a.txt": "changed", "src/new.py": "new"})
    world.pool.keep("1", KEY, world.tip(), "left over", ADA)
    write(tree, {"src/new.py": "changed since"})
    assert "it holds an un" in discard(world)
    write(tree, {"src/new.py": "new"})
    assert discard(world) == ""


def test_a_link_in_place_of_the_worktrees_directory_keeps_all(world: World, tree: Path) -> None:
    tree.parent.rename(world.state / "elsewhere")
    tree.parent.symlink_to(world.state / "elsewhere")
    assert "symbolic link" in discard(world)
    assert (world.state / "elsewhere/1/a.txt").exists()


def test_a_process_that_works_in_it_keeps_it(world: World, tree: Path) -> None:
    if not Path("/proc/self/cwd").exists():
        pytest.skip("there is no /proc to see processes by")
    with subprocess.Popen(["cat"], cwd=tree / "src", stdin=subprocess.PIPE) as process:
        assert discard(world) == f"process {process.pid} works in it"
    assert discard(world) == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_directory_that_cannot_be_read_keeps_it(world: World, tree: Path) -> None:
    write(tree, {"closed/secret": "x"})
    (tree / "closed").chmod(0)
    assert "git cannot read all of it" in discard(world)
    (tree / "closed").chmod(0o700)


def test_what_setup_has_made_does_not_keep_it(world: World, tree: Path) -> None:
    write(tree, {"build/out": "made by setup"})
    assert "build/" in discard(world)
    assert discard(world, set_up=True) == ""
