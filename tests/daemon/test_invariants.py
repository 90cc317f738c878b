"""`scripts/invariants.py` would notice: each wrong is planted after a run in which nothing was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest
from chaos_main import schedule
from failpoint_scenes import RUN, Play, Yard, driver
from invariants import wrongs_at_rest
from left_behind import RUN as MARK

PLAY = Play(
    "quiet",
    {
        "a": {"does": ["make work/@.txt x", "commit"]},
        "bad": {"does": ["sh mkdir -p work; echo BAD > work/bad.txt", "make work/@.txt x"], "retries": 0},
    },
    config="[landing]\nrepairs = 0\n",
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with driver() as by:
        yard = Yard(tmp_path_factory.mktemp("quiet") / "yard", by)
        yard.set_up(PLAY)
        yard.take(RUN)
        yield yard


@pytest.fixture
def yard(done: Yard, tmp_path: Path) -> Iterator[Yard]:
    """What is planted goes with the test."""
    shutil.copytree(done.root, tmp_path / "kept", symlinks=True)
    yield done
    shutil.rmtree(done.root)
    shutil.copytree(tmp_path / "kept", done.root, symlinks=True)


def git(where: Path, *args: str) -> str:
    return subprocess.run(["git", "-C", str(where), *args], check=True, capture_output=True, text=True).stdout.strip()


def change_store(yard: Yard, sql: str) -> None:
    db = sqlite3.connect(yard.scene.state / "store.db")
    with db:
        db.execute(sql)
    db.close()


def land_again(yard: Yard) -> None:
    """The work of `a` a second time, by a push of its own."""
    other = yard.root / "other"
    git(yard.root, "clone", "-q", str(yard.scene.origin), str(other))
    git(other, "commit", "-q", "--allow-empty", "-m", "once more\n\nTicket: a")
    git(other, "push", "-q", "origin", "HEAD:main")


def forget(control: Path, ticket: str) -> None:
    for ref in git(control, "for-each-ref", "--format=%(refname)").splitlines():
        if f"/{ticket}/" in ref:
            git(control, "update-ref", "-d", ref)


def plant_hook(control: Path) -> None:
    (control / "hooks").mkdir(exist_ok=True)
    (control / "hooks" / "post-commit").touch()


WRONGS: dict[str, tuple[Callable[[Yard], object], str]] = {
    "moved back": (lambda y: git(y.scene.origin, "update-ref", "refs/heads/main", "main~1"), "is no fast-forward"),
    "landed twice": (land_again, "a has landed 2 times"),
    "unverified": (lambda y: (y.root / "verified").write_text(""), "was never verified"),
    "work gone": (lambda y: forget(y.scene.control, "bad"), "of bad/1 (ended) is lost"),
    "ref unexplained": (
        lambda y: git(y.scene.control, "update-ref", "refs/ticketd/x/1", "refs/target/main"),
        "explains",
    ),
    "store": (lambda y: change_store(y, "UPDATE tickets SET detail = 'other' WHERE id = 'a'"), "another story"),
    "not landed": (lambda y: git(y.scene.origin, "update-ref", "refs/heads/main", "main~1"), "is not on main"),
    "lock": (lambda y: (y.scene.control / "packed-refs.lock").touch(), "left behind"),
    "tree": (lambda y: (y.scene.state / "worktrees" / "77").mkdir(), "no record explains the worktree"),
    "hook": (lambda y: plant_hook(y.scene.control), "left behind"),
    "setting": (lambda y: git(y.scene.control, "config", "core.hooksPath", "/x"), "core.hookspath"),
    "file": (lambda y: (y.scene.state / "stray").touch(), "no record explains"),
    "user's": (lambda y: (y.work / ".git" / "stray").touch(), "stray is new"),
    "home": (lambda y: (y.root / "home" / ".gitconfig").write_text(""), "has changed"),
}


def test_nothing_is_wrong_after_a_quiet_run(yard: Yard) -> None:
    assert list(wrongs_at_rest(yard.scene)) == []


@pytest.mark.parametrize("name", WRONGS)
def test_a_planted_wrong_is_told(name: str, yard: Yard) -> None:
    plant, words = WRONGS[name]
    plant(yard)
    assert any(words in wrong for wrong in wrongs_at_rest(yard.scene))


def test_a_process_that_is_left_is_told(yard: Yard) -> None:
    environ = {**os.environ, MARK: f"{yard.scene.state.name}/a/1"}
    with ExitStack() as end:
        left = subprocess.Popen(["sleep", "60"], env=environ)
        end.callback(left.wait)
        end.callback(left.kill)
        assert any(f"process {left.pid} of a/1 is still there" in wrong for wrong in wrongs_at_rest(yard.scene))


def test_a_seed_makes_the_same_faults_each_time() -> None:
    assert list(islice(schedule(7), 200)) == list(islice(schedule(7), 200))
    assert list(islice(schedule(7), 20)) != list(islice(schedule(8), 20))
