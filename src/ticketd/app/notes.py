"""What running agents are told: lines in a file of theirs, which `TICKETD_NOTES` names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path


def append_missing(notes: Path, lines: Mapping[str, str]) -> None:
    """Add the lines of which the news (the keys) is not there yet; compared with what stands in the file, so that none
    is lost with a daemon that dies in between. The agent may have put anything in the file's place: no link is
    followed, no pipe waited for, and what cannot be written is left."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError), os.fdopen(os.open(notes, flags, 0o600), "r+b") as file:
        said = file.read()
        file.write(b"".join(os.fsencode(line) for news, line in lines.items() if os.fsencode(news) not in said))
