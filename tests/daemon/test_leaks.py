"""Logs that are cleaned of secrets once nobody writes to them any more."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest

from ticketd.app.leaks import PIECE, redact_log
from ticketd.domain.secrets import secrets_of

SECRETS = secrets_of([("TOKEN", "do-not-tell-this")])


def test_without_room_for_a_new_log_the_values_are_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    log, before = tmp_path / "1.agent.log", b"x" * (PIECE - 5)
    log.write_bytes(before + b"do-not-tell-this\nand do-not-tell-this")
    redact_log(SECRETS, log)
    assert log.read_bytes() == before + b"*" * 16 + b"\nand " + b"*" * 16


def test_where_there_is_room_the_name_tells_what_was_there(tmp_path: Path) -> None:
    log = tmp_path / "1.agent.log"
    log.write_bytes(b"it is do-not-tell-this")
    redact_log(SECRETS, log)
    assert log.read_bytes() == b"it is [TOKEN]"
