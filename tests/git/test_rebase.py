"""The rebase in memory against `git rebase` itself, and the trailers against git's own reading of them."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from gitworld import ADA, World, commit, git, make_origin, write
from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.attempt import Drift
from ticketd.git import rebase as module
from ticketd.git.commits import parse_commit, render_commit, sound
from ticketd.git.door import Answer, Git
from ticketd.git.merging import MERGING
from ticketd.git.objects import name_of
from ticketd.git.rebase import rebase
from ticketd.git.trailers import with_trailers
from ticketd.ports import Conflict, NothingLeft, Rebased

OURS = (("Ticket", "fix-it"), ("Ticket-Attempt", "1"))
NAMES = [b"plain", b"dir/inner", b"dir/other", b"with space", b"new\nline", b"caf\xe9", b"dir2/deep/x"]


def in_memory(
    repository: Path, base: str, tip: str, onto: str, trailers: Sequence[tuple[str, str]] = OURS
) -> Rebased | Conflict | NothingLeft:
    own = Git(repository, env={"GIT_DIR": str(repository / ".git")})
    return rebase(own, base, tip, onto, trailers, ADA)


def change_something(root: Path, chance: random.Random) -> None:
    """One random change of one random file: an edit, an add, a delete, a rename, a mode, a type, a binary."""
    files = sorted(p for p in root.rglob("*") if p.is_file() and ".git" not in p.parts)
    path = chance.choice(files)
    match chance.randrange(8):
        case 0 | 1 | 2:
            lines = path.read_bytes().split(b"\n")
            lines[chance.randrange(len(lines))] = b"changed %d" % chance.randrange(5)
            path.write_bytes(b"\n".join(lines))
        case 3:
            fresh = root / os.fsdecode(chance.choice([b"added", b"dir/added", b"\xff\xfe", b"tab\there"]))
            fresh.parent.mkdir(exist_ok=True)
            fresh.write_bytes(b"added %d\n" % chance.randrange(3))
        case 4:
            path.unlink()
        case 5:
            fresh = root / chance.choice(["moved", "dir3/moved", "dir/moved"])
            fresh.parent.mkdir(exist_ok=True)
            path.rename(fresh)
        case 6:
            path.chmod(0o755 if path.stat().st_mode & 0o111 == 0 else 0o644)
        case _:
            path.write_bytes(bytes(chance.randrange(256) for _ in range(40)))


def commits(root: Path, chance: random.Random, count: int) -> str:
    for number in range(count):
        change_something(root, chance)
        git(root, "add", "-A")
        who = f"--author=Robot {number} <robot@example.org>"
        git(root, "commit", "-q", "--allow-empty", who, f"--date=17000000{number:02} +0330", "-m", f"step {number}")
    return git(root, "rev-parse", "HEAD")


@pytest.mark.parametrize("seed", range(40))
def test_it_gives_what_git_rebase_gives(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    git(tmp_path, "init", "-q")
    for name in NAMES:
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(b"%s %d\n" % (name[:3], n) for n in range(12)))
    base = commit(tmp_path, {}, "base")
    onto = commits(tmp_path, chance, chance.randrange(1, 4))
    git(tmp_path, "checkout", "-q", "--detach", base)
    tip = commits(tmp_path, chance, chance.randrange(1, 4))

    verdict = in_memory(tmp_path, base, tip, onto)
    options = ("--no-keep-empty", "--empty=drop", "--no-reapply-cherry-picks")
    git(tmp_path, "-c", MERGING, "rebase", *options, onto, ok=False)
    stopped = (tmp_path / ".git/rebase-merge").exists()

    assert isinstance(verdict, Conflict) == stopped
    if isinstance(verdict, Conflict):
        assert verdict.commit == git(tmp_path, "rev-parse", "REBASE_HEAD")
        unmerged = git(tmp_path, "ls-files", "-z", "--unmerged").split("\0")
        assert set(verdict.paths) == {entry.partition("\t")[2] for entry in unmerged if entry}
        return
    new = verdict.commits if isinstance(verdict, Rebased) else ()
    theirs = git(tmp_path, "rev-list", "--reverse", f"{onto}..HEAD").split()
    look = ("show", "-s", "--format=%T %an %ae %ad %s", "--date=raw")
    assert [git(tmp_path, *look, sha) for sha in new] == [git(tmp_path, *look, sha) for sha in theirs]
    assert in_memory(tmp_path, base, tip, onto) == verdict


@pytest.fixture
def user(tmp_path: Path) -> Path:
    return make_origin(tmp_path)[1]


def branch_from(user: Path, base: str) -> None:
    git(user, "checkout", "-q", "--detach", base)


def test_author_dates_encoding_and_message_stay_and_the_committer_is_given(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    message = "Sm\xf6rg\xe5s\n\nbody  \n# kept\n\n\n".encode("latin-1")
    write(user, {"c": "c"})
    git(user, "add", "-A")
    tree = git(user, "write-tree")
    raw = b"tree %s\nparent %s\n"
    raw += b"author \xc5ke <a@x> 1600000000 -0730\ncommitter C <c@x> 1700000000 +0000\nencoding latin1\n\n%s"
    tip = git(user, "hash-object", "-t", "commit", "-w", "--stdin", stdin=raw % (tree.encode(), base.encode(), message))
    git(user, "reset", "-q", "--hard", base)
    onto = commit(user, {"d": "d"})
    done = in_memory(user, base, tip, onto, ())
    assert isinstance(done, Rebased)
    new = os.fsencode(git(user, "cat-file", "commit", done.tip))
    head = new.partition(b"\n\n")[0].split(b"\n")
    assert head[2:] == [
        b"author \xc5ke <a@x> 1600000000 -0730",
        b"committer Ada Tester <ada@example.org> 1600000000 -0730",
        b"encoding latin1",
    ]
    content = git(user, "cat-file", "-p", done.tip)
    assert os.fsencode(content).partition(b"\n\n")[2] == message.rstrip(b"\n")  # the helper trims; the object does not
    assert git(user, "cat-file", "-s", done.tip) == str(len(b"\n".join(head)) + 2 + len(message))


ODD = [
    b"A <a@b> 1700000000 +99999",
    b"A <a@b> 1700000000 0100",
    b"A <a@b> 01700000000 +0100",
    b"A <a@b> 99999999999999999999999 +0100",
    b"A <a@b> -5 +0100",
    b"A <a@b> soon +0100",
    b"A <a@b>1700000000 +0100",
    b"A<a@b> 1700000000 +0100",
    b"A > B <a@b> 1700000000 +0100",
    b"A <a<b@c>> 1700000000 +0100",
    b"A \0 B <a@b> 1700000000 +0100",
    b"<a@b> 1700000000 +0100",
    b"A",
    b"",
]


@pytest.mark.parametrize("author", ODD)
def test_whatever_an_agent_has_written_for_an_author_no_remote_refuses_the_commit(user: Path, author: bytes) -> None:
    base, tree = git(user, "rev-parse", "HEAD"), git(user, "rev-parse", "HEAD^{tree}")
    raw = b"tree %s\nparent %s\nauthor %s\ncommitter A <a@b> 0 +0000\nencoding a\0b\n\nodd\n"
    odd = parse_commit("", raw % (tree.encode(), base.encode(), author))
    fresh = render_commit(tree, (base,), odd, ADA, odd.message)
    git(user, "hash-object", "-t", "commit", "-w", "--stdin", stdin=fresh)
    checked = git(user, "fsck", "--strict", "--no-dangling")
    assert checked == "", fresh


@given(st.binary(max_size=60).filter(lambda header: b"\n" not in header))
def test_an_author_is_made_sound_once_and_for_all(author: bytes) -> None:
    assert sound(sound(author)) == sound(author)
    date = sound(author).rsplit(b" ", 2)[1:]
    assert date[0].isdigit() and len(date[1]) == 5


def test_on_the_same_base_nothing_is_merged_and_without_trailers_nothing_is_made(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    tip = commit(user, {"c": "c"})
    assert in_memory(user, base, tip, base, ()) == Rebased(tip, (tip,))
    done = in_memory(user, base, tip, base)
    assert isinstance(done, Rebased)
    assert git(user, "rev-parse", f"{done.tip}^{{tree}}") == git(user, "rev-parse", f"{tip}^{{tree}}")


def test_what_is_there_already_leaves_nothing(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    tip = commit(user, {"c": "c"}, "same")
    branch_from(user, base)
    onto = commit(user, {"c": "c", "d": "d"}, "theirs")
    assert in_memory(user, base, tip, onto) == NothingLeft()
    assert in_memory(user, base, base, onto) == NothingLeft()
    assert in_memory(user, base, onto, onto) == NothingLeft()


def test_empty_commits_are_dropped_and_the_rest_lands(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    commit(user, {"c": "c"}, "there already")
    commit(user, {}, "empty")
    tip = commit(user, {"e": "e"}, "left")
    branch_from(user, base)
    onto = commit(user, {"c": "c"}, "theirs")
    done = in_memory(user, base, tip, onto)
    assert isinstance(done, Rebased)
    assert git(user, "log", "--format=%s", f"{onto}..{done.tip}") == "left"


def test_the_conflict_names_the_commit_that_meets_it(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    commit(user, {"c": "c"}, "fine")
    bad = commit(user, {"a.txt": "mine\n"}, "clashes")
    tip = commit(user, {"e": "e"}, "never reached")
    branch_from(user, base)
    onto = commit(user, {"a.txt": "theirs\n"})
    met = in_memory(user, base, tip, onto)
    assert isinstance(met, Conflict)
    assert (met.paths, met.commit) == (("a.txt",), bad)
    assert met.messages == ("CONFLICT (content): Merge conflict in a.txt",)
    marked = git(user, "show", f"{met.tree}:a.txt").splitlines()
    assert [line for line in marked if line[:7] not in ("<<<<<<<", ">>>>>>>")] == ["theirs", "=======", "mine"]
    assert git(user, "show", f"{met.tree}:c") == "c"


def test_a_range_with_merges_lands_as_one_commit(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    commit(user, {"a.txt": "mine\n"}, "mine\n\nthe body")
    mine = git(user, "rev-parse", "HEAD")
    branch_from(user, base)
    main = commit(user, {"a.txt": "theirs\n"}, "theirs")
    branch_from(user, mine)
    git(user, "merge", "-q", main, ok=False)
    tip = commit(user, {"a.txt": "both\n"}, "merged")
    branch_from(user, main)
    onto = commit(user, {"z": "z"}, "later")
    done = in_memory(user, base, tip, onto)
    assert isinstance(done, Rebased)
    assert done.flattened
    assert done.commits == (done.tip,)
    assert git(user, "rev-parse", f"{done.tip}^@") == onto
    assert git(user, "show", f"{done.tip}:a.txt") == "both"
    assert git(user, "show", f"{done.tip}:z") == "z"
    assert git(user, "log", "-1", "--format=%B", done.tip) == ("mine\n\nthe body\n\nTicket: fix-it\nTicket-Attempt: 1")
    assert in_memory(user, base, tip, onto) == done


def test_a_history_without_the_base_can_be_moved(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    git(user, "checkout", "-q", "--orphan", "fresh")
    tip = commit(user, {"new": "n"}, "root")
    done = in_memory(user, base, tip, base)
    assert isinstance(done, Rebased)
    assert git(user, "show", f"{done.tip}:new") == "n"
    assert git(user, "rev-parse", f"{done.tip}^") == base


def test_a_repository_with_the_longer_names_is_rebased_as_well(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256")
    base = commit(tmp_path, {"a": "a\n", ".gitattributes": "list merge=union\n", "list": "one\n"})
    commit(tmp_path, {"a": "mine\n", "list": "one\nmine\n"}, "first")
    tip = commit(tmp_path, {"c": "c\n"}, "second")
    branch_from(tmp_path, base)
    onto = commit(tmp_path, {"d": "d\n", "list": "one\ntheirs\n"})
    clash = commit(tmp_path, {"a": "theirs\n"})
    done = in_memory(tmp_path, base, tip, onto)
    assert isinstance(done, Rebased)
    assert git(tmp_path, "log", "--reverse", "--format=%s", f"{onto}..{done.tip}").split() == ["first", "second"]
    assert git(tmp_path, "show", f"{done.tip}:list").split() == ["one", "theirs", "mine"]
    assert git(tmp_path, "fsck", "--strict", "--no-dangling", done.tip) == ""
    met = in_memory(tmp_path, base, tip, clash)
    assert isinstance(met, Conflict)
    assert met.paths == ("a",)
    git(tmp_path, "checkout", "-q", "--orphan", "fresh")
    git(tmp_path, "rm", "-rfq", ".")
    done = in_memory(tmp_path, base, commit(tmp_path, {"new": "n"}), onto)
    assert isinstance(done, Rebased)
    assert git(tmp_path, "diff", "--name-only", onto, done.tip) == "new"


def test_a_target_that_was_rewound_gets_only_the_work(user: Path) -> None:
    start = git(user, "rev-parse", "HEAD")
    base = commit(user, {"bad": "bad"}, "to be taken off")
    tip = commit(user, {"c": "c"}, "work")
    branch_from(user, start)
    onto = commit(user, {"d": "d"}, "instead")
    done = in_memory(user, base, tip, onto)
    assert isinstance(done, Rebased)
    assert git(user, "diff", "--name-only", onto, done.tip) == "c"


def test_merges_of_a_target_that_was_rewound_bring_nothing_back(user: Path) -> None:
    start = git(user, "rev-parse", "HEAD")
    base = commit(user, {"bad": "bad"}, "to be taken off")
    commit(user, {"c": "c"}, "work")
    mine = git(user, "rev-parse", "HEAD")
    branch_from(user, base)
    side = commit(user, {"e": "e"}, "side")
    branch_from(user, mine)
    git(user, "merge", "-q", "--no-edit", side)
    tip = git(user, "rev-parse", "HEAD")
    branch_from(user, start)
    onto = commit(user, {"d": "d"}, "instead")
    done = in_memory(user, base, tip, onto)
    assert isinstance(done, Rebased)
    assert done.flattened
    assert git(user, "diff", "--name-only", onto, done.tip).split() == ["c", "e"]


def test_only_merges_of_its_own_flatten_a_range(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    side = commit(user, {"e": "e"}, "side")
    branch_from(user, base)
    commit(user, {"d": "d"}, "theirs")
    git(user, "merge", "-q", "--no-edit", side)
    onto = git(user, "rev-parse", "HEAD")
    tip = commit(user, {"c": "c"}, "on top of a merge")
    done = in_memory(user, base, tip, onto)
    assert isinstance(done, Rebased)
    assert not done.flattened
    assert done.commits == (done.tip,)
    assert isinstance(moved := in_memory(user, side, tip, side), Rebased)
    assert moved.flattened


FOLDER = {f"old/{number}.txt": f"content {number}\n" * 10 for number in range(4)}


def test_a_file_added_to_a_folder_that_has_moved_stays_where_it_was_put(user: Path) -> None:
    base = commit(user, FOLDER)
    tip = commit(user, {"old/later.txt": "stays\n", "old/0.txt": "changed\n" + FOLDER["old/0.txt"]})
    branch_from(user, base)
    git(user, "mv", "old", "new")
    onto = commit(user, {})
    done = in_memory(user, base, tip, onto)
    assert isinstance(done, Rebased)
    files = git(user, "ls-tree", "-r", "--name-only", done.tip, "old", "new").split()
    assert files == ["new/0.txt", "new/1.txt", "new/2.txt", "new/3.txt", "old/later.txt"]
    assert git(user, "show", f"{done.tip}:new/0.txt").startswith("changed")


def test_a_folder_that_moves_takes_nothing_along_that_came_meanwhile(user: Path) -> None:
    base = commit(user, FOLDER)
    git(user, "mv", "old", "new")
    tip = commit(user, {})
    branch_from(user, base)
    onto = commit(user, {"old/later.txt": "stays\n"})
    done = in_memory(user, base, tip, onto)
    assert isinstance(done, Rebased)
    assert git(user, "show", f"{done.tip}:old/later.txt") == "stays"


def test_a_moved_folder_is_no_drift_either(world: World) -> None:
    base = world.move_target(FOLDER)
    world.tip()
    world.pool.prepare("1", base, "x", keep_ignored=False)
    write(world.pool.path("1"), {"old/later.txt": "stays\n"})
    git(world.other, "mv", "old", "new")
    onto = world.move_target({})
    world.tip()
    assert world.drift("1", base, onto) == (Drift.BEHIND, ())


def test_the_targets_merge_attributes_count(world: World) -> None:
    base = world.move_target({".gitattributes": "LOG merge=union\n", "LOG": "one\n"})
    world.tip()
    world.pool.prepare("1", base, "x", keep_ignored=False)
    tip = commit(world.pool.path("1"), {"LOG": "one\nmine\n"})
    world.move_target({"LOG": "one\ntheirs\n"})
    done = world.control.rebase(base, tip, world.tip(), OURS)
    assert isinstance(done, Rebased)
    assert set(git(world.control.path, "show", f"{done.tip}:LOG").split()) == {"one", "mine", "theirs"}


def test_attributes_of_folders_count_as_well(world: World) -> None:
    files = {"src/.gitattributes": "*.list merge=union\nkept -merge\n", "src/x.list": "one\n", "x.list": "one\n"}
    base = world.move_target({**files, "src/kept": "".join(f"{n}\n" for n in range(20))})
    world.tip()
    world.pool.prepare("1", base, "x", keep_ignored=False)
    tree = world.pool.path("1")
    united = commit(tree, {"src/x.list": "one\nmine\n"})
    kept = "".join(f"{n}\n" for n in range(20))
    tip = commit(tree, {"src/kept": "mine\n" + kept})
    world.move_target({"src/x.list": "one\ntheirs\n", "src/kept": kept + "theirs\n"})
    onto = world.tip()
    done = world.control.rebase(base, united, onto, OURS)
    assert isinstance(done, Rebased)
    assert git(world.control.path, "show", f"{done.tip}:src/x.list").split() == ["one", "theirs", "mine"]
    met = world.control.rebase(base, tip, onto, OURS)
    assert isinstance(met, Conflict)
    assert met.paths == ("src/kept",)


def test_attributes_that_an_agent_writes_do_not_count_before_they_have_landed(world: World) -> None:
    base = world.move_target({"x": "one\n"})
    world.tip()
    world.pool.prepare("1", base, "x", keep_ignored=False)
    commit(world.pool.path("1"), {".gitattributes": "* merge=union\n"})
    tip = commit(world.pool.path("1"), {"x": "mine\n"})
    world.move_target({"x": "theirs\n"})
    assert isinstance(world.control.rebase(base, tip, world.tip(), OURS), Conflict)


@pytest.mark.parametrize(("count", "processes"), [(1, ["merge-tree"]), (2, ["rev-list", "merge-tree", "merge-tree"])])
def test_a_commit_takes_one_process(
    user: Path, monkeypatch: pytest.MonkeyPatch, count: int, processes: list[str]
) -> None:
    base = git(user, "rev-parse", "HEAD")
    tip = [commit(user, {f"c{number}": "c"}) for number in range(count)][-1]
    branch_from(user, base)
    onto = commit(user, {"d": "d"})
    asked: list[str] = []
    ask = Git.ask

    def note(self: Git, *args: str, **options: object) -> Answer:
        asked.append(args[0])
        return ask(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module.Git, "ask", note)
    assert isinstance(in_memory(user, base, tip, onto), Rebased)
    assert asked == processes


def test_a_patch_that_the_target_has_had_is_left_out_where_it_would_conflict_now(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    fixed = commit(user, {"a.txt": "fixed\n"}, "the fix")
    tip = commit(user, {"c": "c"}, "work")
    branch_from(user, base)
    git(user, "cherry-pick", fixed)
    onto = commit(user, {"a.txt": "fixed, and better\n"}, "theirs")
    done = in_memory(user, base, tip, onto)
    assert isinstance(done, Rebased)
    assert git(user, "log", "--format=%s", f"{onto}..{done.tip}") == "work"
    assert git(user, "show", f"{done.tip}:a.txt") == "fixed, and better"
    assert in_memory(user, base, fixed, onto) == NothingLeft()


def test_a_patch_like_one_of_the_target_s_does_not_hide_a_true_conflict(user: Path) -> None:
    base = git(user, "rev-parse", "HEAD")
    fixed = commit(user, {"a.txt": "fixed\n"}, "the fix")
    tip = commit(user, {"src/b.py": "b = 'mine'\n"}, "work")
    branch_from(user, base)
    git(user, "cherry-pick", fixed)
    onto = commit(user, {"a.txt": "better\n", "src/b.py": "b = 'theirs'\n"}, "theirs")
    met = in_memory(user, base, tip, onto)
    assert isinstance(met, Conflict)
    assert (met.paths, met.commit) == (("src/b.py",), tip)


def test_a_patch_that_was_taken_back_on_the_target_is_made_again(user: Path) -> None:
    """`git rebase` would leave it out; see `rebase`."""
    base = git(user, "rev-parse", "HEAD")
    tip = commit(user, {"c": "c"}, "work")
    branch_from(user, base)
    commit(user, {"d": "d"}, "theirs")
    git(user, "cherry-pick", tip)
    git(user, "revert", "--no-edit", "HEAD")
    onto = git(user, "rev-parse", "HEAD")
    done = in_memory(user, base, tip, onto)
    assert isinstance(done, Rebased)
    assert git(user, "show", f"{done.tip}:c") == "c"


def test_the_control_repository_rebases(world: World) -> None:
    base = world.tip()
    world.pool.prepare("1", base, "x", keep_ignored=False)
    tip = commit(world.pool.path("1"), {"c": "c"})
    world.move_target({".gitattributes": "* text=auto\n"})
    onto = world.tip()
    done = world.control.rebase(base, tip, onto, OURS)
    assert isinstance(done, Rebased)
    assert world.control.changed(onto, done.tip) == ("c",)
    assert world.control.count(onto, done.tip) == 1
    assert world.control.contains(done.tip, onto)
    assert not world.control.contains(onto, done.tip)
    assert not world.control.contains(onto, "1" * 40)


def test_a_commits_name_is_known_before_it_is_written(user: Path) -> None:
    sha = git(user, "rev-parse", "HEAD")
    content = os.fsencode(git(user, "cat-file", "commit", sha)) + b"\n"
    assert name_of("commit", content, sha) == sha
    parsed = parse_commit(sha, content)
    assert render_commit(parsed.tree, parsed.parents, parsed, ADA, parsed.message) == content


MESSAGES = [
    "subject",
    "subject\n",
    "subject\n\nbody\n",
    "subject\n\nbody\n\n\n",
    "subject\n\nTicket: forged",
    "subject\n\nticket : forged\nSigned-off-by: A <a@x>\n",
    "subject\n\nSigned-off-by: A <a@x>\nTicket: forged\n  continued\nReviewed-by: B\n",
    "subject\n\nSigned-off-by: A <a@x>\nnot a trailer\nTicket: forged\n",
    "subject\n\nbody\n\nSigned-off-by: A <a@x>\n",
    "subject\n\nTicket: forged\nsome text that\nis a paragraph\nof words\n",
    "Ticket: forged",
    "Ticket: forged\n\nTicket: forged",
    "subject\n\nURL: https://example.org\n\nbody: yes\nand no\n",
    "subject\n\n---\ndiff\n",
    "subject\n\n(cherry picked from commit 123)\n",
    "",
]


@pytest.mark.parametrize("message", MESSAGES[:-1])
def test_trailers_are_what_git_makes_of_them(tmp_path: Path, message: str) -> None:
    git(tmp_path, "init", "-q")
    by_git = git(
        tmp_path,
        *("interpret-trailers", "--no-divider", "--if-exists=replace", "--trailer=Ticket: fix-it"),
        stdin=(message.rstrip("\n") + "\n").encode(),
    )
    assert with_trailers(message.encode(), OURS[:1]).decode().strip() == by_git


def test_a_nul_in_a_message_hides_no_trailer() -> None:
    assert with_trailers(b"title\0\n\nbody\0\n", OURS[:1]) == with_trailers(b"title\n\nbody\n", OURS[:1])


@pytest.mark.parametrize(
    "message", [*MESSAGES, " \n", "s\n\nTicket: f1\nTICKET: f2\nTicket-attempt: 9\nTicket: f3\n", "s\n\n# x\n"]
)
def test_no_forged_trailer_stands_beside_ours(user: Path, message: str) -> None:
    text = with_trailers(message.encode(), OURS)
    tree = git(user, "rev-parse", "HEAD^{tree}")
    sha = git(user, "commit-tree", tree, stdin=text)
    read = git(user, "log", "-1", "--format=%(trailers:only,unfold)", sha).splitlines()
    assert [line for line in read if line.lower().startswith("ticket")] == ["Ticket: fix-it", "Ticket-Attempt: 1"]
    assert with_trailers(text, OURS) == text
