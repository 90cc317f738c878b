"""What agents do to what all worktrees share: it is put back, said, and nothing is lost by it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gitworld import ADA, World, commit, git, write

from ticketd.domain.attempt import AttemptKey
from ticketd.errors import GitFailed, TicketdError
from ticketd.git.creation import open_control
from ticketd.git.record import Record
from ticketd.git.repository import find
from ticketd.git.target import published_ref
from ticketd.ports import Pushed, Rebased, Watched

MINE, OTHER = AttemptKey("mine", 1), AttemptKey("other", 1)


def two_at_work(world: World) -> tuple[Path, str]:
    """The tree of the one that misbehaves, and the commit that is kept of another, whose agent has ended."""
    base = world.tip()
    world.pool.prepare("1", base, "ticketd/mine/1", keep_ignored=False)
    world.pool.prepare("2", base, "ticketd/other/1", keep_ignored=False)
    write(world.pool.path("2"), {"theirs": "work"})
    kept = world.pool.keep("2", OTHER, base, "left", ADA)
    assert look(world) == Watched(())
    return world.pool.path("1"), kept.tip


def look(world: World) -> Watched:
    return world.pool.watch(["1", "2"], MINE)


def ref(world: World, name: str) -> str:
    return git(world.control.path, "rev-parse", "-q", "--verify", name, ok=False)


def test_files_that_all_share_are_put_back_and_a_name_is_left(world: World) -> None:
    tree, _ = two_at_work(world)
    world.pool.leave_out([".env"])
    before = {path.name: path.read_text() for path in (world.control.path / "info").iterdir()}
    git(tree, "config", "user.name", "Robot")
    git(tree, "config", "core.hooksPath", "/elsewhere")
    git(tree, "config", "core.bare", "true")
    control = world.control.path
    write(control, {"hooks/pre-commit": "x", "info/attributes": "* -text\n", "info/exclude": "*\n", "info/grafts": "x"})
    write(control, {"objects/info/alternates": "/elsewhere\n", "HEAD": "ref: refs/heads/main\n"})
    said = "; ".join(look(world).mended)
    for named in ("core.hookspath", "hooks/pre-commit", "info/attributes", "info/exclude", "info/grafts", "HEAD"):
        assert named in said
    assert "objects/info/alternates" in said
    assert {path.name: path.read_text() for path in (control / "info").iterdir()} == before
    assert git(tree, "config", "user.name") == "Robot"
    assert git(tree, "config", "core.hooksPath", ok=False) == ""
    assert git(tree, "status", "--porcelain") == ""
    assert look(world) == Watched(())


def test_an_agents_shallow_fetch_cuts_no_history_off(world: World) -> None:
    tree, _ = two_at_work(world)
    first = world.tip()
    moved = world.move_target({"c": "c"})
    assert world.tip() == moved
    git(tree, "fetch", "-q", "--depth=1", "origin", "main")
    assert git(tree, "rev-list", "--count", "FETCH_HEAD") == "1"
    assert world.control.contains(moved, first)
    assert look(world).mended == ("shallow put back",)
    assert git(tree, "merge-base", moved, first) == first
    assert look(world) == Watched(())


def test_what_was_changed_while_no_daemon_ran_is_told_by_the_next(world: World) -> None:
    tree, tip = two_at_work(world)
    git(tree, "config", "user.name", "Robot")
    git(tree, "config", "core.hooksPath", "/elsewhere")
    git(tree, "update-ref", "-d", OTHER.ref)
    open_control(world.state, find(world.user))
    assert look(world).mended == (
        "core.hookspath taken out of the shared configuration",
        f"{OTHER.ref} put back to {tip[:7]}",
    )
    open_control(world.state, find(world.user))
    assert look(world).mended == ()
    assert git(tree, "config", "user.name") == "Robot"


def test_a_configuration_that_is_no_file_is_put_back(world: World) -> None:
    two_at_work(world)
    (world.control.path / "config").unlink()
    os.mkfifo(world.control.path / "config")
    assert look(world).mended == ("something taken out of the shared configuration",)
    assert look(world) == Watched(())


SHARED = ("config", "HEAD", "info/exclude", "objects/info/alternates", "shallow", "packed-refs")


@pytest.mark.parametrize("rubbish", ["a folder", "a pipe", "larger than memory"])
def test_whatever_stands_in_place_of_the_files_that_all_share_is_put_back_and_so_is_all_else(
    world: World, rubbish: str
) -> None:
    tree, tip = two_at_work(world)
    git(tree, "update-ref", "-d", OTHER.ref)
    for there in (world.control.path / file for file in SHARED):
        there.unlink(missing_ok=True)
        if rubbish == "a folder":
            (there / "x").mkdir(parents=True)
            continue
        there.parent.mkdir(exist_ok=True)
        if rubbish == "a pipe":
            os.mkfifo(there)
        else:
            there.touch()
            os.truncate(there, 1 << 42)
    assert f"{OTHER.ref} put back to {tip[:7]}" in look(world).mended
    assert look(world) == Watched(())


@pytest.mark.parametrize("place", ["worktrees/3/gitdir", "refs/heads/pipe", "refs/ticketd/other/1"])
def test_who_waits_at_a_pipe_in_the_repository_is_freed_by_the_next_look(world: World, place: str) -> None:
    two_at_work(world)
    pipe = world.control.path / place
    pipe.parent.mkdir(parents=True, exist_ok=True)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stderr=subprocess.DEVNULL) as waits:
        wchan, until = Path(f"/proc/{waits.pid}/wchan"), time.monotonic() + 3
        while "partner" not in wchan.read_text() and time.monotonic() < until:
            os.sched_yield()
        world.mended("1", "2", live=[MINE])
        assert waits.wait(timeout=30) == 0
    assert not pipe.is_fifo()


def test_where_the_target_stood_before_it_was_taken_back_is_nobodys_stray(world: World) -> None:
    tree, tip = two_at_work(world)
    world.control.keep(f"refs/rewound/{tip}", tip)
    assert look(world) == Watched(())
    git(tree, "update-ref", "-d", f"refs/rewound/{tip}")
    assert f"refs/rewound/{tip} put back to {tip[:7]}" in look(world).mended


def test_a_repository_that_an_agent_has_emptied_is_told_with_its_mend(world: World) -> None:
    shutil.rmtree(world.control.path / "objects")
    with pytest.raises(TicketdError, match="has lost its objects") as raised:
        open_control(world.state, find(world.user))
    assert "Rename it" in raised.value.mend
    world.control.path.rename(world.control.path.with_name("broken"))
    assert open_control(world.state, find(world.user)).git.ask("rev-parse").ok


def test_a_line_that_git_does_not_take_costs_no_other_ref(world: World) -> None:
    tree, tip = two_at_work(world)
    git(tree, "tag", "of-an-agent-ü")
    git(tree, "pack-refs", "--all", "--prune")
    with (world.control.path / "packed-refs").open("ab") as packed:
        packed.write(b"rubbish\n\0")
    assert look(world).mended == ("packed-refs made readable again",)
    assert git(tree, "rev-parse", OTHER.ref, "of-an-agent-ü").split() == [tip, git(tree, "rev-parse", "HEAD")]


def deleted(world: World, tree: Path) -> None:
    git(tree, "update-ref", "-d", OTHER.ref)


def moved(world: World, tree: Path) -> None:
    git(tree, "update-ref", OTHER.ref, commit(tree, {"evil": "e"}))


def made_a_link(world: World, tree: Path) -> None:
    git(tree, "symbolic-ref", OTHER.ref, "refs/heads/ticketd/mine/1")


def made_rubbish(world: World, tree: Path) -> None:
    git(tree, "pack-refs", "--all")
    write(world.control.path, {OTHER.ref: "rubbish"})


def made_a_pipe(world: World, tree: Path) -> None:
    (world.control.path / OTHER.ref).unlink()
    os.mkfifo(world.control.path / OTHER.ref)


def made_a_file_of_the_folder(world: World, tree: Path) -> None:
    git(tree, "update-ref", "-d", OTHER.ref)
    git(tree, "update-ref", "refs/ticketd/other", "HEAD")


def all_refs_gone(world: World, tree: Path) -> None:
    git(tree, "pack-refs", "--all")
    (world.control.path / "packed-refs").unlink()


WAYS = (deleted, moved, made_a_link, made_rubbish, made_a_pipe, made_a_file_of_the_folder, all_refs_gone)


@pytest.mark.parametrize("way", WAYS)
def test_the_kept_work_of_another_is_put_back(world: World, way: object) -> None:
    tree, tip = two_at_work(world)
    way(world, tree)  # type: ignore[operator]
    said = look(world).mended
    assert any(f"{OTHER.ref} put back to {tip[:7]}" in text for text in said)
    assert ref(world, OTHER.ref) == tip
    assert look(world).mended == ()


def test_what_a_ref_was_moved_to_is_kept_too(world: World) -> None:
    tree, _ = two_at_work(world)
    planted = commit(tree, {"evil": "e"})
    git(tree, "update-ref", OTHER.ref, planted)
    look(world)
    assert ref(world, f"refs/ticketd-extra/{MINE}/found-{planted}") == planted


def test_the_target_is_put_back_and_replaced_objects_go(world: World) -> None:
    tree, tip = two_at_work(world)
    base, forged = world.tip(), commit(tree, {"evil": "e"})
    git(tree, "update-ref", "refs/target/main", forged)
    git(tree, "update-ref", "refs/remotes/origin/main", forged)
    git(tree, "replace", tip, base)
    said = "; ".join(look(world).mended)
    assert f"refs/target/main put back to {base[:7]}" in said
    assert f"refs/remotes/origin/main put back to {base[:7]}" in said
    assert f"refs/replace/{tip} taken away" in said
    assert ref(world, "refs/target/main") == ref(world, "refs/remotes/origin/main") == base
    assert look(world) == Watched(())


def test_what_ticketd_moves_by_itself_is_not_spoken_of(world: World) -> None:
    tree, _ = two_at_work(world)
    tip = world.move_target({"b": "b"})
    assert world.tip() == tip
    base = git(tree, "rev-parse", "HEAD")
    commit(tree, {"c": "c"})
    commit(tree, {"c": "d"})
    git(tree, "reset", "-q", "--hard", "HEAD~1")
    kept = world.pool.keep("1", MINE, base, "left", ADA)
    rebased = world.control.rebase(base, kept.tip, tip, ())
    assert isinstance(rebased, Rebased)
    assert world.target.publish("proposal", rebased.tip) == Pushed()
    assert world.target.push(rebased.tip, tip) == Pushed()
    world.pool.prepare("1", rebased.tip, "ticketd/next/1", keep_ignored=False)
    world.control.must_move([f"delete {published_ref('proposal', rebased.tip)}"])
    world.control.keep("refs/ticketd-extra/mine/1/verified", base)
    git(tree, "fetch", "-q", "origin")
    assert look(world) == Watched(())


def test_a_push_of_an_agent_to_its_gate_is_not_spoken_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, _ = two_at_work(world)
    monkeypatch.setenv("TICKETD_TICKET", "mine")
    monkeypatch.setenv("TICKETD_ATTEMPT", "1")
    pushed = commit(tree, {"c": "c"})
    git(tree, "push", "-q", "origin", "HEAD")
    assert ref(world, MINE.ref) == pushed
    assert look(world) == Watched(())


def test_a_move_that_a_crash_cut_short_is_finished_and_a_torn_line_is_passed_over(world: World) -> None:
    tree, tip = two_at_work(world)
    meant = commit(tree, {"c": "c"})
    with world.control.record.file.open("ab") as file:
        file.write(f"\n{OTHER.ref} {meant}\n{OTHER.ref} 12".encode())
    look(world)
    assert ref(world, OTHER.ref) == meant
    world.control.keep(OTHER.ref, tip)
    assert look(world).mended == ()
    assert ref(world, OTHER.ref) == tip


def test_a_move_that_git_refused_is_not_recorded(world: World) -> None:
    _, tip = two_at_work(world)
    assert not world.control.move_refs([f"update {OTHER.ref} {world.tip()} {world.tip()}"]).ok
    assert look(world).mended == ()
    assert ref(world, OTHER.ref) == tip


def test_one_that_holds_the_record_and_stands_still_holds_up_no_work(world: World) -> None:
    _, tip = two_at_work(world)
    record = Record(world.control.record.file, patience_s=0.0)
    with record.file.open("ab") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        assert record.move(world.control.git, [f"update {MINE.ref} {tip}"]).ok
        with pytest.raises(GitFailed, match="held by somebody"), record.compared():
            pass
    assert ref(world, MINE.ref) == tip
    assert look(world).mended == ()


def test_branches_tags_and_stashes_go_and_what_only_they_held_is_kept(world: World) -> None:
    tree, _ = two_at_work(world)
    git(tree, "tag", "v1")
    git(tree, "switch", "-q", "-c", "side")
    side = commit(tree, {"side": "s"})
    git(tree, "switch", "-q", "ticketd/mine/1")
    write(tree, {"a.txt": "one\n"})
    git(tree, "stash", "-q")
    first = ref(world, "refs/stash")
    write(tree, {"a.txt": "two\n"})
    git(tree, "stash", "-q")
    second = ref(world, "refs/stash")
    git(tree, "switch", "-q", "-c", "stays")
    found = look(world)
    assert found == Watched((), ("refs/heads/side", "refs/stash", "refs/tags/v1"))
    world.pool.tidy(found.strays, MINE)
    assert look(world) == Watched(())
    for sha in (side, first, second):
        assert ref(world, f"refs/ticketd-extra/{MINE}/found-{sha}") == sha
    assert git(tree, "symbolic-ref", "HEAD") == "refs/heads/stays"


def test_the_git_directory_of_another_is_put_back(world: World) -> None:
    _, _ = two_at_work(world)
    other = world.pool.path("2")
    done = commit(other, {"done": "d"})
    write(world.control.path / "worktrees/2", {"gitdir": "/elsewhere\n", "commondir": "/elsewhere\n"})
    git(world.control.path, "update-ref", "-d", "refs/heads/ticketd/other/1")
    said = "; ".join(look(world).mended)
    assert "worktrees/2/gitdir" in said
    assert "worktrees/2/commondir" in said
    assert f"refs/heads/ticketd/other/1 put back to {done[:7]}" in said
    assert git(other, "rev-parse", "HEAD") == done
    (world.control.path / "worktrees/2/HEAD").write_text("rubbish")
    assert look(world).mended == ("worktrees/2/HEAD put back",)
    assert git(other, "rev-parse", "HEAD") == done


def test_a_worktree_that_another_has_removed_is_told_and_kept_as_far_as_it_was_committed(world: World) -> None:
    tree, _ = two_at_work(world)
    done = commit(world.pool.path("2"), {"done": "d"})
    git(tree, "worktree", "remove", "--force", str(world.pool.path("2")))
    assert "the git directory of worktree 2 is gone" in look(world).mended[0]
    assert world.pool.keep("2", OTHER, world.tip(), "left", ADA).tip == done


def test_what_is_just_being_left_out_is_no_agents_doing(world: World) -> None:
    """It is written twice, ours and then that of all; who looks in between waits."""
    two_at_work(world)
    with ThreadPoolExecutor() as beside:
        with world.control.exclusive():
            write(world.control.own, {"info/exclude": ".env\n"})
            watching = beside.submit(look, world)
            with pytest.raises(TimeoutError):
                watching.result(0.5)
            write(world.control.path, {"info/exclude": ".env\n"})
        assert watching.result(60) == Watched(())
