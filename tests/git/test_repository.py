"""The user's repository is found and read; the control repository is made from it; and it stays as it was."""

from __future__ import annotations

import multiprocessing
import shutil
import threading
from pathlib import Path

import pytest
from gitworld import ADA, KEY, World, commit, git, make_origin, write

from ticketd.errors import NotSetUp
from ticketd.git import creation
from ticketd.git.creation import open_control
from ticketd.git.repository import NOBODY, find, identity, remote_url, state_dir, transport_config
from ticketd.git.target import RemoteTarget
from ticketd.git.worktrees import WorktreePool
from ticketd.ports import Identity, Pushed, Rebased


def everything(user: Path) -> dict[str, bytes]:
    """The whole of a checkout and its `.git`, byte for byte."""
    return {str(p.relative_to(user)): p.read_bytes() for p in sorted(user.rglob("*")) if p.is_file()}


def test_a_whole_cycle_leaves_the_users_repository_byte_for_byte(world: World) -> None:
    user = world.user
    write(user, {"a.txt": "stashed\n"})
    git(user, "stash")
    write(user, {"a.txt": "dirty\n", "untracked": "u"})
    git(user, "worktree", "add", "-q", "--detach", str(user.parent / "theirs"))
    shutil.rmtree(world.state)
    before = everything(user)

    control = open_control(world.state, find(user))
    target = RemoteTarget(control, str(world.origin), str(world.origin), "main", transport_config(user))
    pool = WorktreePool(control)
    base = target.tip()
    assert isinstance(base, str)
    pool.prepare("1", base, "ticketd/fix-it/1", keep_ignored=False)
    commit(pool.path("1"), {"c": "c"})
    write(pool.path("1"), {"d": "d"})
    kept = pool.keep("1", KEY, base, "left over", ADA)
    world.move_target({"e": "e"})
    onto = target.tip()
    assert isinstance(onto, str)
    world.drift("1", base, onto)
    done = control.rebase(base, kept.tip, onto, (("Ticket", "fix-it"),))
    assert isinstance(done, Rebased)
    assert target.push(done.tip, onto) == Pushed()

    assert everything(user) == before
    assert git(world.origin, "ls-tree", "--name-only", "main").split() == [".gitignore", "a.txt", "c", "d", "e", "src"]
    assert git(control.path, "fsck", "--no-dangling") == ""


# --- find ---


def test_it_is_found_from_a_subdirectory_and_from_a_linked_worktree(world: World) -> None:
    git(world.user, "worktree", "add", "-q", "--detach", str(world.user.parent / "linked"))
    for place in (world.user, world.user / "src", world.user.parent / "linked/src"):
        assert find(place).root == world.user
        assert find(place).common_dir == world.user / ".git"


def test_inside_ticketds_own_worktree_it_is_the_users(world: World) -> None:
    world.pool.prepare("1", world.tip(), None, keep_ignored=False)
    assert find(world.pool.path("1") / "src") == find(world.user)
    assert find(world.control.path) == find(world.user)


def test_a_worktree_of_a_bare_repository_is_its_own_root(world: World) -> None:
    linked = world.user.parent / "linked"
    git(world.origin, "worktree", "add", "-q", str(linked), "main")
    assert find(linked / "src").root == linked


def test_a_submodule_is_a_repository_of_its_own(world: World) -> None:
    git(world.other, "submodule", "add", "-q", str(world.origin), "sub")
    found = find(world.other / "sub/src")
    assert found.root == world.other / "sub"
    assert found.common_dir == world.other / ".git/modules/sub"


def test_no_repository_is_not_set_up(tmp_path: Path, world: World) -> None:
    (tmp_path / "plain").mkdir()
    for place in (tmp_path / "plain", tmp_path / "missing", world.origin):
        with pytest.raises(NotSetUp) as caught:
            find(place)
        assert caught.value.mend


def test_the_state_directory_depends_on_the_real_place(world: World, tmp_path: Path) -> None:
    common = world.user / ".git"
    place = state_dir(common, {"HOME": "/h"})
    assert str(place).startswith("/h/.local/state/ticketd/user-")
    assert len(place.name) == len("user-") + 12
    (tmp_path / "alias").symlink_to(world.user)
    assert state_dir(tmp_path / "alias/.git", {"HOME": "/h"}) == place
    assert state_dir(common, {"HOME": "/h", "XDG_STATE_HOME": "/s"}) == Path("/s/ticketd") / place.name
    assert state_dir(common, {"HOME": "/h", "XDG_STATE_HOME": "relative"}) == place


# --- what it says ---


def test_the_identity_is_the_users_or_ticketds(world: World, hermetic_home: Path) -> None:
    assert identity(world.user) == ADA
    git(world.user, "config", "user.name", "Åsa <x")
    assert identity(world.user) == Identity("Åsa x", "ada@example.org")
    git(world.user, "config", "--unset", "user.name")
    (hermetic_home / ".gitconfig").unlink()
    assert identity(world.user) == NOBODY


def test_urls_are_raw_and_absolute(world: World) -> None:
    user = world.user
    assert remote_url(user, "nowhere") is None
    git(user, "config", "remote.up.url", "../origin.git")
    assert remote_url(user, "up") == str(world.origin)
    assert remote_url(user, "up", push=True) == str(world.origin)
    git(user, "config", "remote.up.pushurl", "git@host:x/y.git")
    git(user, "config", "url.https://host/.insteadOf", "git@host:")
    assert remote_url(user, "up", push=True) == "git@host:x/y.git"


def test_only_what_the_repository_itself_sets_for_the_transport_is_taken(world: World, hermetic_home: Path) -> None:
    user = world.user
    (hermetic_home / "work").write_text("[core]\n\tsshCommand = ssh -i work\n")
    with (hermetic_home / ".gitconfig").open("a") as config:
        config.write(f'[credential]\n\thelper = global\n[includeIf "gitdir:{user}/"]\n\tpath = work\n')
    git(user, "config", "http.proxy", "http://p")
    git(user, "config", "credential.helper", "")
    git(user, "config", "core.pager", "evil")
    assert set(transport_config(user)) == {"core.sshcommand=ssh -i work", "http.proxy=http://p", "credential.helper="}


# --- the control repository ---


def test_it_has_no_ref_of_the_users_and_all_their_commits(world: World, tmp_path: Path) -> None:
    git(world.user, "tag", "v1")
    control = open_control(tmp_path / "fresh", find(world.user))
    assert git(control.path, "for-each-ref") == ""
    assert control.read_ref(git(world.user, "rev-parse", "HEAD")) is not None
    assert str(world.origin) not in (control.path / "config").read_text()
    assert not list((control.path / "hooks").glob("*")) if (control.path / "hooks").exists() else True


def test_it_is_opened_again_and_follows_the_target(world: World) -> None:
    tip = world.tip()
    world.control.keep(KEY.ref, tip)
    again = open_control(world.state, find(world.user), "trunk")
    assert again.read_ref(KEY.ref) == tip
    assert git(again.path, "config", "--get-all", "remote.origin.push") == "HEAD:refs/heads/trunk"


def test_a_creation_that_was_cut_short_is_begun_anew(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    state = tmp_path / "fresh"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(creation, "_drop_refs", killed)
        open_control(state, find(world.user))
    assert not (state / "control.git").exists()
    (state / "creating-left").mkdir()
    assert open_control(state, find(world.user)).path.is_dir()
    assert not (state / "creating-left").exists()


def test_an_empty_repository_is_not_set_up(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "empty")
    with pytest.raises(NotSetUp, match="no commit yet"):
        open_control(tmp_path / "state", find(tmp_path / "empty"))


def test_a_shallow_repository_lands(tmp_path: Path) -> None:
    origin, user = make_origin(tmp_path)
    commit(user, {"more": "m"})
    git(user, "push", "-q", "origin", "main")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{origin}", str(shallow))
    control = open_control(tmp_path / "state", find(shallow))
    target, pool = RemoteTarget(control, str(origin), str(origin), "main"), WorktreePool(control)
    base = target.tip()
    assert isinstance(base, str)
    pool.prepare("1", base, "work", keep_ignored=False)
    tip = commit(pool.path("1"), {"c": "c"})
    commit(user, {"theirs": "t"})
    git(user, "push", "-q", "origin", "main")
    onto = target.tip()
    assert isinstance(onto, str)
    done = control.rebase(base, tip, onto, ())
    assert isinstance(done, Rebased)
    assert target.push(done.tip, onto) == Pushed()


def test_a_repository_that_borrows_its_objects_is_copied(world: World, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--shared", str(world.user), str(tmp_path / "borrower"))
    control = open_control(tmp_path / "fresh", find(tmp_path / "borrower"))
    assert git(control.path, "fsck", "--no-dangling") == ""


def test_agents_can_fetch_and_cannot_push(world: World) -> None:
    world.pool.prepare("1", world.tip(), "work", keep_ignored=False)
    tree = world.pool.path("1")
    moved = world.move_target({"c": "c"})
    assert world.tip() == moved
    git(tree, "fetch", "-q", "origin")
    assert git(tree, "rev-parse", "origin/main") == moved
    commit(tree, {"d": "d"})
    git(tree, "push", "origin", "HEAD:main", ok=False)
    assert git(world.origin, "rev-parse", "main") == moved


def test_nothing_prunes_and_repacking_works(world: World) -> None:
    world.pool.prepare("1", world.tip(), "work", keep_ignored=False)
    tree = world.pool.path("1")
    lost = commit(tree, {"c": "c"})
    git(tree, "reset", "-q", "--hard", "HEAD~1")
    git(tree, "reflog", "expire", "--expire=now", "--all")
    git(tree, "gc", "--quiet", "--prune=now", ok=False)
    git(tree, "prune", "--expire=now", ok=False)
    git(world.control.path, "repack", "--quiet")
    git(world.control.path, "prune-packed", "--quiet")
    world.move_target({"d": "d"})
    world.tip()
    assert world.control.read_ref(lost) == lost


def test_one_hand_at_a_time(world: World) -> None:
    entered = threading.Event()
    with world.control.exclusive():
        thread = threading.Thread(target=lambda: [None for _ in [1] if _enter(world, entered)])
        thread.start()
        child = multiprocessing.get_context("fork").Process(target=_must_wait, args=(world.state,))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert not entered.is_set()
    thread.join()
    assert entered.is_set()


def _enter(world: World, entered: threading.Event) -> None:
    with world.control.exclusive():
        entered.set()


def _must_wait(state: Path) -> None:
    import fcntl

    with (state / "control.lock").open("ab") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_refs_are_read_kept_and_dropped(world: World) -> None:
    tip = world.tip()
    assert world.control.read_ref(KEY.ref) is None
    world.control.keep(KEY.ref, tip)
    assert world.control.read_ref(KEY.ref) == tip
    assert world.control.tree(KEY.ref) == git(world.user, "rev-parse", "HEAD^{tree}")
    world.control.must_move([f"delete {KEY.ref}"])
    world.control.must_move([f"delete {KEY.ref}"])
    assert world.control.read_ref(KEY.ref) is None
