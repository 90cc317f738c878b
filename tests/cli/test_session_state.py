"""`scripts/session_state.py`: the session's state from wherever one stands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from eyes_yard import Yard

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "session_state.py"
BARE_PYTHON = [getattr(sys, "_base_executable", sys.executable), "-I", "-S"]


def git(where: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True)


def state(*arguments: str, where: Path, python: list[str] | None = None, script: Path = SCRIPT) -> tuple[int, str, str]:
    command = [*(python or [sys.executable]), str(script), *arguments]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def first(yard: Yard) -> Yard:
    yard.ticket("first", touches=["src/**"])
    git(yard.root, "commit", "-q", "--allow-empty", "-m", "first")
    return yard


def test_it_is_what_status_prints(first: Yard) -> None:
    code, out, err = state(where=first.root / "tickets")
    here, there = json.loads(out), first.run("status", "--json").document()
    assert (code, err) == (0, "")
    assert {**here, "at": ""} == {**there, "at": ""}


def test_a_linked_worktree_is_of_the_same_session(first: Yard, tmp_path: Path) -> None:
    git(first.root, "worktree", "add", "-q", str(tmp_path / "linked"))
    code, out, _ = state(str(tmp_path / "linked"), where=tmp_path)
    assert code == 0
    assert json.loads(out)["queue"][0]["ticket"] == "first"


def test_one_of_ticketds_own_worktrees_finds_its_way_back(
    first: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    from ticketd.boot.session import open_session
    from ticketd.git.creation import open_control
    from ticketd.git.worktrees import WorktreePool

    opened = open_session(first.root)
    opened.session.store.pause("for lunch", 1.0)
    control = open_control(opened.session.places.state, opened.user)
    pool = WorktreePool(control)
    base = subprocess.run(["git", "rev-parse", "HEAD"], cwd=first.root, capture_output=True, text=True, check=True)
    git(opened.session.places.control, "fetch", "-q", str(first.root), base.stdout.strip())
    pool.prepare("1", base.stdout.strip(), None, False)
    opened.session.store.close()
    monkeypatch.delenv("XDG_STATE_HOME")  # as agents have it
    code, out, err = state(where=pool.path("1"))
    assert (code, err) == (0, "")
    assert json.loads(out)["daemon"]["paused_why"] == "for lunch"


def test_elsewhere_it_says_what_is_missing(tmp_path: Path) -> None:
    code, out, err = state(where=tmp_path)
    assert (code, out) == (3, "")
    assert "not in a git repository" in err


def test_a_python_without_ticketd_becomes_one_that_has_it(first: Yard, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "scripts").mkdir(parents=True)
    (project / ".venv" / "bin").mkdir(parents=True)
    script = Path(shutil.copy(SCRIPT, project / "scripts"))
    python = project / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    code, out, err = state(where=first.root, python=BARE_PYTHON, script=script)
    assert (code, err) == (0, "")
    assert json.loads(out)["counts"]["queued"] == 1


def test_without_any_ticketd_it_says_so(first: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git_only = tmp_path / "bin"
    git_only.mkdir()
    (git_only / "git").symlink_to(shutil.which("git") or "")
    monkeypatch.setenv("PATH", str(git_only))
    (tmp_path / "scripts").mkdir()
    script = Path(shutil.copy(SCRIPT, tmp_path / "scripts"))
    code, out, err = state(where=first.root, python=BARE_PYTHON, script=script)
    assert (code, out) == (3, "")
    assert "Install it" in err


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("--what", 2)])
def test_usage(argument: str, code: int, tmp_path: Path) -> None:
    answered, out, err = state(argument, where=tmp_path)
    assert answered == code
    assert "DIRECTORY" in out + err


def test_it_can_be_executed() -> None:
    assert os.access(SCRIPT, os.X_OK)
