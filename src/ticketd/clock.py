"""The system's clock."""

from __future__ import annotations

import time


class SystemClock:
    """Satisfies `ports.Clock`."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
