"""The fixture of eyes_yard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from eyes_yard import Yard


@pytest.fixture
def yard(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    yard = Yard(tmp_path / "shop", capsys, monkeypatch)
    yield yard
    assert yard.session.store.disagreements() == []
    yard.session.store.close()
