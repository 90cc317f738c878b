"""The door to git: what it makes of a git that says nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ticketd.errors import GitFailed
from ticketd.git.door import Git

KILLED = "#!/bin/sh\nkill -9 $$\n"


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """git that is killed whatever it is asked."""
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(KILLED)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return Git(tmp_path)


def test_a_git_that_was_killed_has_not_said_no(killed: Git) -> None:
    with pytest.raises(GitFailed, match=r"git merge-base was killed .* \(signal 9\)"):
        killed.ask("merge-base", "--is-ancestor", "a", "b")


def test_one_with_a_time_limit_may_end_so(killed: Git) -> None:
    assert killed.ask("ls-remote", timeout_s=60.0).code == -9
