"""Which worktrees of the pool are free, at which commit they stand, and which of them are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence


class Trees:
    """Hands out worktree names: before all others one that is not kept, and of those one that already stands at the
    wanted commit; then a new one, while there are fewer than `most`; then the one that has been kept for longest.
    Nobody waits for one that is kept.

    `kept`: those in which a ticket will look for its conversation, the one that has been kept for longest first. It is
    asked each time, for the store says it.
    """

    def __init__(
        self,
        free: Iterable[str],
        taken: Iterable[str],
        used_names: Iterable[str],
        kept: Callable[[], Sequence[str]] = tuple,
        most: Callable[[], int] = int,
    ) -> None:
        self._changed = threading.Condition()
        self._free: dict[str, str | None] = dict.fromkeys(sorted(free, key=_number))
        self._taken = set(taken)
        self._kept = kept
        self._most = most
        self._spare: str | None = None
        self._is_awaited = False
        self._highest = max((_number(name) for name in (*self._free, *self._taken, *used_names)), default=0)

    def take(self, commit: str, prefer: str | None = None, own: str | None = None) -> str:
        """`prefer`: the one to take if it is free and not kept; `own`: to take though it is kept, for it is kept for
        the one that asks. One may wait: a spare that is being readied is there sooner than a new tree would be, and no
        kept one goes for it. For a second there is nothing to wait for."""
        with self._changed:
            if own in self._free:
                return self._hand_out(own)
            if self._spare is not None and not (self._is_awaited or self._unkept()):
                self._is_awaited = True
                self._changed.wait_for(lambda: self._spare is None)
                self._is_awaited = False
            open_ = self._open()
            if prefer in open_:
                return self._hand_out(prefer)
            ready = [name for name in open_ if self._free[name] == commit]
            return self._hand_out(next(iter(ready or open_), None))

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
        `may_add`: a new one where none is free. One that is kept is none that could be readied."""
        with self._changed:
            if self._spare is not None:
                return None
            unkept = self._unkept()
            if any(self._free[name] == commit for name in unkept) or not (unkept or (may_add and self._has_room())):
                return None
            self._spare = self._hand_out(next(iter(unkept), None))
            return self._spare

    def _open(self) -> list[str]:
        """Those that anybody may have."""
        unkept = self._unkept()
        return unkept if unkept or self._has_room() else [name for name in self._kept() if name in self._free][:1]

    def _unkept(self) -> list[str]:
        kept = self._kept() if self._free else ()
        return [name for name in self._free if name not in kept]

    def _has_room(self) -> bool:
        """For a new one, where all that are free are kept."""
        return not self._free or len(self._free) + len(self._taken) < self._most()

    def _hand_out(self, name: str | None) -> str:
        """A new one, where none is named."""
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
