"""Days as the people at this machine count them: from midnight to midnight of its time zone; times as documents have
them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Day:
    """`begin` and `end` in epoch seconds; where clocks are changed it has not 24 hours."""

    begin: float
    end: float

    def __contains__(self, at: float) -> bool:
        return self.begin <= at < self.end


def day_of(at: float) -> Day:
    today = date_of(at)
    return Day(_midnight(today), _midnight(today + timedelta(days=1)))


def date_of(at: float) -> date:
    return datetime.fromtimestamp(at).astimezone().date()


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day).astimezone().timestamp()


def iso(at: float | None) -> str | None:
    """Epoch seconds as UTC ISO 8601 with `Z`."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
