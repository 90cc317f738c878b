"""Slots that are clones: what is the agent's own stays there, its work comes out, and nothing of it runs here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gitworld import ADA, KEY, World, commit, git, write

from ticketd.errors import GitFailed
from ticketd.git.repository import find
from ticketd.git.worktrees import Layout
from ticketd.ports import Kept, Tried

pytestmark = pytest.mark.parametrize("world", [Layout.CLONE], indirect=True, ids=["clone"])


def fresh(world: World, name: str = "1") -> tuple[Path, str]:
    base = world.tip()
    world.pool.prepare(name, base, "ticketd/fix-it/1", keep_ignored=False)
    return world.pool.path(name), base


def keep(world: World, base: str) -> Kept:
    return world.pool.keep("1", KEY, base, "left", ADA)


def kept_aside(world: World) -> set[str]:
    return set(git(world.control.path, "for-each-ref", "--format=%(objectname)", "refs/ticketd-extra/fix-it/1").split())


def shared(world: World) -> dict[str, str]:
    """What trees that are linked would share."""
    control = world.control.path
    return {
        "refs": git(control, "for-each-ref", "refs/heads", "refs/tags", "refs/stash"),
        "config": (control / "config").read_text(),
        "hooks": " ".join(sorted(path.name for path in (control / "hooks").glob("*"))),
    }


def test_refs_config_hooks_and_stash_are_the_agents_own(world: World) -> None:
    tree, _ = fresh(world)
    before = shared(world)
    write(tree, {"a.txt": "stashed\n"})
    git(tree, "stash")
    git(tree, "config", "core.fsmonitor", "touch /nowhere")
    git(tree, "branch", "mine")
    git(tree, "tag", "v1")
    (tree / ".git/hooks").mkdir(exist_ok=True)
    (tree / ".git/hooks/pre-commit").write_text("#!/bin/sh\nexit 1\n")
    git(tree, "gc", "-q", "--prune=now")
    assert shared(world) == before
    assert git(world.control.path, "fsck", "--connectivity-only") == ""


def test_what_one_agent_has_configured_is_gone_for_the_next(world: World) -> None:
    tree, base = fresh(world)
    git(tree, "config", "alias.st", "!touch ran")
    (tree / ".git/hooks").mkdir(exist_ok=True)
    (tree / ".git/hooks/post-checkout").write_text("#!/bin/sh\n")
    keep(world, base)
    world.pool.prepare("1", base, "ticketd/next/1", keep_ignored=False)
    assert git(tree, "config", "--get", "alias.st", ok=False) == ""
    assert not (tree / ".git/hooks").exists()


def test_a_clone_has_the_target_fetches_from_the_gate_and_knows_the_commit_without_copies(world: World) -> None:
    tree, base = fresh(world)
    assert git(tree, "rev-parse", "origin/main") == base
    moved = world.move_target({"theirs": "t"})
    world.tip()
    git(tree, "fetch", "-q")
    assert git(tree, "rev-parse", "origin/main") == moved
    assert git(tree, "count-objects") == "0 objects, 0 kilobytes"
    assert git(tree, "status", "--porcelain") == ""


def test_stash_branches_tags_and_a_half_done_rebase_are_kept(world: World) -> None:
    tree, base = fresh(world)
    write(tree, {"a.txt": "stashed\n"})
    git(tree, "stash")
    stashed = git(tree, "rev-parse", "stash")
    git(tree, "switch", "-q", "-c", "side")
    side = commit(tree, {"a.txt": "one\n"})
    git(tree, "tag", "-a", "-m", "v1", "v1")
    git(tree, "switch", "-q", "ticketd/fix-it/1")
    own = commit(tree, {"a.txt": "two\n"})
    git(tree, "pack-refs", "--all")
    git(tree, "rebase", "side", ok=False)
    keep(world, base)
    assert all(world.control.is_safe(sha) for sha in (stashed, side, own))
    assert stashed in kept_aside(world)


def test_a_command_in_a_clone_is_about_the_repository_that_it_is_for(world: World) -> None:
    tree, _ = fresh(world)
    assert find(tree / "src").root == world.user.resolve()


def test_what_has_been_repacked_is_kept_as_well(world: World) -> None:
    tree, base = fresh(world)
    commit(tree, {"c": "c"})
    tip = commit(tree, {"d": "d"})
    git(tree, "gc", "-q")
    assert keep(world, base) == Kept(tip, ("c", "d"))


def test_what_is_staged_is_kept_though_only_the_clone_has_its_content(world: World) -> None:
    """Of a file as old as this one git believes the index."""
    tree, base = fresh(world)
    write(tree, {"staged": "s"})
    os.utime(tree / "staged", (1e9, 1e9))
    git(tree, "add", "staged")
    assert world.pool.look("1", base, base).written == ("staged",)
    kept = keep(world, base)
    assert kept.changed == ("staged",)
    assert git(world.control.path, "show", f"{kept.tip}:staged") == "s"


def test_a_look_brings_commits_that_survive_the_clone(world: World) -> None:
    tree, base = fresh(world)
    tip = commit(tree, {"c": "c"})
    assert world.pool.look("1", base, base).written == ("c",)
    shutil.rmtree(tree)
    kept = keep(world, base)
    assert (kept.tip, kept.changed) == (tip, ("c",))
    assert kept.unread == "its repository (.git) is gone"


def test_what_a_look_has_seen_is_kept_though_the_agent_has_amended_and_pruned_it(world: World) -> None:
    tree, base = fresh(world)
    first = commit(tree, {"c": "c"})
    world.pool.look("1", base, base)
    git(tree, "commit", "-q", "--amend", "-m", "better")
    git(tree, "reflog", "expire", "--expire=now", "--all")
    git(tree, "gc", "-q", "--prune=now")
    assert git(tree, "cat-file", "-e", first, ok=False) == ""
    tip = keep(world, base).tip
    assert tip == git(tree, "rev-parse", "HEAD") != first
    assert first in kept_aside(world)


def test_a_trial_and_the_gate_see_what_is_committed_in_a_clone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, base = fresh(world)
    tip = commit(tree, {"a.txt": "mine\n"})
    onto = world.move_target({"a.txt": "theirs\n"})
    world.tip()
    assert world.pool.trials([Tried("1", base, ("a.txt",), ("a.txt",))], onto) == (("a.txt",),)
    monkeypatch.setenv("TICKETD_TICKET", KEY.ticket)
    monkeypatch.setenv("TICKETD_ATTEMPT", str(KEY.number))
    commit(tree, {"later": "l"})
    git(tree, "push", "-q", "origin", f"{tip}:refs/heads/main")
    assert world.control.read_ref(KEY.ref) == tip


def test_a_merge_that_is_begun_for_the_agent_is_under_way_in_its_clone(world: World) -> None:
    base = world.tip()
    mine = commit(world.other, {"a.txt": "mine\n"})
    git(world.other, "push", "-q", "origin", f"{mine}:refs/heads/side")
    git(world.control.path, "fetch", "-q", str(world.origin), "side")
    git(world.other, "reset", "-q", "--hard", base)
    onto = world.move_target({"a.txt": "theirs\n"})
    world.tip()
    world.pool.prepare("1", mine, "ticketd/fix-it/1", keep_ignored=False)
    tree = world.pool.path("1")
    assert world.pool.begin_merge("1", onto) == ("a.txt",)
    assert git(tree, "ls-files", "--unmerged") != ""
    assert keep(world, base).undecided == ("a.txt",)
    write(tree, {"a.txt": "both\n"})
    git(tree, "commit", "-q", "-a", "--no-edit")
    kept = keep(world, base)
    assert git(world.control.path, "log", "-1", "--format=%P", kept.tip).split() == [mine, onto]
    assert kept.undecided == ()


def test_a_tree_can_become_a_clone_and_a_linked_worktree_again(world: World) -> None:
    tree, base = fresh(world)
    inode = (tree / "a.txt").stat().st_ino
    linked = type(world.pool)(world.control)
    linked.prepare("1", base, "ticketd/fix-it/2", keep_ignored=False)
    assert (tree / ".git").is_file()
    assert git(tree, "symbolic-ref", "HEAD") == "refs/heads/ticketd/fix-it/2"
    world.pool.prepare("1", base, "ticketd/fix-it/3", keep_ignored=False)
    assert git(tree, "symbolic-ref", "HEAD") == "refs/heads/ticketd/fix-it/3"
    assert (tree / "a.txt").stat().st_ino == inode, "the files were not written anew"


def test_what_was_never_kept_is_kept_when_its_clone_is_made_anew(world: World) -> None:
    tree, base = fresh(world)
    tip = commit(tree, {"c": "c"})
    world.pool.prepare("1", base, "ticketd/fix-it/2", keep_ignored=False)
    assert world.control.is_safe(tip)


def test_looks_at_the_same_clone_at_once_do_not_disturb_each_other_or_what_is_kept(world: World) -> None:
    tree, base = fresh(world)
    for turn in range(4):
        tip = commit(tree, {"c": f"{turn}\n"})
        with ThreadPoolExecutor(4) as threads:
            looks = [threads.submit(world.pool.look, "1", base, base) for _ in range(3)]
            kept = threads.submit(keep, world, base).result()
        assert (kept.tip, kept.unread) == (tip, "")
        assert {look.result().written for look in looks} == {("c",)}


@pytest.mark.parametrize("what", ["kill -9 $$", "echo 'fatal: write error: No space left on device' >&2; exit 128"])
def test_a_fetch_that_the_machine_has_ended_is_no_fault_of_the_agent(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    tree, base = fresh(world)
    tip = commit(tree, {"c": "c"})
    (tmp_path / "bin").mkdir()
    false_git = tmp_path / "bin/git"
    false_git.write_text(f'#!/bin/sh\ncase " $* " in *" fetch "*) {what};; esac\nexec {shutil.which("git")} "$@"\n')
    false_git.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{false_git.parent}:{os.environ['PATH']}")
        with pytest.raises(GitFailed):
            keep(world, base)
    assert keep(world, base) == Kept(tip, ("c",))


# --- an agent that means harm ---


def gone(tree: Path, _: Path) -> None:
    shutil.rmtree(tree / ".git")


def another_by_a_link_file(tree: Path, elsewhere: Path) -> None:
    shutil.rmtree(tree / ".git")
    (tree / ".git").write_text(f"gitdir: {elsewhere / '.git'}\n")


def another_by_a_symlink(tree: Path, elsewhere: Path) -> None:
    shutil.rmtree(tree / ".git")
    (tree / ".git").symlink_to(elsewhere / ".git")


def objects_elsewhere(tree: Path, elsewhere: Path) -> None:
    shutil.rmtree(tree / ".git/objects")
    (tree / ".git/objects").symlink_to(elsewhere / ".git/objects")


def another_to_borrow_from(tree: Path, elsewhere: Path) -> None:
    with (tree / ".git/objects/info/alternates").open("a") as file:
        file.write(f"{elsewhere / '.git/objects'}\n")
    (tree / ".git/HEAD").write_text(git(elsewhere, "rev-parse", "HEAD") + "\n")


def pipes(tree: Path, _: Path) -> None:
    (tree / ".git/HEAD").unlink()
    os.mkfifo(tree / ".git/HEAD")
    (tree / ".git/objects/info/alternates").unlink()
    os.mkfifo(tree / ".git/objects/info/alternates")
    os.mkfifo(tree / ".git/refs/heads/pipe")


def a_head_that_is_not_there(tree: Path, _: Path) -> None:
    (tree / ".git/HEAD").write_text("1" * 40 + "\n")


def a_commit_without_its_files(tree: Path, _: Path) -> None:
    commit(tree, {"lost": "lost"})
    blob = git(tree, "rev-parse", "HEAD:lost")
    (tree / ".git/objects" / blob[:2] / blob[2:]).unlink()


def a_folder_that_poses_as_git(tree: Path, _: Path) -> None:
    """What `git clone --local` of it would take for its own: refused by fsck."""
    blob = git(tree, "hash-object", "-w", "--stdin", stdin=b"[core]\n\tfsmonitor = touch ran\n")
    inner = git(tree, "mktree", stdin=f"100644 blob {blob}\tconfig\n".encode())
    outer = git(tree, "mktree", stdin=f"040000 tree {inner}\t.git\n".encode())
    git(tree, "update-ref", "HEAD", git(tree, "commit-tree", outer, "-p", "HEAD", "-m", "evil"))


HARMS = [gone, another_by_a_link_file, another_by_a_symlink, objects_elsewhere, another_to_borrow_from, pipes]
HARMS += [a_head_that_is_not_there, a_commit_without_its_files, a_folder_that_poses_as_git]


@pytest.mark.parametrize("harm", HARMS)
def test_a_clone_that_is_not_what_it_was_is_told_and_its_files_are_kept(
    world: World, tmp_path: Path, harm: Callable[[Path, Path], None]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    git(tmp_path, "init", "-q", str(elsewhere))
    secret = commit(elsewhere, {"secret": "s"})
    tree, base = fresh(world)
    tip = commit(tree, {"c": "c"})
    world.pool.look("1", base, base)
    write(tree, {"mine": "work"})
    harm(tree, elsewhere)
    kept = keep(world, base)
    assert kept.unread != ""
    assert ".git" in kept.nested, "such a tree is not used again"
    assert git(world.control.path, "rev-parse", f"{kept.tip}~1") == tip, "on top of what was last known"
    assert {"c", "mine"} <= set(kept.changed)
    assert world.control.read_ref(secret) is None
    assert git(world.control.path, "fsck", "--connectivity-only", "--no-dangling") == ""


def test_nothing_that_an_agent_configures_runs_here(world: World, tmp_path: Path) -> None:
    tree, base = fresh(world)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    write(tree, {".gitattributes": "* filter=evil diff=evil merge=evil\n", "mine": "work"})
    commit(tree, {"c": "c"})
    included = tmp_path / "included"
    included.write_text(f"[core]\n\tfsmonitor = {program}\n")
    for key in (
        *("core.fsmonitor", "core.sshCommand", "core.alternateRefsCommand", "core.gitProxy", "core.editor"),
        *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv", "diff.evil.command"),
        *("merge.evil.driver", "uploadpack.packObjectsHook", "remote.origin.uploadpack", "gpg.program", "core.pager"),
    ):
        git(tree, "config", key, str(program))
    git(tree, "config", "core.hooksPath", str(tmp_path))
    git(tree, "config", "include.path", str(included))
    for hook in ("reference-transaction", "post-index-change", "pre-commit", "post-checkout", "pre-auto-gc"):
        shutil.copy(program, tmp_path / hook)
    (tree / ".git/info/attributes").write_text("* filter=evil diff=evil merge=evil\n")
    onto = world.move_target({"a.txt": "theirs\n"})
    world.tip()
    (tmp_path / "ran").unlink(missing_ok=True)
    world.pool.look("1", base, onto)
    world.pool.trials([Tried("1", base, ("mine", "c"), ("mine",))], onto)
    keep(world, base)
    world.pool.prepare("1", onto, "ticketd/next/1", keep_ignored=False)
    assert not (tmp_path / "ran").exists()


def test_what_is_hidden_by_its_own_exclude_file_is_seen(world: World) -> None:
    tree, base = fresh(world)
    (tree / ".git/info/exclude").write_text("*\n")
    write(tree, {"mine": "work"})
    assert keep(world, base).changed == ("mine",)


def test_a_clone_is_made_where_a_link_lies_in_its_place(world: World, tmp_path: Path) -> None:
    tree, base = fresh(world)
    outside = tmp_path / "outside"
    outside.mkdir()
    write(outside, {"precious": "p"})
    shutil.rmtree(tree / ".git")
    (tree / ".git").symlink_to(outside)
    world.pool.prepare("1", base, "ticketd/next/1", keep_ignored=False)
    assert (tree / ".git").is_dir()
    assert not (tree / ".git").is_symlink()
    assert (outside / "precious").read_text() == "p"
