"""Launching and collecting attempts, off the loop that decides."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.verdict import backoff
from ticketd.ports import Bell, Clock

log = logging.getLogger("ticketd")


class Chores:
    """One chore at a time for each attempt. The loop asks again at every tick, so a chore that tripped is not lost."""

    def __init__(self, bell: Bell, clock: Clock, most: int) -> None:
        self._bell = bell
        self._clock = clock
        self._threads = ThreadPoolExecutor(max_workers=most, thread_name_prefix="chore")
        self._lock = threading.Lock()
        self._in_hand: set[AttemptKey] = set()
        self._trips: dict[AttemptKey, tuple[int, float]] = {}

    def take(self, key: AttemptKey, chore: Callable[[AttemptKey], None]) -> None:
        """Do `chore` for this attempt unless one is in hand or tripped only just now."""
        with self._lock:
            _, again_at = self._trips.get(key, (0, 0.0))
            if key in self._in_hand or self._clock.monotonic() < again_at:
                return
            self._in_hand.add(key)
        self._threads.submit(self._do, key, chore)

    def has_tripped(self, key: AttemptKey) -> bool:
        """Whether its chore has last come to nothing."""
        with self._lock:
            return key in self._trips

    def _do(self, key: AttemptKey, chore: Callable[[AttemptKey], None]) -> None:
        try:
            chore(key)
            with self._lock:
                self._trips.pop(key, None)
        except Exception:
            log.exception("a chore for %s tripped", key)
            with self._lock:
                times = self._trips.get(key, (0, 0.0))[0] + 1
                self._trips[key] = (times, self._clock.monotonic() + backoff(times))
        finally:
            with self._lock:
                self._in_hand.discard(key)
            self._bell.ring()

    def close(self) -> None:
        self._threads.shutdown(wait=True)
