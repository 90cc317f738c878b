"""The fixtures of acceptance_yard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance_yard import Yard, make_yard


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    made = make_yard(tmp_path, monkeypatch)
    yield made
    for daemon in made.daemons:
        if daemon.poll() is None:
            daemon.terminate()
            daemon.wait(timeout=60)
    made.assert_events_tell_all()
