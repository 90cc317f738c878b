"""`./scripts/prove-rebase` in small, on a repository that has everything; and that it would notice."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import prove_rebase as prove
import pytest
from gitworld import commit, git, make_origin

from ticketd.git.door import Git
from ticketd.ports import NothingLeft

SCRIPT = Path(prove.__file__)
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]


def text(chance: random.Random, end: str) -> bytes:
    return "".join(f"{chance.choice(WORDS)} {number}{end}" for number in range(14)).encode()


def change(root: Path, chance: random.Random) -> None:
    """An edit, most of the time; else a new file, one less, another name, mode, link, or bytes that are no text."""
    files = sorted(path for path in root.rglob("*") if ".git" not in path.parts and not path.is_dir())
    plain = [path for path in files if not path.is_symlink()]
    path, fresh = chance.choice(plain), root / chance.choice(("", "lib/", "lib/deep/")) / f"new{chance.randrange(5)}"
    match chance.randrange(12):
        case 0:
            fresh.parent.mkdir(parents=True, exist_ok=True)
            if not fresh.is_symlink():
                fresh.write_bytes(text(chance, chance.choice(("\n", "\r\n"))))
        case 1 if len(plain) > 6:
            path.unlink()
        case 2:
            fresh.parent.mkdir(parents=True, exist_ok=True)
            path.rename(fresh)
        case 3:
            path.chmod(0o755 if path.stat().st_mode & 0o111 == 0 else 0o644)
        case 4:
            (root / "link").unlink(missing_ok=True)
            (root / "link").symlink_to(chance.choice(WORDS))
        case 5:
            (root / "picture").write_bytes(bytes(chance.randrange(256) for _ in range(60)))
        case _:
            lines = path.read_bytes().split(b"\n")
            lines[chance.randrange(len(lines))] = chance.choice(WORDS).encode() + b" changed"
            path.write_bytes(b"\n".join(lines))


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Forty commits and more, on branches that are merged now and then."""
    chance = random.Random(7)
    git(tmp_path, "init", "-q")
    for name in ("unix", "lib/unix", "dos", "lib/dos", "lib/deep/x", "y", "z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text(chance, "\r\n" if "dos" in name else "\n"))
    commit(tmp_path, {".gitattributes": "z merge=union\n"}, "start")
    for round_ in range(8):
        start = git(tmp_path, "rev-parse", "HEAD")
        for number in range(3):
            change(tmp_path, chance)
            commit(tmp_path, {}, f"{round_} main {number}")
        main = git(tmp_path, "rev-parse", "HEAD")
        git(tmp_path, "checkout", "-q", "--detach", start)
        for number in range(3):
            change(tmp_path, chance)
            commit(tmp_path, {}, f"{round_} side {number}")
        git(tmp_path, "branch", f"side-{round_}")
        git(tmp_path, "checkout", "-q", "-B", "main", main)
        git(tmp_path, "merge", "-q", "-X", "ours", "--no-edit", f"side-{round_}", ok=False)
        commit(tmp_path, {}, f"{round_} joined")
    return tmp_path


def test_it_is_git_rebase_on_a_repository_that_has_everything(history: Path) -> None:
    command = [sys.executable, SCRIPT, history, "--commits", "40", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    commits, moves, clean, conflicts, *_, wrong = map(int, done.stdout.splitlines()[1].split()[1:])
    assert commits == 40 < moves
    assert clean > 3 < conflicts
    assert wrong == 0


@pytest.fixture
def yard(tmp_path: Path) -> tuple[prove.Yard, Path]:
    user = make_origin(tmp_path / "source")[1]
    return prove.make_yard(user, tmp_path / "yard"), user


def sides(user: Path, mine: dict[str, str | None], theirs: dict[str, str | None]) -> prove.Move:
    base = git(user, "rev-parse", "HEAD")
    tip = commit(user, mine, "mine")
    git(user, "checkout", "-q", "--detach", base)
    return prove.Move(base, tip, commit(user, theirs, "theirs"), onwards=True)


def findings(yard: prove.Yard, move: prove.Move) -> list[tuple[str, bool]]:
    return [(found.kind, bool(found.wrong)) for found in prove.compare(yard, move)]


def test_what_differs_is_found(yard: tuple[prove.Yard, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    where, user = yard
    clean = sides(user, {"c": "c"}, {"d": "d"})
    clash = sides(user, {"a.txt": "mine\n", "e": "e"}, {"a.txt": "theirs\n"})
    right = prove.rebase
    assert [*findings(where, clean), *findings(where, clash)] == [("clean", False), ("conflicts", False)]
    monkeypatch.setattr(prove, "rebase", lambda *_: NothingLeft())
    assert [*findings(where, clean), *findings(where, clash)] == [("clean", True), ("conflicts", True)]
    met = right(where_git(where), clash.base, clash.tip, clash.onto, (), prove.BY)
    for wrong in (replace(met, paths=("a.txt", "b")), replace(met, commit=clash.base)):
        monkeypatch.setattr(prove, "rebase", lambda *_, wrong=wrong: wrong)
        assert findings(where, clash) == [("conflicts", True)]
    monkeypatch.setattr(prove, "rebase", lambda *args: right(*args[:-2], (("Ticket", "x"),), prove.BY))
    assert findings(where, clean) == [("clean", True)]


def test_what_was_taken_back_is_counted_by_itself(yard: tuple[prove.Yard, Path]) -> None:
    where, user = yard
    move = sides(user, {"c": "c"}, {"d": "d"})
    git(user, "cherry-pick", move.tip)
    git(user, "revert", "--no-edit", "HEAD")
    onto = git(user, "rev-parse", "HEAD")
    assert findings(where, replace(move, onto=onto)) == [("made again", False)]


def where_git(yard: prove.Yard) -> Git:
    return Git(yard.bare, env={"GIT_DIR": str(yard.bare)})
