"""The fixtures of gitworld; and the proof in scripts/, of which a test is a small version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gitworld import World, git, make_origin

from ticketd.git.creation import open_control
from ticketd.git.repository import find
from ticketd.git.target import RemoteTarget
from ticketd.git.worktrees import Layout, WorktreePool

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    layout = getattr(request, "param", Layout.LINKED)
    origin, user = make_origin(tmp_path)
    other, state = tmp_path / "other", tmp_path / "state"
    git(tmp_path, "clone", "-q", str(origin), str(other))
    control = open_control(state, find(user))
    target = RemoteTarget(control, str(origin), str(origin), "main", timeout_s=30)
    return World(origin, user, other, state, control, WorktreePool(control, lambda: layout), target)
