"""What a killed git, a machine that went down, or an agent leaves in the control repository, planted one by one: found,
mended, and git works again."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from gitworld import ADA, KEY, World, commit, git, write

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.recovery import EXTRA, Left, Records, reconcile

LOCKS = (
    *("HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock", "gc.pid", "objects/maintenance.lock"),
    *("refs/heads/ticketd/fix-it/1.lock", "refs/ticketd/fix-it/1.lock", "objects/info/commit-graphs/graph.lock"),
    *("worktrees/1/index.lock", "worktrees/1/HEAD.lock", "worktrees/1/logs/HEAD.lock", "objects/pack/multi.lock"),
)
HALVES = ("objects/aa/tmp_obj_xyz", "objects/pack/tmp_pack_xyz", "objects/pack/tmp_idx_xyz")


@pytest.fixture
def attempt(world: World) -> str:
    """The commit of an attempt that has ended and is kept; its worktree stands in the pool."""
    base = world.tip()
    world.pool.prepare("1", base, f"ticketd/{KEY}", keep_ignored=False)
    commit(world.pool.path("1"), {"mine": "work"})
    tip = world.pool.keep("1", KEY, base, "left over", ADA).tip
    world.pool.prepare("1", tip, None, keep_ignored=False)
    return tip


def plant(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def stays(world: World, *names: str) -> list[Left]:
    found = world.pool.found(names, [], True, time.time())
    decided = reconcile(Records(frozenset(names), frozenset(), {}), found)
    return [each for each in decided if isinstance(each, Left)]


def works_again(world: World) -> None:
    world.move_target({"late": "theirs"})
    base = world.tip()
    world.pool.prepare("1", base, "ticketd/next/1", keep_ignored=False)
    commit(world.pool.path("1"), {"more": "work"})
    world.pool.keep("1", AttemptKey("next", 1), base, "left over", ADA)
    assert git(world.control.path, "fsck", "--no-dangling") == ""


# --- locks and halves -----------------------------------------------------------------------------------------------


def test_every_lock_and_half_written_object_goes_and_git_works_again(world: World, attempt: str) -> None:
    planted = [plant(world.control.path / name) for name in (*LOCKS, *HALVES)]
    planted += [plant(world.state / "gate.git" / "HEAD.lock"), plant(world.control.path / "objects/incoming-x/pack")]
    assert world.mended("1", ended={KEY: attempt})
    assert not [path for path in planted if path.exists()]
    works_again(world)


def test_no_lock_goes_while_a_git_lives_that_the_daemon_left_behind_and_each_does_afterwards(world: World) -> None:
    lock, half = plant(world.control.path / LOCKS[0]), plant(world.control.path / HALVES[0])
    env = {**os.environ, "GIT_DIR": str(world.control.path)}
    waiting = subprocess.Popen(["git", "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    assert waiting.stdin is not None and waiting.stdout is not None
    waiting.stdin.write(b"HEAD\n")
    waiting.stdin.flush()
    waiting.stdout.readline()  # it is git by now, and no more the process that is to become it
    assert world.mended() == []
    assert lock.exists() and half.exists()
    assert [left.what for left in stays(world)] == ["control.git/HEAD.lock"]
    waiting.communicate()
    assert len(world.mended()) == 2
    assert not lock.exists() and not half.exists()


def test_a_lock_that_came_after_the_look_is_left(world: World) -> None:
    lock = plant(world.control.path / LOCKS[0])
    found = world.pool.found([], [], True, time.time())
    (mend,) = reconcile(Records(frozenset(), frozenset(), {}), found)
    lock.unlink()
    plant(lock.with_name("another"))  # it takes the place on the disk that has become free
    plant(lock)
    assert not isinstance(mend, Left) and not world.pool.mend(mend)
    assert lock.exists()


def test_while_a_daemon_runs_only_old_locks_and_temporary_files_are_nobodys(world: World) -> None:
    """The daemon writes objects itself, and not every program that holds a lock is called git."""
    young, old = plant(world.control.path / HALVES[0]), plant(world.control.path / HALVES[1])
    held = plant(world.control.path / "packed-refs.lock")
    for name in ("trial-young", "trial-old"):
        (world.state / name).mkdir()
    for path in (old, world.state / "trial-old"):
        os.utime(path, (1.0, 1.0))
    found = replace(world.pool.found([], [], False, time.time()), at_rest=False)
    for mend in reconcile(Records(frozenset(), frozenset(), {}), found):
        assert not isinstance(mend, Left) and world.pool.mend(mend)
    assert (young.exists(), old.exists(), held.exists()) == (True, False, True)
    assert [path.name for path in world.state.glob("trial-*")] == ["trial-young"]


def test_a_link_among_the_directories_of_git_is_not_followed(world: World, tmp_path: Path) -> None:
    precious = plant(tmp_path / "precious" / "tmp_obj_x")
    (world.control.path / "objects" / "aa").symlink_to(precious.parent)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        world.mended()
    assert precious.exists()


# --- worktrees ------------------------------------------------------------------------------------------------------


def test_a_head_that_names_no_commit_keeps_nobody_from_fetching(world: World, attempt: str) -> None:
    head = world.control.path / "worktrees/1/HEAD"
    head.write_text("1" * 40 + "\n")
    world.move_target({"late": "theirs"})
    fetch = ("fetch", "-q", str(world.origin), "main")
    assert subprocess.run(["git", *fetch], cwd=world.control.path, capture_output=True, check=False).returncode
    assert world.mended("1", ended={KEY: attempt}) == ["HEAD of worktree 1 named a commit that is not there"]
    git(world.control.path, *fetch)
    works_again(world)


def test_a_half_made_entry_goes_and_the_files_stay(world: World, attempt: str) -> None:
    write(world.pool.path("1"), {"files": "stay"})
    (world.control.path / "worktrees/1/HEAD").unlink()
    assert world.mended("1", ended={KEY: attempt}) == ["removed the half-made entry of worktree 1"]
    assert (world.pool.path("1") / "files").exists()
    works_again(world)


def test_what_is_no_tree_of_ours_is_left_and_told(world: World, attempt: str, tmp_path: Path) -> None:
    write(world.state / "worktrees" / "notes", {"of": "a person"})
    git(world.pool.path("1"), "worktree", "add", "-q", "--detach", str(tmp_path / "agents-own"))
    (world.state / "worktrees" / "9").symlink_to(tmp_path)
    assert world.mended("1", ended={KEY: attempt}) == []
    told = {left.what: left.why for left in stays(world, "1")}
    assert set(told) >= {"worktrees/notes", "control.git/worktrees/agents-own", "worktrees/9"}
    assert (tmp_path / "agents-own" / "a.txt").exists()
    assert (world.state / "worktrees" / "notes" / "of").exists()


def test_an_unfinished_rebase_in_a_tree_at_rest_is_gone_when_the_next_attempt_has_it(world: World) -> None:
    base = world.tip()
    world.pool.prepare("1", base, f"ticketd/{KEY}", keep_ignored=False)
    tree = world.pool.path("1")
    commit(tree, {"a.txt": "mine"})
    git(tree, "checkout", "-q", "--detach", base)
    theirs = commit(tree, {"a.txt": "theirs"})
    git(tree, "checkout", "-q", f"ticketd/{KEY}")
    git(tree, "rebase", "-q", theirs, ok=False)
    assert (world.control.path / "worktrees/1/rebase-merge").is_dir()
    plant(world.control.path / "worktrees/1/index.lock")
    tip = world.pool.keep("1", KEY, base, "left over", ADA).tip
    world.mended("1", ended={KEY: tip})
    works_again(world)
    assert not (world.control.path / "worktrees/1/rebase-merge").exists()


# --- refs -----------------------------------------------------------------------------------------------------------


def test_an_attempts_ref_that_was_deleted_or_moved_is_put_back_and_what_it_was_moved_to_is_kept(
    world: World, attempt: str
) -> None:
    git(world.control.path, "update-ref", "-d", KEY.ref)
    assert world.mended("1", ended={KEY: attempt}) == [f"put {KEY.ref} back"]
    other = git(world.control.path, "commit-tree", f"{attempt}^{{tree}}", "-m", "forged")
    git(world.control.path, "update-ref", KEY.ref, other)
    world.mended("1", ended={KEY: attempt})
    assert world.control.read_ref(KEY.ref) == attempt
    assert world.control.read_ref(f"{EXTRA}/in-the-way/{other}") == other


@pytest.mark.parametrize("content", [b"", b"\0" * 41, b"nonsense\n"])
def test_a_ref_that_a_power_loss_has_emptied_is_written_anew(world: World, attempt: str, content: bytes) -> None:
    (world.control.path / KEY.ref).write_bytes(content)
    world.mended("1", ended={KEY: attempt})
    assert world.control.read_ref(KEY.ref) == attempt
    assert world.mended("1", ended={KEY: attempt}) == []
    works_again(world)


def test_a_commit_that_is_gone_is_told_and_nothing_is_made_up(world: World) -> None:
    world.tip()
    lost = {KEY: "1" * 40}
    assert world.mended(ended=lost) == []
    decided = reconcile(Records(frozenset(), frozenset(), lost), world.pool.found([], ["1" * 40], True, time.time()))
    assert [each.what for each in decided] == [KEY.ref]


def test_branches_of_closed_attempts_go_and_what_only_they_held_is_kept(world: World, attempt: str) -> None:
    control = world.control.path
    only = git(control, "commit-tree", f"{attempt}^{{tree}}", "-p", attempt, "-m", "only here")
    git(control, "update-ref", "refs/heads/agents-idea", only)
    git(control, "update-ref", f"refs/heads/ticketd/{KEY}", attempt)
    world.mended("1", ended={KEY: attempt})
    assert git(control, "for-each-ref", "--format=%(refname)", "refs/heads") == ""
    assert world.control.read_ref(f"{EXTRA}/branches/{only}") == only


def test_a_branch_that_a_worktree_is_on_stays(world: World) -> None:
    base = world.tip()
    world.pool.prepare("1", base, f"ticketd/{KEY}", keep_ignored=False)
    world.control.keep(KEY.ref, base)
    assert world.mended("1", ended={KEY: base}) == []
    assert world.control.read_ref(f"refs/heads/ticketd/{KEY}") == base


def test_refs_that_would_keep_the_next_attempt_from_its_own_are_moved(world: World, attempt: str) -> None:
    control = world.control.path
    for name in ("refs/ticketd/next", "refs/heads/ticketd/next"):
        git(control, "update-ref", name, attempt)
    assert len(world.mended("1", ended={KEY: attempt})) == 2
    assert world.control.read_ref(f"{EXTRA}/in-the-way/{attempt}") == attempt
    works_again(world)
