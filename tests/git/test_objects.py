"""Objects read and written in place are what git reads and writes."""

from __future__ import annotations

import stat
import zlib
from pathlib import Path

import pytest
from gitworld import ADA, World, commit, git, make_origin, write

from ticketd.errors import GitFailed
from ticketd.git import objects as module
from ticketd.git.attributes import load_attributes, write_attributes
from ticketd.git.commits import parse_commit, render_commit
from ticketd.git.door import Answer, Git
from ticketd.git.objects import Objects, name_of, objects_of, quoted
from ticketd.git.snapshot import throw_away_objects

FORMATS = ("sha1", "sha256")


def repository(at: Path, format_: str) -> Path:
    git(at, "init", "-q", f"--object-format={format_}")
    commit(at, {"a": str(at)})  # no other test has these objects: what has been read once is remembered
    return at


def objects_in(at: Path) -> Objects:
    return objects_of(Git(at, env={"GIT_DIR": str(at / ".git")}))


def loose(at: Path, sha: str) -> Path:
    return at / ".git/objects" / sha[:2] / sha[2:]


@pytest.mark.parametrize("format_", FORMATS)
def test_git_reads_what_is_written_and_the_other_way_round(tmp_path: Path, format_: str) -> None:
    root = repository(tmp_path, format_)
    sha = git(root, "rev-parse", "HEAD")
    objects = objects_in(root)
    (content,) = objects.load([sha])
    assert content is not None
    like = parse_commit(sha, content)
    made = [render_commit(like.tree, (sha,), like, ADA, b"message %d\n" % n) for n in range(3)]
    names = objects.save("commit", made, sha)
    assert names == tuple(name_of("commit", each, sha) for each in made)
    assert [git(root, "show", "-s", "--format=%s", name) for name in names] == ["message 0", "message 1", "message 2"]
    assert git(root, "fsck", "--strict", *names) == ""
    assert objects.load([*names, sha]) == [*made, content]
    assert [stat.S_IMODE(loose(root, name).stat().st_mode) for name in names] == [0o444] * 3
    assert objects.save("tree", [b""], sha) == (git(root, "hash-object", "-t", "tree", "--stdin", stdin=b""),)


def test_what_is_packed_comes_from_git_and_what_is_missing_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path, "sha1")
    first = git(root, "rev-parse", "HEAD")
    git(root, "repack", "-adq")
    later = commit(root, {"b": "b"})
    assert not loose(root, first).exists()
    asked: list[str] = []
    ask = Git.ask

    def count(self: Git, *args: str, **options: object) -> Answer:
        asked.append(args[0])
        return ask(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module.Git, "ask", count)
    objects = objects_in(root)
    assert objects.load([later])[0] is not None
    assert asked == []
    answer = objects.load(["1" * 40, first, later, "2" * 40])
    assert [each is None for each in answer] == [True, False, False, True]
    assert asked == ["cat-file"]
    assert answer[1] == git(root, "cat-file", "commit", first).encode() + b"\n"


def test_an_object_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    """git 2.39 reads it without a word."""
    root = repository(tmp_path, "sha1")
    sha = git(root, "rev-parse", "HEAD")
    content = git(root, "cat-file", "commit", sha).encode() + b" forged\n"
    path = loose(root, sha)
    path.chmod(0o644)
    path.write_bytes(zlib.compress(b"commit %d\0" % len(content) + content))
    assert "forged" in git(root, "cat-file", "commit", sha)
    with pytest.raises(GitFailed, match=sha):
        objects_in(root).load([sha])


@pytest.mark.parametrize("damage", [b"", b"rubbish"])
def test_a_damaged_object_is_missing_as_git_says(tmp_path: Path, damage: bytes) -> None:
    root = repository(tmp_path, "sha1")
    sha = git(root, "rev-parse", "HEAD")
    loose(root, sha).chmod(0o644)
    loose(root, sha).write_bytes(damage)
    assert objects_in(root).load([sha]) == [None]


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    root = repository(tmp_path, "sha1")
    objects, like = objects_in(root), git(root, "rev-parse", "HEAD")
    (name,) = objects.save("blob", [b"content"], like)
    before = loose(root, name).stat().st_ino
    assert objects.save("blob", [b"content", b"content"], like) == (name, name)
    assert loose(root, name).stat().st_ino == before


def test_what_a_kill_leaves_half_written_is_swept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(path: Path, target: Path) -> Path:
        raise KeyboardInterrupt(path, target)

    objects, like = objects_of(world.control.git), world.tip()
    monkeypatch.setattr(Path, "replace", die)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok: None)
    with pytest.raises(KeyboardInterrupt):
        objects.save("blob", [b"content"], like)
    monkeypatch.undo()
    assert objects.load([name_of("blob", b"content", like)]) == [None]
    assert len(list(world.control.path.glob("objects/??/tmp_obj_*"))) == 1
    assert world.mended() == ["removed 1 half-written objects"]


def test_a_folder_that_is_removed_meanwhile_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository(tmp_path, "sha1")
    objects, like = objects_in(root), git(root, "rev-parse", "HEAD")
    mkstemp = module.tempfile.mkstemp
    removed: list[Path] = []

    def removing(*, prefix: str, dir: Path) -> tuple[int, str]:
        if not removed:
            removed.append(dir)
            dir.rmdir()
        return mkstemp(prefix=prefix, dir=dir)

    monkeypatch.setattr(module.tempfile, "mkstemp", removing)
    (name,) = objects.save("blob", [b"surely in no folder yet 1"], like)
    assert removed
    assert git(root, "cat-file", "blob", name) == "surely in no folder yet 1"


def test_a_full_disk_is_an_error_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository(tmp_path, "sha1")
    like = git(root, "rev-parse", "HEAD")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(GitFailed, match="No space left"):
        objects_in(root).save("blob", [b"new"], like)
    assert list((root / ".git/objects").glob("??/tmp_obj_*")) == []


def test_in_a_trial_new_objects_go_with_it_and_old_ones_are_seen(world: World) -> None:
    tip = world.tip()
    with throw_away_objects(world.control) as env:
        objects = objects_of(Git(world.control.path, env={**world.control.git.env, **env}))
        assert not objects.durable
        assert objects.others == (world.control.path / "objects",)
        assert objects.load([tip])[0] is not None
        (name,) = objects.save("blob", [b"only a trial"], tip)
        assert objects.load([name]) == [b"only a trial"]
    assert objects_of(world.control.git).load([name]) == [None]


def test_directories_with_strange_names_are_told_to_git_and_understood(tmp_path: Path) -> None:
    homes = [tmp_path / name for name in ("plain", "with:colon", 'with"quote', "with\\backslash", "with blank")]
    listed = ":".join(quoted(home) for home in homes)
    git_ = Git(tmp_path, env={"GIT_DIR": str(tmp_path), "GIT_ALTERNATE_OBJECT_DIRECTORIES": f"{listed}:/bare"})
    assert objects_of(git_).others == (*homes, Path("/bare"))


# --- attributes ---

ATTRIBUTES = {".gitattributes": "* text\n", "src/deep/.gitattributes": "x -merge\n", "src/.gitattributesx": "no\n"}


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("packed", [False, True])
def test_the_attributes_of_a_tree_are_found(tmp_path: Path, format_: str, packed: bool) -> None:
    root = repository(tmp_path, format_)
    commit(root, {**ATTRIBUTES, "!first": "1", "other/x": "x", f"unlike-{format_}-{packed}": ""})
    (root / "other/.gitattributes").symlink_to("../.gitattributes")  # git reads no symlink either
    commit(root, {})
    if packed:
        git(root, "repack", "-adq")
    tree = git(root, "rev-parse", "HEAD^{tree}")
    expected = {".gitattributes": b"* text\n", "src/deep/.gitattributes": b"x -merge\n"}
    assert load_attributes(objects_in(root), tree) == expected
    commit(root, {"src/deep/.gitattributes": None, "other/new": "n"})
    del expected["src/deep/.gitattributes"]
    assert load_attributes(objects_in(root), git(root, "rev-parse", "HEAD^{tree}")) == expected


@pytest.mark.parametrize("name", [b"..", b".", b".git"])
def test_a_tree_cannot_lead_astray(tmp_path: Path, name: bytes) -> None:
    root = repository(tmp_path, "sha1")
    objects, like = objects_in(root), git(root, "rev-parse", "HEAD")
    (blob,) = objects.save("blob", [b"* merge=union\n"], like)
    (inner,) = objects.save("tree", [b"100644 .gitattributes\0" + bytes.fromhex(blob)], like)
    (tree,) = objects.save("tree", [b"40000 %s\0" % name + bytes.fromhex(inner)], like)
    assert load_attributes(objects, tree) == {}


NAMES = [
    "CHANGELOG.md",
    "with blank",
    "st*r?",
    "[set]",
    "back\\slash",
    'quo"te',
    "new\nline",
    "tab\t",
    "caf\udce9",
    "!not",
    "#no",
]


@pytest.mark.parametrize("folder", ["", "deep/er/"])
def test_a_path_is_united_whatever_its_name_and_no_other(tmp_path: Path, folder: str) -> None:
    root = make_origin(tmp_path)[1]
    write(root, {f"{folder}keep": ""})
    united = [f"{folder}{name}" for name in NAMES]
    write_attributes(root, {f"{folder}.gitattributes": b"* -merge\nlast -merge"}, united)
    others = [f"{folder}{name}" for name in ("CHANGELOG-md", "star", "s", "last")]
    asked = "".join(f"{path}\0" for path in (*united, *others)).encode(errors="surrogateescape")
    fields = git(root, "check-attr", "-z", "--stdin", "merge", stdin=asked).split("\0")
    assert fields[2::3] == ["union"] * len(united) + ["unset"] * len(others)
