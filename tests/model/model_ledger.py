"""What the model has answered, to whom, and what it has reported: what ticketd's figures are held against."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from model_talk import NONE, Asked, Tokens

MARK = re.compile(r"\(answer (\d+)\)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. `came`: `answered`, or the trouble it met; `side`: not the agent itself asked. `session`: the
    number of its conversation, known by the answers that the request repeats. `tokens`: as reported, if answered."""

    run: str | None
    came: str
    dialect: str
    model: str
    side: bool = False
    session: int | None = None
    number: int = 0
    tokens: Tokens = NONE


class Ledger:
    """Requests come on threads of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._entries: dict[int, Entry] = {}
        self._sessions: dict[int, int] = {}

    def number(self) -> int:
        with self._lock:
            return next(self._numbers)

    def session_of(self, asked: Asked, number: int) -> int:
        """One that repeats no answer begins a session, which has the answer's number."""
        said = [int(found) for turn in asked.turns if turn.role == "assistant" for found in MARK.findall(turn.text)]
        with self._lock:
            known = (self._sessions[each] for each in said if each in self._sessions)
            return self._sessions.setdefault(number, next(known, number))

    def write(self, entry: Entry) -> None:
        """A conversation may say only later of which run it is: once it has read its brief."""
        with self._lock:
            self._entries[entry.number] = entry
            for earlier in list(self._entries.values()) if entry.run and entry.session else ():
                if earlier.session == entry.session and earlier.run is None:
                    self._entries[earlier.number] = replace(earlier, run=entry.run)

    def is_gone(self, number: int) -> None:
        """Whoever asked went away before all of the answer was written."""
        with self._lock:
            self._entries[number] = replace(self._entries[number], came="gone")

    def entries(self, run: str | None = None) -> list[Entry]:
        with self._lock:
            return [entry for entry in self._entries.values() if run is None or entry.run == run]

    def answered(self, run: str, *, side: bool | None = None) -> Iterator[Entry]:
        for entry in self.entries(run):
            if entry.came == "answered" and side in (None, entry.side):
                yield entry

    def tokens(self, run: str, *, side: bool | None = None) -> Tokens:
        """What it has reported in all to a run; `side`: only to its side requests, or only to the others."""
        return sum((entry.tokens for entry in self.answered(run, side=side)), NONE)

    def sessions(self, run: str) -> set[int]:
        return {entry.session for entry in self.answered(run, side=False) if entry.session is not None}

    def came(self, run: str) -> list[str]:
        """What each request of the agent itself came to, in order."""
        return [entry.came for entry in self.entries(run) if not entry.side]
