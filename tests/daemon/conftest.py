"""Daemon tests stand in the same yard as the acceptance tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "acceptance"))
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from acceptance_yard import make_yard
from lane_yard import LaneYard

from ticketd.boot.daemon import open_daemon
from ticketd.boot.session import open_session


@pytest.fixture
def lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LaneYard]:
    yard = make_yard(tmp_path, monkeypatch)
    yard.config()
    with open_daemon(open_session(yard.work)) as daemon:
        made = LaneYard(yard, daemon)
        made.config("")
        yield made
    yard.assert_events_tell_all()
