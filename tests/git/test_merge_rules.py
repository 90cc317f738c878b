"""Files that are merged by union, and files that are made anew: no side's content is dropped without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitworld import ADA, World, commit, git, make_origin, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ticketd.domain.globs import PatternSet
from ticketd.domain.merging import NO_RULES, MergeRules
from ticketd.git.door import Git
from ticketd.git.rebase import rebase
from ticketd.ports import Conflict, NothingLeft, Rebased

Answer = Rebased | Conflict | NothingLeft
Files = dict[str, str | None]
LOG, LOCK = "CHANGELOG.md", "uv.lock"
LINES = "".join(f"{number}\n" for number in range(20))
RULES = MergeRules(union=PatternSet((LOG, "*.list")), regenerate=PatternSet((LOCK,)))
TRAILERS = (("Ticket", "fix-it"),)


@pytest.fixture
def user(tmp_path: Path) -> Path:
    user = make_origin(tmp_path)[1]
    commit(user, {LOG: "# Changes\n", LOCK: LINES, "x.list": "one\n"})
    return user


def meet(user: Path, mine: list[Files], theirs: Files, rules: MergeRules = RULES) -> Answer:
    """A branch of these commits, rebased onto a target that has changed as well."""
    base = git(user, "rev-parse", "HEAD")
    tips = [commit(user, files, f"mine {number}") for number, files in enumerate(mine)]
    git(user, "checkout", "-q", "--detach", base)
    onto = commit(user, theirs, "theirs")
    own = Git(user, env={"GIT_DIR": str(user / ".git")})
    return rebase(own, base, tips[-1], onto, TRAILERS, ADA, rules)


def shown(user: Path, done: Answer, path: str) -> str:
    assert isinstance(done, Rebased), done
    return git(user, "show", f"{done.tip}:{path}")


# --- union ---


def test_both_sides_lines_are_kept(user: Path) -> None:
    done = meet(user, [{LOG: "# Changes\n- mine\n", "c": "c"}], {LOG: "# Changes\n- theirs\n"})
    assert shown(user, done, LOG).splitlines() == ["# Changes", "- theirs", "- mine"]
    assert shown(user, done, "c") == "c"


def test_without_the_rule_it_is_a_conflict(user: Path) -> None:
    met = meet(user, [{LOG: "# Changes\n- mine\n"}], {LOG: "# Changes\n- theirs\n"}, NO_RULES)
    assert isinstance(met, Conflict)
    assert met.paths == (LOG,)


def test_a_union_stands_in_no_way_of_a_true_conflict(user: Path) -> None:
    mine: Files = {LOG: "# Changes\n- mine\n", "a.txt": "mine\n"}
    met = meet(user, [mine], {LOG: "# Changes\n-theirs\n", "a.txt": "theirs\n"})
    assert isinstance(met, Conflict)
    assert met.paths == (LOG, "a.txt")


def test_each_commit_of_a_branch_is_united(user: Path) -> None:
    mine: list[Files] = [{LOG: "# Changes\n- one\n"}, {"c": "c"}, {LOG: "# Changes\n- one\n- two\n"}]
    done = meet(user, mine, {LOG: "# Changes\n- theirs\n"})
    assert sorted(shown(user, done, LOG).splitlines()) == ["# Changes", "- one", "- theirs", "- two"]
    assert isinstance(done, Rebased)
    assert len(done.commits) == 3


def test_a_file_that_both_have_added_is_united(user: Path) -> None:
    done = meet(user, [{"new/y.list": "mine"}], {"new/y.list": "theirs"})
    assert shown(user, done, "new/y.list").splitlines() == ["theirs", "mine"]


def test_attributes_of_the_target_do_not_stand_against_it(user: Path) -> None:
    commit(user, {".gitattributes": f"{LOG} -merge\n", "new/.gitattributes": "* merge=binary\n"})
    mine: Files = {LOG: "# Changes\n- mine\n", "new/y.list": "mine\n"}
    done = meet(user, [mine], {LOG: "# Changes\n- theirs\n", "new/y.list": "theirs\n"})
    assert shown(user, done, LOG).splitlines() == ["# Changes", "- theirs", "- mine"]
    assert shown(user, done, "new/y.list").splitlines() == ["theirs", "mine"]


@pytest.mark.parametrize("mine", [None, "one\n\0mine\n"])
def test_what_cannot_be_united_stays_a_conflict(user: Path, mine: str | None) -> None:
    """A deleted file and one that is no text."""
    met = meet(user, [{"x.list": mine}], {"x.list": "one\ntheirs\n"})
    assert isinstance(met, Conflict)
    assert met.paths == ("x.list",)
    assert met.messages


def test_a_symlink_is_not_united(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    sides = []
    for side in ("mine", "theirs"):
        git(user, "checkout", "-q", "--detach", base)
        (user / "x.list").unlink()
        (user / "x.list").symlink_to(side)
        sides.append(commit(user, {}, side))
    own = Git(user, env={"GIT_DIR": str(user / ".git")})
    assert isinstance(rebase(own, base, sides[0], sides[1], TRAILERS, ADA, RULES), Conflict)


@pytest.mark.parametrize("mover", ["mine", "theirs"])
def test_a_file_that_one_side_has_renamed_is_united_under_its_new_name(user: Path, mover: str) -> None:
    commit(user, {"x.list": LINES})
    sides: dict[str, Files] = {
        side: {"x.list": None, "new/y.list": LINES + f"{side}\n"} if side == mover else {"x.list": LINES + f"{side}\n"}
        for side in ("mine", "theirs")
    }
    done = meet(user, [sides["mine"]], sides["theirs"])
    assert shown(user, done, "new/y.list").splitlines() == [*LINES.split(), "theirs", "mine"]


AWKWARD = ['a "b".list', "a*b.list", "[ab].list", "back\\slash.list", "new\nline.list", "deep/er/caf\udce9.list"]


@pytest.mark.parametrize("name", AWKWARD)
def test_a_path_of_any_name_is_united(user: Path, name: str) -> None:
    (user / "deep/er").mkdir(parents=True)
    done = meet(user, [{name: "mine\n"}], {name: "theirs\n"})
    assert shown(user, done, name).splitlines() == ["theirs", "mine"]


def test_it_is_the_same_commit_each_time(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    done = meet(user, [{LOG: "# Changes\n- mine\n"}], {LOG: "# Changes\n- theirs\n"})
    tip, onto = git(user, "rev-parse", "HEAD@{2}"), git(user, "rev-parse", "HEAD")
    own = Git(user, env={"GIT_DIR": str(user / ".git")})
    assert rebase(own, base, tip, onto, TRAILERS, ADA, RULES) == done


Edits = list[tuple[int, bool]]
EDITS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=4)


def edited(edits: Edits, side: str) -> list[str]:
    """Lines put in, or old ones changed; none is taken away."""
    lines = [f"old {number}" for number in range(6)]
    for number, (at, inserts) in enumerate(edits):
        if inserts:
            lines.insert(at, f"{side} {number}")
        elif at < len(lines):
            lines[at] = f"{side} {number}"
    return lines


@given(mine=EDITS, theirs=EDITS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_line_that_a_side_has_written_is_lost(user: Path, mine: Edits, theirs: Edits) -> None:
    git(user, "checkout", "-q", "--detach", "main")
    commit(user, {"x.list": "\n".join(edited([], "")) + "\n"})
    ours, others = edited(mine, "mine"), edited(theirs, "theirs")
    done = meet(user, [{"x.list": "\n".join(ours) + "\n", "c": "c"}], {"x.list": "\n".join(others) + "\n"})
    found = shown(user, done, "x.list").splitlines()
    assert {line for line in (*ours, *others) if not line.startswith("old")} <= set(found)
    assert set(ours) & set(others) <= set(found)


# --- made anew ---


def test_where_both_sides_have_changed_it_the_targets_content_is_there_and_it_is_named(user: Path) -> None:
    done = meet(user, [{LOCK: "mine\n", "c": "c"}], {LOCK: "theirs\n"})
    assert isinstance(done, Rebased)
    assert done.regenerate == (LOCK,)
    assert shown(user, done, LOCK) == "theirs"
    assert shown(user, done, "c") == "c"


def test_so_it_is_where_the_two_would_have_merged(user: Path) -> None:
    theirs = LINES + "theirs\n"
    done = meet(user, [{LOCK: "mine\n" + LINES}], {LOCK: theirs})
    assert isinstance(done, Rebased)
    assert done.regenerate == (LOCK,)
    assert shown(user, done, LOCK) == theirs.strip()


def test_without_the_rule_they_do_merge(user: Path) -> None:
    done = meet(user, [{LOCK: "mine\n" + LINES}], {LOCK: LINES + "theirs\n"}, NO_RULES)
    assert isinstance(done, Rebased)
    assert done.regenerate == ()
    assert shown(user, done, LOCK).split() == ["mine", *LINES.split(), "theirs"]


@pytest.mark.parametrize(("mine", "theirs"), [("mine\n", None), (None, "theirs\n")])
def test_one_that_a_side_has_deleted_is_as_the_target_has_it(user: Path, mine: str | None, theirs: str | None) -> None:
    done = meet(user, [{LOCK: mine, "c": "c"}], {LOCK: theirs})
    assert isinstance(done, Rebased)
    assert done.regenerate == (LOCK,)
    files = git(user, "ls-tree", "--name-only", done.tip).split()
    assert (LOCK in files) == (theirs is not None)


def test_one_that_only_the_ticket_has_changed_is_the_tickets(user: Path) -> None:
    done = meet(user, [{LOCK: "mine\n"}], {"d": "d"})
    assert isinstance(done, Rebased)
    assert done.regenerate == ()
    assert shown(user, done, LOCK) == "mine"


def test_one_that_only_the_target_has_changed_is_the_targets(user: Path) -> None:
    done = meet(user, [{"c": "c"}], {LOCK: "theirs\n"})
    assert isinstance(done, Rebased)
    assert done.regenerate == ()
    assert shown(user, done, LOCK) == "theirs"


def test_a_commit_of_nothing_else_is_not_dropped(user: Path) -> None:
    done = meet(user, [{LOCK: "mine\n"}], {LOCK: "theirs\n"})
    assert isinstance(done, Rebased)
    assert done.regenerate == (LOCK,)
    assert git(user, "rev-parse", f"{done.tip}^") == git(user, "rev-parse", "HEAD")


def test_every_commit_of_a_branch_leaves_it_to_the_target(user: Path) -> None:
    mine: list[Files] = [{LOCK: "one\n", "c": "c"}, {"e": "e"}, {LOCK: "2\n", "f": "f"}, {LOCK: LINES}]
    done = meet(user, mine, {LOCK: "theirs\n"})
    assert isinstance(done, Rebased)
    assert done.regenerate == (LOCK,)
    assert [git(user, "show", f"{sha}:{LOCK}") for sha in done.commits] == ["theirs"] * len(done.commits)
    assert git(user, "diff", "--name-only", "HEAD", done.tip).split() == ["c", "e", "f"]


def test_a_conflict_elsewhere_stays_one(user: Path) -> None:
    met = meet(user, [{LOCK: "mine\n", "a.txt": "mine\n"}], {LOCK: "theirs\n", "a.txt": "theirs\n"})
    assert isinstance(met, Conflict)
    assert "a.txt" in met.paths


def test_both_rules_hold_at_once(user: Path) -> None:
    done = meet(user, [{LOCK: "mine\n", LOG: "# Changes\n- mine\n"}], {LOCK: "theirs\n", LOG: "# Changes\n- theirs\n"})
    assert isinstance(done, Rebased)
    assert done.regenerate == (LOCK,)
    assert shown(user, done, LOCK) == "theirs"
    assert shown(user, done, LOG).splitlines() == ["# Changes", "- theirs", "- mine"]


def test_a_directory_in_its_place_is_a_conflict(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    (user / LOCK).unlink()
    tip = commit(user, {f"{LOCK}/inner": "mine\n"})
    git(user, "checkout", "-q", "--detach", base)
    onto = commit(user, {LOCK: "theirs\n"})
    own = Git(user, env={"GIT_DIR": str(user / ".git")})
    assert isinstance(rebase(own, base, tip, onto, TRAILERS, ADA, RULES), Conflict)


def test_one_that_the_ticket_has_renamed_stays_as_merged_and_is_named(user: Path) -> None:
    rules = MergeRules(regenerate=PatternSet(("*.lock",)))
    done = meet(user, [{LOCK: None, "locks/my.lock": LINES + "mine\n"}], {LOCK: "theirs\n" + LINES}, rules)
    assert isinstance(done, Rebased)
    assert done.regenerate == ("locks/my.lock",)
    assert shown(user, done, "locks/my.lock") == ("theirs\n" + LINES + "mine\n").strip()


def test_a_range_with_merges_knows_the_rules_too(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    side = commit(user, {"side": "s"})
    git(user, "checkout", "-q", "--detach", base)
    commit(user, {LOCK: "mine\n", LOG: "# Changes\n- mine\n"})
    git(user, "merge", "-q", "--no-edit", side)
    tip = git(user, "rev-parse", "HEAD")
    git(user, "checkout", "-q", "--detach", base)
    onto = commit(user, {LOCK: "theirs\n", LOG: "# Changes\n- theirs\n"})
    own = Git(user, env={"GIT_DIR": str(user / ".git")})
    done = rebase(own, base, tip, onto, TRAILERS, ADA, RULES)
    assert isinstance(done, Rebased)
    assert (done.flattened, done.regenerate) == (True, (LOCK,))
    assert shown(user, done, LOG).splitlines() == ["# Changes", "- theirs", "- mine"]


# --- and what was made is put in ---

LOCKS = PatternSet((LOCK, "*.lock"))


@pytest.fixture
def lane(world: World) -> tuple[World, Path, str]:
    """A worktree that stands at a candidate."""
    base = world.move_target({LOCK: "old\n", "gone.lock": "gone\n"})
    world.tip()
    world.pool.prepare("1", base, "x", keep_ignored=False)
    tip = commit(world.pool.path("1"), {"c": "c"}, "the work\n\nand why")
    world.pool.prepare("lane", tip, None, keep_ignored=False)
    return world, world.pool.path("lane"), tip


def test_what_the_command_has_made_is_in_the_commit_and_nothing_else_is(lane: tuple[World, Path, str]) -> None:
    world, tree, tip = lane
    write(tree, {LOCK: "made\n", "new.lock": "new\n", "gone.lock": None, "c": "touched", "junk": "junk"})
    git(tree, "add", "junk")
    before = git(tree, "status", "--porcelain")
    amended = world.pool.amend("lane", tip, LOCKS)
    where = world.control.path
    assert git(where, "diff", "--name-status", tip, amended).split() == ["D", "gone.lock", "A", "new.lock", "M", LOCK]
    assert git(where, "show", f"{amended}:{LOCK}") == "made"
    look = ("show", "-s", "--format=%P%n%an%n%ae%n%ad%n%B", "--date=raw")
    assert git(where, *look, amended) == git(where, *look, tip)
    assert git(tree, "status", "--porcelain") == before
    assert world.pool.amend("lane", tip, LOCKS) == amended


def test_where_nothing_came_of_it_the_commit_stays_itself(lane: tuple[World, Path, str]) -> None:
    world, tree, tip = lane
    assert world.pool.amend("lane", tip, LOCKS) == tip
    write(tree, {"c": "touched", "junk": "junk"})
    (tree / LOCK).write_text("old\n")
    assert world.pool.amend("lane", tip, LOCKS) == tip
    assert world.pool.amend("lane", tip, PatternSet(())) == tip


def test_a_command_that_commits_gets_no_commit_of_its_own_in(lane: tuple[World, Path, str]) -> None:
    world, tree, tip = lane
    commit(tree, {LOCK: "made\n", "c": "touched"}, "by the command")
    amended = world.pool.amend("lane", tip, LOCKS)
    assert git(world.control.path, "diff", "--name-only", tip, amended).split() == [LOCK]
    assert git(world.control.path, "rev-parse", f"{amended}^") == git(world.control.path, "rev-parse", f"{tip}^")


def test_an_executable_stays_one_and_odd_names_are_kept(lane: tuple[World, Path, str]) -> None:
    world, tree, tip = lane
    name = 'od\n"d\udce9.lock'
    (tree / name).write_text("x")
    (tree / name).chmod(0o755)
    amended = world.pool.amend("lane", tip, LOCKS)
    listed = git(world.control.path, "ls-tree", "-z", amended).split("\0")
    assert [entry.split()[0] for entry in listed if entry.endswith(f"\t{name}")] == ["100755"]
