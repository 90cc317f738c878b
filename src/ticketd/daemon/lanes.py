"""What the daemon does beside deciding, each on a thread of its own. A lane that trips is logged and goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("ticketd")

LONGEST_REST_S = 60.0


class LaneThread:
    """Runs `step` over and over. `step` returns how long to rest (seconds), unless woken before."""

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self._step = step
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """After the step that is under way."""
        self._stopping.set()
        self._wake.set()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        trips = 0
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                rest = self._step()
                trips = 0
            except Exception:
                log.exception("%s tripped", self._thread.name)
                trips += 1
                # Not to be woken from: what tripped it is most likely still there.
                self._stopping.wait(min(2.0**trips, LONGEST_REST_S))
                continue
            self._wake.wait(rest)
