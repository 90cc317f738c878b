"""The pool of worktrees: prepared, kept and tried, whatever an agent has done to them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gitworld import ADA, KEY, START, World, commit, git, write

from ticketd.domain.attempt import AttemptKey, Drift
from ticketd.errors import BadInput, GitFailed
from ticketd.git.leftovers import SCRATCH
from ticketd.git.tree import remove
from ticketd.git.worktrees import Layout
from ticketd.ports import Kept

both = pytest.mark.parametrize(
    "world", [Layout.LINKED, Layout.CLONE], indirect=True, ids=lambda each: each.name.lower()
)
as_clone = pytest.mark.parametrize("world", [Layout.CLONE], indirect=True, ids=["clone"])


def fresh(world: World, branch: str | None = "ticketd/fix-it/1") -> tuple[Path, str]:
    base = world.tip()
    world.pool.prepare("1", base, branch, keep_ignored=False)
    return world.pool.path("1"), base


def keep(world: World, base: str) -> Kept:
    return world.pool.keep("1", KEY, base, "fix-it: what was left uncommitted", ADA)


def content(world: World, commit_: str) -> set[str]:
    return set(git(world.control.path, "ls-tree", "-r", "-z", "--name-only", commit_).split("\0")) - {""}


def is_exactly(world: World, commit_: str, branch: str | None) -> None:
    tree = world.pool.path("1")
    assert git(tree, "rev-parse", "HEAD") == commit_
    assert git(tree, "symbolic-ref", "-q", "HEAD", ok=False) == (f"refs/heads/{branch}" if branch else "")
    assert git(tree, "status", "--porcelain", "--ignored") == ""
    files = {str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file()}
    assert {file for file in files if file.partition("/")[0] != ".git"} == content(world, commit_)


@both
def test_a_new_tree_is_at_the_commit_on_its_branch_without_upstream(world: World) -> None:
    tree, base = fresh(world)
    is_exactly(world, base, "ticketd/fix-it/1")
    assert git(tree, "rev-parse", "--abbrev-ref", "@{upstream}", ok=False) in ("", "@{upstream}")


def test_a_branch_that_a_tree_has_left_can_be_given_to_another_and_outlives_the_first(world: World) -> None:
    _, base = fresh(world)
    world.pool.leave("1", base)
    is_exactly(world, base, None)
    world.pool.prepare("2", base, "ticketd/fix-it/1", keep_ignored=False)
    world.pool.prepare("1", base, "ticketd/other/1", keep_ignored=False)
    assert git(world.pool.path("2"), "rev-parse", "HEAD") == base


def test_a_name_cannot_leave_the_pool(world: World) -> None:
    with pytest.raises(BadInput):
        world.pool.path("../1")


def test_what_a_kill_leaves_of_a_trees_link_is_no_work_of_its_agent_and_is_swept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, base = fresh(world)
    (tree / ".git").unlink()
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(Path, "replace", cut_off(tree / ".git"))
        fresh(world)
    assert not list(tree.rglob("*.ticketd"))
    assert [path.name for path in drafts(world)] == [path.name for path in tree.parent.glob(".*.ticketd")] != []
    assert fresh(world) == (tree, base)


def cut_off(at: Path) -> Callable[[Path, Path], Path]:
    def replace(self: Path, target: Path) -> Path:
        if target == at:
            raise KeyboardInterrupt
        return rename(self, target)

    rename = Path.rename
    return replace


def drafts(world: World) -> list[Path]:
    return [path for draft in SCRATCH for path in world.state.glob(draft)]


def test_a_missing_commit_leaves_the_tree_usable(world: World) -> None:
    _, base = fresh(world)
    with pytest.raises(GitFailed, match="missing"):
        world.pool.prepare("1", "1" * 40, None, keep_ignored=False)
    world.move_target({"c": "c"})
    assert world.tip() != base


def test_a_tree_that_is_there_already_is_not_written(world: World) -> None:
    tree, base = fresh(world)
    before = {p: p.stat().st_mtime_ns for p in tree.rglob("*")}
    index = (world.control.path / "worktrees/1/index").read_bytes()
    world.pool.prepare("1", base, "ticketd/next/1", keep_ignored=False)
    is_exactly(world, base, "ticketd/next/1")
    assert {p: p.stat().st_mtime_ns for p in tree.rglob("*")} == before
    assert (world.control.path / "worktrees/1/index").read_bytes() == index


def mess_dirty(tree: Path) -> None:
    write(tree, {"a.txt": "other", "new/x": "x", "y.log": "ignored", "build/z": "ignored", "src/b.py": None})


def mess_directory_for_a_file(tree: Path) -> None:
    write(tree, {"a.txt": None})
    write(tree, {"a.txt/inner/file": "x"})


def mess_merge(tree: Path) -> None:
    git(tree, "switch", "-q", "-c", "side")
    commit(tree, {"a.txt": "one\n"})
    git(tree, "switch", "-q", "-")
    commit(tree, {"a.txt": "two\n"})
    git(tree, "merge", "side", ok=False)


def mess_rebase(tree: Path) -> None:
    mess_merge(tree)
    git(tree, "merge", "--abort")
    git(tree, "rebase", "side", ok=False)


def mess_locks(tree: Path) -> None:
    write(tree, {"a.txt": "other"})
    (git_dir(tree) / "index.lock").write_text("")


def mess_index(tree: Path) -> None:
    (git_dir(tree) / "index").write_bytes(b"rubbish")


def mess_head(tree: Path) -> None:
    (git_dir(tree) / "HEAD").write_bytes(b"rubbish")


def without_git(tree: Path) -> None:
    """A link, or a clone's own."""
    remove(tree / ".git")


def mess_link(tree: Path) -> None:
    without_git(tree)


def mess_own_repository(tree: Path) -> None:
    without_git(tree)
    git(tree, "init", "-q")
    commit(tree, {"own": "own"})


def mess_everything_gone(tree: Path) -> None:
    git(tree.parent, "worktree", "remove", "--force", "--force", str(tree), ok=False)
    if tree.exists():
        tree.rename(tree.with_name("elsewhere"))


def mess_unborn(tree: Path) -> None:
    git(tree, "checkout", "-q", "--orphan", "nothing")


def mess_hidden(tree: Path) -> None:
    git(tree, "update-index", "--assume-unchanged", "a.txt")
    git(tree, "update-index", "--skip-worktree", "src/b.py")
    write(tree, {"a.txt": "hidden", "src/b.py": "hidden"})


def mess_sparse(tree: Path) -> None:
    git(tree, "sparse-checkout", "set", "--no-cone", "/a.txt", "/.gitignore", "/mine")


def mess_nested(tree: Path) -> None:
    (tree / "inner").mkdir()
    git(tree / "inner", "init", "-q")
    commit(tree / "inner", {"f": "f"})


def mess_read_only(tree: Path) -> None:
    write(tree, {"cache/mod/file": "x"})
    (tree / "cache/mod").chmod(0o500)


def mess_repository_for_a_file(tree: Path) -> None:
    write(tree, {"a.txt": None})
    (tree / "a.txt").mkdir()
    git(tree / "a.txt", "init", "-q")
    commit(tree / "a.txt", {"f": "f"})


def mess_staged(tree: Path) -> None:
    write(tree, {"forced.log": "ignored", "new/staged": "s", "new/intended": "i"})
    git(tree, "add", "--force", "forced.log", "new/staged")
    git(tree, "add", "--intent-to-add", "new/intended")


def mess_both_added(tree: Path) -> None:
    git(tree, "switch", "-q", "-c", "side")
    commit(tree, {"both": "one\n", "later": "x"})
    git(tree, "switch", "-q", "-")
    commit(tree, {"both": "two\n"})
    git(tree, "merge", "side", ok=False)


def mess_committed_repository(tree: Path) -> None:
    mess_nested(tree)
    commit(tree, {})


def mess_split_index(tree: Path) -> None:
    mess_hidden(tree)
    git(tree, "update-index", "--split-index")
    write(tree, {"new/x": "x"})


def mess_index_of_version_4(tree: Path) -> None:
    git(tree, "update-index", "--index-version", "4")
    mess_hidden(tree)


def mess_link_for_a_folder(tree: Path) -> None:
    write(tree, {"src/b.py": None})
    (tree / "src").rmdir()
    (tree / "src").symlink_to("..")


def mess_empty_folders(tree: Path) -> None:
    commit(tree, {"b": "b"})
    (tree / "late/file").mkdir(parents=True)


def git_dir(tree: Path) -> Path:
    return Path(git(tree, "rev-parse", "--absolute-git-dir"))


MESSES = [value for name, value in sorted(globals().items()) if name.startswith("mess_")]


@pytest.mark.parametrize("mess", MESSES)
def test_after_any_mess_the_tree_is_exactly_at_the_next_commit(world: World, mess: object) -> None:
    tree, _ = fresh(world)
    mess(tree)  # type: ignore[operator]
    world.move_target({"a.txt": "moved\n", "late/file": "1"})
    base = world.tip()
    world.pool.prepare("1", base, "ticketd/next/1", keep_ignored=False)
    is_exactly(world, base, "ticketd/next/1")


@pytest.mark.parametrize("mess", MESSES)
def test_after_any_mess_the_tree_is_exactly_at_the_same_commit(world: World, mess: object) -> None:
    tree, base = fresh(world)
    mess(tree)  # type: ignore[operator]
    world.pool.prepare("1", base, "ticketd/next/1", keep_ignored=False)
    is_exactly(world, base, "ticketd/next/1")


CLONE_MESSES = [mess_directory_for_a_file, mess_own_repository, mess_everything_gone, mess_split_index]


@as_clone
@pytest.mark.parametrize("mess", CLONE_MESSES)
def test_after_a_mess_a_clone_is_exactly_at_the_next_commit(world: World, mess: object) -> None:
    test_after_any_mess_the_tree_is_exactly_at_the_next_commit(world, mess)


def test_ignored_files_can_stay(world: World) -> None:
    tree, base = fresh(world)
    write(tree, {"build/cache": "warm", "junk": "x"})
    world.pool.prepare("1", base, None, keep_ignored=True)
    assert (tree / "build/cache").read_text() == "warm"
    assert not (tree / "junk").exists()


def test_the_branch_before_goes_only_when_its_commits_are_kept(world: World) -> None:
    tree, base = fresh(world)
    tip = commit(tree, {"c": "c"})
    world.pool.prepare("1", base, "ticketd/next/1", keep_ignored=False)
    assert world.control.read_ref("refs/heads/ticketd/fix-it/1") == tip
    tip = commit(tree, {"d": "d"})
    keep(world, base)
    world.pool.prepare("1", base, "ticketd/third/1", keep_ignored=False)
    assert world.control.read_ref("refs/heads/ticketd/next/1") is None
    assert world.control.read_ref(KEY.ref) == tip


def test_a_branch_that_is_reset_keeps_what_it_had(world: World) -> None:
    tree, base = fresh(world)
    tip = commit(tree, {"c": "c"})
    world.pool.prepare("1", base, "ticketd/fix-it/1", keep_ignored=False)
    is_exactly(world, base, "ticketd/fix-it/1")
    assert world.control.is_safe(tip)


# --- keep ---


@both
def test_commits_and_uncommitted_work_are_kept_and_the_tree_is_not_touched(world: World) -> None:
    tree, base = fresh(world)
    first = commit(tree, {"one": "1"})
    write(tree, {"two": "2", "src/b.py": None, "x.log": "ignored"})
    git(tree, "add", "two")
    before = git(tree, "status", "--porcelain", "--ignored")
    kept = keep(world, base)
    assert sorted(kept.changed) == ["one", "src/b.py", "two"]
    assert git(world.control.path, "rev-parse", f"{kept.tip}^") == first
    assert git(world.control.path, "log", "-1", "--format=%s|%an|%ce", kept.tip) == (
        "fix-it: what was left uncommitted|Ada Tester|ada@example.org"
    )
    assert world.control.read_ref(KEY.ref) == kept.tip
    assert git(tree, "status", "--porcelain", "--ignored") == before


def test_an_untouched_tree_is_kept_as_its_base(world: World) -> None:
    _, base = fresh(world)
    assert keep(world, base) == Kept(base, ())


# What is kept of these is not simply the files that are there.
OTHERWISE = (mess_everything_gone, mess_sparse, mess_link_for_a_folder, mess_repository_for_a_file, mess_staged)


@pytest.mark.parametrize("mess", [m for m in MESSES if m not in OTHERWISE])
def test_after_any_mess_every_file_is_kept(world: World, mess: object) -> None:
    tree, base = fresh(world)
    mess(tree)  # type: ignore[operator]
    write(tree, {"mine": "work"})
    inner = tree / "inner"
    on_disk = {str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*") if p.is_file() or p.is_symlink()}
    files = {
        name: data
        for name, data in on_disk.items()
        if not name.startswith((".git/", "build/")) and name != ".git" and not name.endswith(".log")
    }
    kept = keep(world, base)
    if inner.exists():
        assert kept.nested == ("inner",)
        files = {name: data for name, data in files.items() if not name.startswith("inner/")} | {"inner": b""}
    assert content(world, kept.tip) == set(files)
    for name in set(files) - {"inner"}:
        assert git(world.control.path, "cat-file", "blob", f"{kept.tip}:{name}") == files[name].decode().strip()


@as_clone
@pytest.mark.parametrize(
    "mess", [mess_rebase, mess_index, mess_hidden, mess_nested, mess_split_index, mess_unborn, mess_locks, mess_head]
)
def test_after_a_mess_every_file_of_a_clone_is_kept(world: World, mess: object) -> None:
    test_after_any_mess_every_file_is_kept(world, mess)


@both
def test_a_sparse_checkout_has_deleted_nothing(world: World) -> None:
    tree, base = fresh(world)
    mess_sparse(tree)
    write(tree, {"mine": "work"})
    assert not (tree / "src/b.py").exists()
    assert keep(world, base).changed == ("mine",)


def test_a_link_in_place_of_a_folder_is_kept_as_a_link(world: World) -> None:
    tree, base = fresh(world)
    mess_link_for_a_folder(tree)
    kept = keep(world, base)
    assert set(kept.changed) == {"src", "src/b.py"}
    assert git(world.control.path, "cat-file", "blob", f"{kept.tip}:src") == ".."


@both
def test_what_is_staged_is_kept_though_it_is_ignored(world: World) -> None:
    tree, base = fresh(world)
    mess_staged(tree)
    assert set(keep(world, base).changed) == {"forced.log", "new/staged", "new/intended"}


def test_a_tree_that_is_gone_is_kept_as_its_branch(world: World) -> None:
    tree, base = fresh(world)
    tip = commit(tree, {"c": "c"})
    mess_everything_gone(tree)
    assert keep(world, base) == Kept(tip, ("c",))


@both
def test_work_on_another_branch_is_kept(world: World) -> None:
    tree, base = fresh(world)
    git(tree, "switch", "-q", "-c", "elsewhere")
    tip = commit(tree, {"c": "c"})
    assert keep(world, base) == Kept(tip, ("c",))


def test_work_on_a_detached_head_is_kept(world: World) -> None:
    tree, base = fresh(world)
    git(tree, "checkout", "-q", "--detach")
    tip = commit(tree, {"c": "c"})
    assert keep(world, base).tip == tip


@both
def test_commits_that_were_reset_away_are_kept_aside(world: World) -> None:
    tree, base = fresh(world)
    commit(tree, {"c": "c"})
    second = commit(tree, {"d": "d"})
    git(tree, "reset", "-q", "--hard", base)
    git(tree, "switch", "-q", "-c", "side")
    third = commit(tree, {"e": "e"})
    git(tree, "switch", "-q", "ticketd/fix-it/1")
    kept = keep(world, base)
    assert kept == Kept(base, ())
    refs = git(world.control.path, "for-each-ref", "--format=%(objectname)", "refs/ticketd-extra/fix-it/1")
    assert set(refs.split()) == {second, third}


@both
def test_keeping_twice_is_keeping_once(world: World) -> None:
    tree, base = fresh(world)
    commit(tree, {"c": "c"})
    git(tree, "commit", "-q", "--amend", "-m", "better")
    first = keep(world, base)
    refs = git(world.control.path, "for-each-ref")
    assert keep(world, base) == first
    assert git(world.control.path, "for-each-ref") == refs


def test_a_head_that_does_not_descend_from_the_base_is_kept(world: World) -> None:
    world.move_target({"c": "c"})
    tree, base = fresh(world)
    git(tree, "reset", "-q", "--hard", "HEAD~1")
    kept = keep(world, base)
    assert kept.tip == git(world.control.path, "rev-parse", f"{base}~1")
    assert kept.changed == ("c",)


def test_a_repository_without_a_commit_inside_is_named_and_the_rest_is_kept(world: World) -> None:
    tree, base = fresh(world)
    (tree / "in ner").mkdir()
    git(tree / "in ner", "init", "-q")
    write(tree, {"in ner/f": "f", "mine": "work"})
    kept = keep(world, base)
    assert kept.nested == ("in ner",)
    assert kept.changed == ("mine",)


@both
def test_a_repository_in_place_of_the_link_is_named(world: World) -> None:
    tree, base = fresh(world)
    mess_own_repository(tree)
    kept = keep(world, base)
    assert kept.nested == (".git",)
    assert kept.changed == ("own",)


@both
def test_strange_names_are_kept(world: World) -> None:
    tree, base = fresh(world)
    names = [b"with space", b"new\nline", b"latin-\xe9", "ümlaut".encode(), b'quo"te', b"-dash", b":(top)x"]
    for name in names:
        (tree / os.fsdecode(name)).write_bytes(name)
    kept = keep(world, base)
    assert sorted(kept.changed) == sorted(os.fsdecode(name) for name in names)
    assert world.control.changed(base, kept.tip) == kept.changed


def test_what_an_agent_configures_does_not_run_in_our_git(world: World, tmp_path: Path) -> None:
    tree, base = fresh(world)
    ran = tmp_path / "ran"
    git(tree, "config", "filter.evil.clean", f"touch {ran}; cat")
    write(tree, {".gitattributes": "* filter=evil\n", "mine": "work"})
    keep(world, base)
    world.pool.prepare("1", base, "x", keep_ignored=False)
    assert not ran.exists()


# --- look ---


def test_launches_side_by_side_may_all_say_what_is_left_out(world: World) -> None:
    with ThreadPoolExecutor(8) as threads:
        said = [threads.submit(world.pool.leave_out, [f"local-{number % 3}"]) for number in range(300)]
    assert all(each.exception() is None for each in said)
    assert sorted(path.name for path in (world.control.path / "info").iterdir()) == ["exclude"]


def test_drift_is_tried_on_uncommitted_work_and_leaves_no_trace(world: World) -> None:
    tree, base = fresh(world)
    commit(tree, {"new": "x"})
    write(tree, {"a.txt": "mine\n", "untracked": "u"})
    clean = world.move_target({"src/b.py": "b = 2\n"})
    assert world.tip() == clean
    before = state_of(world)
    assert world.drift("1", base, clean) == (Drift.BEHIND, ())
    assert state_of(world) == before
    clash = world.move_target({"a.txt": "theirs\n"})
    assert world.tip() == clash
    before = state_of(world)
    assert world.drift("1", base, clash) == (Drift.CONFLICT, ("a.txt",))
    assert state_of(world) == before


def test_what_an_attempt_has_written_is_known_committed_or_not(world: World) -> None:
    tree, base = fresh(world)
    assert world.pool.look("1", base, base).written == ()
    commit(tree, {"committed": "x"})
    write(tree, {"a.txt": "mine\n", "src/b.py": None, "new/untracked": "u", "seen.log": "ignored", "copied": "s"})
    world.pool.leave_out(["copied"])
    assert world.pool.look("1", base, base).written == ("a.txt", "committed", "new/untracked", "src/b.py")


@pytest.mark.parametrize("how", ["rebase", "merge"])
def test_what_came_with_the_moved_target_was_not_written_by_the_attempt(world: World, how: str) -> None:
    tree, base = fresh(world)
    commit(tree, {"mine": "x"})
    world.move_target({"theirs": "t"})
    onto = world.tip()
    git(tree, how, "-q", onto)
    write(tree, {"later": "y"})
    assert world.pool.look("1", base, onto).written == ("later", "mine")


def state_of(world: World) -> dict[str, bytes]:
    root = world.state
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_tree_that_cannot_be_read_is_tried_by_its_commits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, base = fresh(world)
    commit(tree, {"new": "x"})
    write(tree, {"a.txt": "mine\n"})
    clash = world.move_target({"a.txt": "theirs\n"})
    world.tip()
    calls = []

    def vanish(*args: object) -> None:
        calls.append(args)
        raise GitFailed("a file has vanished")

    monkeypatch.setattr("ticketd.git.snapshot.take", vanish)
    assert world.drift("1", base, clash) == (Drift.BEHIND, ())
    assert len(calls) == 2


# --- sweep ---


def test_a_half_made_tree_is_removed_and_fetching_works_again(world: World) -> None:
    base = world.tip()
    admin = world.control.path / "worktrees/1"
    admin.mkdir(parents=True)
    (admin / "locked").write_text("initializing")
    (admin / "gitdir").write_text(f"{world.pool.path('1')}/.git\n")
    (admin / "commondir").write_text("../..\n")
    (admin / "HEAD").write_text("0" * 40 + "\n")
    write(world.pool.path("1"), {"half": "filled"})
    assert world.mended("1") == ["removed the half-made worktree 1"]
    assert not world.pool.path("1").exists()
    world.move_target({"c": "c"})
    assert world.tip() != base


def test_locks_of_a_killed_git_go_and_work_stays(world: World) -> None:
    tree, base = fresh(world)
    write(tree, {"mine": "work"})
    ref = world.control.path / "refs/ticketd/fix-it"
    ref.mkdir(parents=True)
    locks = [ref / "1.lock", world.control.path / "packed-refs.lock", world.control.path / "worktrees/1/index.lock"]
    for lock in locks:
        lock.write_text("")
    said = world.mended("1", live=[KEY])
    assert not any(lock.exists() for lock in locks)
    assert len(said) == 3
    assert keep(world, base).changed == ("mine",)
    assert world.mended("1", ended={KEY: str(world.control.read_ref(KEY.ref))}) == []


@both
def test_many_trees_are_prepared_and_kept_at_once_while_the_target_moves(world: World) -> None:
    base = world.tip()

    def attempt(number: int) -> Kept:
        name, key = str(number % 4), AttemptKey("t", number)
        world.pool.prepare(name, base, f"ticketd/{key}", keep_ignored=False)
        commit(world.pool.path(name), {f"new-{number}": "x"})
        world.drift(name, base, world.tip())
        return world.pool.keep(name, key, base, "left over", ADA)

    for start in (0, 4):
        with ThreadPoolExecutor(5) as threads:
            moved = threads.submit(world.move_target, {"theirs": str(start)})
            kept = list(threads.map(attempt, range(start, start + 4)))
            moved.result()
        assert [one.changed for one in kept] == [(f"new-{number}",) for number in range(start, start + 4)]
    assert git(world.control.path, "fsck", "--no-dangling") == ""


def test_the_start_is_what_the_fixture_says(world: World) -> None:
    assert content(world, world.tip()) == set(START)
