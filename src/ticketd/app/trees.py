"""Which worktrees of the pool are free, and at which commit they stand."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Trees:
    """Hands out worktree names. One that already stands at the wanted commit is preferred; a new one is named last."""

    def __init__(self, free: Iterable[str], taken: Iterable[str], used_names: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._free: dict[str, str | None] = dict.fromkeys(sorted(free, key=_number))
        self._taken = set(taken)
        self._highest = max((_number(name) for name in (*self._free, *self._taken, *used_names)), default=0)

    def take(self, commit: str, prefer: str | None = None) -> str:
        """`prefer`: the one to take if it is free."""
        with self._lock:
            name = prefer if prefer in self._free else None
            if name is None:
                name = next((n for n, stands_at in self._free.items() if stands_at == commit), None)
            if name is None:
                name = next(iter(self._free), None)
            if name is None:
                self._highest += 1
                name = str(self._highest)
            self._free.pop(name, None)
            self._taken.add(name)
            return name

    def give_back(self, name: str, stands_at: str | None = None) -> None:
        with self._lock:
            self._taken.discard(name)
            self._free[name] = stands_at

    def forget(self, name: str) -> None:
        """It is out of the pool for good."""
        with self._lock:
            self._taken.discard(name)
            self._free.pop(name, None)


def _number(name: str) -> int:
    return int(name) if name.isdigit() else 0
