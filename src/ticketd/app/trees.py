"""Which worktrees of the pool are free, and at which commit they stand."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Trees:
    """Hands out worktree names. One that already stands at the wanted commit is preferred; a new one is named last."""

    def __init__(self, free: Iterable[str], taken: Iterable[str], used_names: Iterable[str]) -> None:
        self._changed = threading.Condition()
        self._free: dict[str, str | None] = dict.fromkeys(sorted(free, key=_number))
        self._taken = set(taken)
        self._spare: str | None = None
        self._is_awaited = False
        self._highest = max((_number(name) for name in (*self._free, *self._taken, *used_names)), default=0)

    def take(self, commit: str, prefer: str | None = None) -> str:
        """`prefer`: the one to take if it is free. One may wait: a spare that is being readied is there sooner than a
        new tree would be. For a second there is nothing to wait for."""
        with self._changed:
            if self._spare is not None and not (self._free or self._is_awaited):
                self._is_awaited = True
                self._changed.wait_for(lambda: self._spare is None)
                self._is_awaited = False
            if prefer in self._free:
                return self._hand_out(prefer)
            return self._hand_out(next((n for n, stands_at in self._free.items() if stands_at == commit), None))

    @property
    def free(self) -> tuple[str, ...]:
        """Those that nobody has in hand, the one that is wanted least first."""
        with self._changed:
            return tuple(sorted(self._free, key=_number, reverse=True))

    def take_free(self, name: str) -> bool:
        """False: somebody has it in hand by now."""
        with self._changed:
            return name in self._free and self._hand_out(name) == name

    def take_spare(self, commit: str, *, may_add: bool) -> str | None:
        """One to ready at `commit` before it is asked for; None if one stands there, or is being readied already.
        `may_add`: a new one where none is free."""
        with self._changed:
            if self._spare is not None or commit in self._free.values() or not (self._free or may_add):
                return None
            self._spare = self._hand_out(None)
            return self._spare

    def _hand_out(self, name: str | None) -> str:
        if name is None:
            name = next(iter(self._free), None)
        if name is None:
            self._highest += 1
            name = str(self._highest)
        self._free.pop(name, None)
        self._taken.add(name)
        return name

    def give_back(self, name: str, stands_at: str | None = None) -> None:
        with self._changed:
            self._taken.discard(name)
            self._free[name] = stands_at
            self._let_go(name)

    def forget(self, name: str) -> None:
        """It is out of the pool for good."""
        with self._changed:
            self._taken.discard(name)
            self._free.pop(name, None)
            self._let_go(name)

    def _let_go(self, name: str) -> None:
        if name == self._spare:
            self._spare = None
        self._changed.notify_all()


def _number(name: str) -> int:
    return int(name) if name.isdigit() else 0
