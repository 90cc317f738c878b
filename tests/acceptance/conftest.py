"""The fixtures of acceptance_yard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance_yard import Yard, lent_yard


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    with lent_yard(tmp_path, monkeypatch) as made:
        yield made
