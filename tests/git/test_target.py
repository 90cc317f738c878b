"""Targets: races are staged by hand between the question and the push."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from gitworld import World, commit, git, make_origin, write

from ticketd.errors import BadInput
from ticketd.git.creation import open_control
from ticketd.git.door import Answer
from ticketd.git.localtarget import LocalTarget
from ticketd.git.repository import UserRepository, find
from ticketd.git.target import RemoteTarget, read_push
from ticketd.git.worktrees import WorktreePool
from ticketd.ports import LostRace, Pushed, Rebased, Refused, Unreachable

TRAILERS = (("Ticket", "fix-it"), ("Ticket-Attempt", "1"))


def candidate(world: World, onto: str, files: dict[str, str | None]) -> str:
    world.pool.prepare("1", onto, "work", keep_ignored=False)
    tip = commit(world.pool.path("1"), files)
    done = world.control.rebase(onto, tip, onto, TRAILERS)
    assert isinstance(done, Rebased)
    return done.tip


def hook(repository: Path, name: str, body: str) -> None:
    path = repository / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_the_tip_is_what_the_remote_says_and_agents_see_it(world: World) -> None:
    first = world.tip()
    assert first == git(world.origin, "rev-parse", "main")
    second = world.move_target({"c": "c"})
    assert world.tip() == second
    assert world.control.read_ref("refs/target/main") == second
    assert world.control.read_ref("refs/remotes/origin/main") == second


def test_a_rewound_target_is_followed(world: World) -> None:
    first = world.tip()
    world.move_target({"c": "c"})
    world.tip()
    git(world.origin, "update-ref", "refs/heads/main", first)
    assert world.tip() == first


def test_a_push_lands(world: World) -> None:
    onto = world.tip()
    new = candidate(world, onto, {"c": "c"})
    assert world.target.push(new, onto) == Pushed()
    assert git(world.origin, "rev-parse", "main") == new
    assert world.tip() == new
    assert world.target.push(new, new) == Pushed()


def test_a_push_onto_a_target_that_has_moved_is_a_lost_race(world: World) -> None:
    onto = world.tip()
    new = candidate(world, onto, {"c": "c"})
    moved = world.move_target({"d": "d"})
    assert isinstance(world.target.push(new, onto), LostRace)
    assert git(world.origin, "rev-parse", "main") == moved


def test_a_race_lost_at_the_servers_lock_is_a_lost_race(world: World) -> None:
    onto = world.tip()
    new = candidate(world, onto, {"c": "c"})
    moved = commit(world.other, {"d": "d"})
    git(world.other, "push", "-q", "origin", "HEAD:refs/heads/side")
    hook(world.origin, "pre-receive", f"env -u GIT_QUARANTINE_PATH git update-ref refs/heads/main {moved}")
    assert isinstance(world.target.push(new, onto), LostRace)
    assert git(world.origin, "rev-parse", "main") == moved


def test_commits_taken_off_the_target_are_not_brought_back(world: World) -> None:
    first = world.tip()
    world.move_target({"bad": "bad"})
    onto = world.tip()
    new = candidate(world, onto, {"c": "c"})
    git(world.origin, "update-ref", "refs/heads/main", first)
    assert isinstance(world.target.push(new, onto), LostRace)
    assert git(world.origin, "rev-parse", "main") == first


def test_a_declined_push_is_refused_with_the_hooks_words(world: World) -> None:
    onto = world.tip()
    new = candidate(world, onto, {"c": "c"})
    hook(world.origin, "pre-receive", "echo 'no landing on Fridays' >&2; exit 1")
    outcome = world.target.push(new, onto)
    assert isinstance(outcome, Refused)
    assert "hook declined" in outcome.detail
    assert "no landing on Fridays" in outcome.detail


def test_a_lock_left_on_the_server_is_no_race(world: World) -> None:
    onto = world.tip()
    new = candidate(world, onto, {"c": "c"})
    (world.origin / "refs/heads/main.lock").write_text("")
    outcome = world.target.push(new, onto)
    assert isinstance(outcome, Unreachable)
    assert "locked" in outcome.detail


def test_a_remote_that_is_gone_is_unreachable_until_it_is_back(world: World) -> None:
    onto = world.tip()
    new = candidate(world, onto, {"c": "c"})
    world.origin.rename(world.origin.with_name("away.git"))
    assert isinstance(world.target.tip(), Unreachable)
    assert isinstance(world.target.push(new, onto), Unreachable)
    world.origin.with_name("away.git").rename(world.origin)
    assert world.target.push(new, onto) == Pushed()


def test_a_remote_that_does_not_answer_is_unreachable(world: World) -> None:
    silent = RemoteTarget(
        world.control, "ssh://git@host/x", "ssh://git@host/x", "main", ("core.sshCommand=sleep 600 #",), timeout_s=0.3
    )
    assert silent.tip() == Unreachable("git did not answer in time")


def test_a_missing_branch_is_unreachable_and_named(world: World) -> None:
    target = RemoteTarget(world.control, str(world.origin), str(world.origin), "release")
    assert target.tip() == Unreachable("the remote has no branch release")


def test_secrets_of_a_url_are_not_told(world: World) -> None:
    url = "https://ada:s3cret@localhost:1/x.git"
    outcome = RemoteTarget(world.control, url, url, "main", timeout_s=10).tip()
    assert isinstance(outcome, Unreachable)
    assert "s3cret" not in outcome.detail


@pytest.mark.parametrize("url", ["--upload-pack=evil", "ext::sh -c evil", ""])
def test_a_url_that_would_run_something_is_bad_input(world: World, url: str) -> None:
    with pytest.raises(BadInput):
        RemoteTarget(world.control, url, "fine", "main")
    with pytest.raises(BadInput):
        RemoteTarget(world.control, "fine", url, "main")


def test_a_candidate_that_is_not_on_top_is_a_bug(world: World) -> None:
    first = world.tip()
    world.move_target({"c": "c"})
    with pytest.raises(ValueError, match="not on top"):
        world.target.push(first, world.tip())


@pytest.mark.parametrize(
    ("code", "out", "err", "outcome"),
    [
        (0, " \ta:refs/heads/main\t1..2", "", Pushed),
        (1, " \ta:refs/heads/main\t1..2", "fatal: the remote end hung up", Unreachable),
        (1, "!\ta:refs/heads/main\t[rejected] (fetch first)", "", LostRace),
        (1, "!\ta:refs/heads/main\t[rejected] (stale info)", "", LostRace),
        (1, "!\ta:refs/heads/main\t[remote rejected] (failed to update ref)", "", LostRace),
        (1, "!\ta:refs/heads/main\t[remote rejected] (protected branch hook declined)", "", Refused),
        (1, "!\ta:refs/heads/main\t[remote rejected] (unpacker error)", "", Unreachable),
        (1, "!\ta:refs/heads/main\t[remote failure] (remote failed to report status)", "", Unreachable),
        (128, "", "fatal: Could not read from remote repository.", Unreachable),
        (-9, "", "", Unreachable),
    ],
)
def test_every_answer_of_a_push_has_its_class(code: int, out: str, err: str, outcome: type) -> None:
    assert isinstance(read_push(Answer(code, f"To x\n{out}\nDone\n", err), "refs/heads/main"), outcome)


# --- without a remote ---


@pytest.fixture
def local(tmp_path: Path) -> tuple[LocalTarget, Path, WorktreePool]:
    _, user = make_origin(tmp_path)
    git(user, "remote", "remove", "origin")
    control = open_control(tmp_path / "state", find(user))
    return LocalTarget(control, find(user), "main"), user, WorktreePool(control)


Local = tuple[LocalTarget, Path, WorktreePool]


def on_top(local: Local, files: dict[str, str | None]) -> tuple[str, str]:
    target, _, pool = local
    onto = target.tip()
    assert isinstance(onto, str)
    pool.prepare("1", onto, "work", keep_ignored=False)
    return onto, commit(pool.path("1"), files)


def test_the_checkout_follows_and_keeps_local_changes(local: Local) -> None:
    target, user, _ = local
    onto, new = on_top(local, {"c/new": "c", "src/b.py": None})
    write(user, {"a.txt": "my edit\n", "untracked": "u", "staged": "s"})
    git(user, "add", "staged")
    before = set((user / ".git").iterdir())
    assert target.push(new, onto) == Pushed()
    assert git(user, "rev-parse", "HEAD") == new
    assert git(user, "status", "--porcelain").splitlines() == ["M a.txt", "A  staged", "?? untracked"] or git(
        user, "status", "--porcelain"
    ).split() == ["M", "a.txt", "A", "staged", "??", "untracked"]
    assert (user / "c/new").read_text() == "c"
    assert set((user / ".git").iterdir()) == before
    assert target.tip() == new


@pytest.mark.parametrize("files", [{"a.txt": "agent\n"}, {"fresh": "agent\n"}, {"src/b.py": None}])
def test_a_local_change_in_the_way_changes_nothing(local: Local, files: dict[str, str | None]) -> None:
    target, user, _ = local
    onto, new = on_top(local, files)
    write(user, dict.fromkeys(files, "mine\n"))
    write(user, {"other": "o"})
    before = picture(user)
    outcome = target.push(new, onto)
    assert isinstance(outcome, Unreachable)
    assert re.search(rf"the checkout of main in {user} has changes to {next(iter(files))} in the way", outcome.detail)
    assert picture(user) == before


def picture(user: Path) -> dict[str, bytes]:
    """Everything but the objects, which are brought first, and the index, whose times git refreshes."""
    return {
        str(path): path.read_bytes()
        for path in sorted(user.rglob("*"))
        if path.is_file() and "objects" not in path.parts and path.name != "index"
    }


def test_a_branch_that_nobody_has_checked_out_just_moves(local: Local) -> None:
    target, user, _ = local
    onto, new = on_top(local, {"c": "c"})
    git(user, "switch", "-q", "-c", "elsewhere")
    assert target.push(new, onto) == Pushed()
    assert git(user, "rev-parse", "main") == new
    assert git(user, "status", "--porcelain") == ""
    assert not (user / "c").exists()


def test_the_checkout_may_be_a_linked_worktree(local: Local, tmp_path: Path) -> None:
    target, user, _ = local
    onto, new = on_top(local, {"c": "c"})
    git(user, "switch", "-q", "-c", "elsewhere")
    git(user, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    assert target.push(new, onto) == Pushed()
    assert git(tmp_path / "linked", "status", "--porcelain") == ""
    assert (tmp_path / "linked/c").read_text() == "c"
    assert not (user / "c").exists()


def test_a_local_branch_that_has_moved_is_a_lost_race(local: Local) -> None:
    target, user, _ = local
    onto, new = on_top(local, {"c": "c"})
    moved = commit(user, {"d": "d"})
    assert isinstance(target.push(new, onto), LostRace)
    assert git(user, "rev-parse", "HEAD") == moved
    assert git(user, "status", "--porcelain") == ""


def test_a_race_lost_after_the_files_moved_is_undone(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    target, user, _ = local
    onto, new = on_top(local, {"c": "c"})
    write(user, {"a.txt": "my edit\n"})
    monkeypatch.setattr(LocalTarget, "_move", lambda *_: LostRace("staged by hand"))
    assert isinstance(target.push(new, onto), LostRace)
    assert git(user, "rev-parse", "HEAD") == onto
    assert git(user, "status", "--porcelain") == "M a.txt"
    assert not (user / "c").exists()


def test_a_landing_killed_between_files_and_branch_is_finished_by_the_next(local: Local) -> None:
    target, user, _ = local
    onto, new = on_top(local, {"c": "c", "src/b.py": None})
    git(user, "fetch", "-q", str(target.control.path), new)
    git(user, "read-tree", "-m", "-u", onto, new)
    assert target.push(new, onto) == Pushed()
    assert git(user, "status", "--porcelain") == ""


def test_a_merge_under_way_is_not_disturbed(local: Local) -> None:
    target, user, _ = local
    git(user, "switch", "-q", "-c", "side")
    commit(user, {"s": "s"})
    git(user, "switch", "-q", "main")
    onto, new = on_top(local, {"c": "c"})
    git(user, "merge", "-q", "--no-ff", "--no-commit", "side")
    outcome = target.push(new, onto)
    assert isinstance(outcome, Unreachable)
    assert "a merge of main is under way" in outcome.detail
    assert git(user, "rev-parse", "HEAD") == onto


def test_a_branch_without_a_commit_is_unreachable(local: Local) -> None:
    target, user, _ = local
    other = LocalTarget(target.control, UserRepository(user, user / ".git"), "release")
    outcome = other.tip()
    assert isinstance(outcome, Unreachable)
    assert "release" in outcome.detail


# --- other branches -------------------------------------------------------------------------------------------------


def test_a_branch_is_published_and_moved_as_long_as_nobody_else_pushes_to_it(world: World) -> None:
    onto = world.tip()
    first, second = candidate(world, onto, {"c": "c"}), candidate(world, onto, {"d": "d"})
    for new in (first, first, second, first):
        assert world.target.publish("ticketd/fix-it", new) == Pushed()
        assert git(world.origin, "rev-parse", "ticketd/fix-it") == new
    assert git(world.origin, "rev-parse", "main") == onto


@pytest.mark.parametrize("ours_before", [True, False])
def test_what_somebody_else_has_pushed_to_the_branch_stays(world: World, ours_before: bool) -> None:
    onto = world.tip()
    if ours_before:
        world.target.publish("ticketd/fix-it", candidate(world, onto, {"c": "c"}))
    theirs = commit(world.other, {"e": "e"})
    git(world.other, "push", "-q", "-f", "origin", "HEAD:refs/heads/ticketd/fix-it")
    answer = world.target.publish("ticketd/fix-it", candidate(world, onto, {"d": "d"}))
    assert isinstance(answer, LostRace) and theirs[:12] in answer.detail
    assert git(world.origin, "rev-parse", "ticketd/fix-it") == theirs


def test_what_is_pushed_to_the_branch_in_the_same_moment_stays(world: World) -> None:
    onto = world.tip()
    theirs = commit(world.other, {"e": "e"})
    git(world.other, "push", "-q", "origin", "HEAD:refs/heads/side")
    race = f"env -u GIT_QUARANTINE_PATH git update-ref refs/heads/ticketd/fix-it {theirs}"
    hook(world.origin, "pre-receive", race)
    assert not isinstance(world.target.publish("ticketd/fix-it", candidate(world, onto, {"d": "d"})), Pushed)
    assert git(world.origin, "rev-parse", "ticketd/fix-it") == theirs


def test_a_branch_that_was_taken_away_is_published_anew(world: World) -> None:
    new = candidate(world, world.tip(), {"c": "c"})
    world.target.publish("ticketd/fix-it", new)
    git(world.origin, "update-ref", "-d", "refs/heads/ticketd/fix-it")
    assert world.target.publish("ticketd/fix-it", new) == Pushed()


def test_a_remote_that_does_not_answer_or_refuses_is_told_apart(world: World) -> None:
    new = candidate(world, world.tip(), {"c": "c"})
    hook(world.origin, "pre-receive", "echo no such branches >&2; exit 1")
    refused = world.target.publish("ticketd/fix-it", new)
    assert isinstance(refused, Refused) and "no such branches" in refused.detail
    world.origin.rename(world.origin.with_name("away"))
    assert isinstance(world.target.publish("ticketd/fix-it", new), Unreachable)
