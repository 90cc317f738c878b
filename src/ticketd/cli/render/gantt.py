"""Who would run when: a row for each slot, a bar for each ticket, its id in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

from rich.text import Text

from ticketd.cli.render.layout import line
from ticketd.cli.render.words import Document, duration, roughly, safe

MOST_COLUMNS = 160
LEAST_BAR, WANTED_BAR = 4.0, 7.0
"""Columns of the median bar: below the first too little of an id is left, so only the beginning is shown, so that it
has the second."""

COLUMNS_PER_MARK = 10
MINUTE, HOUR, DAY = 60, 3600, 86400
STEPS = (
    *(10, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE),
    *(HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, DAY, 2 * DAY, 7 * DAY, 30 * DAY),
)
PLAIN, CHAINED = "├─┤", "╞═╡"
"""How a bar begins, goes on and ends; the second is of the longest chain, so that it shows without colour too."""


@dataclass(frozen=True, slots=True)
class Scale:
    """`seconds` shown on so many `columns`."""

    columns: int
    seconds: float

    def at(self, seconds: float) -> int:
        return min(self.columns, round(seconds * self.columns / self.seconds)) if self.seconds else 0


def gantt(rows: Sequence[Document], chain: Collection[str], width: int, most_slots: int) -> list[Text]:
    """The chart in at most `width` cells: an axis and at most `most_slots` slots; the `chain` in its own bars."""
    end = max((row["end_s"] for row in rows), default=0)
    slots = sorted({row["slot"] for row in rows})
    if not end:
        return []
    margin = len(str(slots[-1])) + 2
    scale = _scale(rows, end, max(min(width, MOST_COLUMNS) - margin, 10))
    lines = [line(" " * margin, (_axis(scale), "dim"))]
    for slot in slots[:most_slots]:
        own = [row for row in rows if row["slot"] == slot and scale.at(row["start_s"]) < scale.columns]
        lines.append(_row(f"{slot:>{margin - 2}}  ", own, chain, scale))
    if len(slots) > most_slots:
        lines.append(line((f"… and {len(slots) - most_slots} more slots (`ticketd plan --json` has all)", "dim")))
    if scale.seconds < end:
        lines.append(line((f"the first {roughly(scale.seconds)} of {roughly(end)}", "dim")))
    return lines


def _scale(rows: Sequence[Document], end: float, columns: int) -> Scale:
    usual = median(row["end_s"] - row["start_s"] for row in rows)
    if usual <= 0 or usual * columns / end >= LEAST_BAR:
        return Scale(columns, end)
    return Scale(columns, min(end, usual * columns / WANTED_BAR))


def _axis(scale: Scale) -> str:
    """Marks at round times, as many as there is room for."""
    fitting = (step for step in STEPS if scale.seconds / step <= max(scale.columns // COLUMNS_PER_MARK, 1))
    step = next(fitting, STEPS[-1])
    text = ""
    for count in range(int(scale.seconds // step) + 1):
        mark = _mark(count * step)
        at = scale.at(count * step)
        if at >= len(text) and at + len(mark) <= scale.columns:
            text = text.ljust(at) + mark
    return text


def _mark(seconds: int) -> str:
    return "0" if not seconds else duration(seconds).replace("m00s", "m").replace("h00m", "h").replace("d00h", "d")


def _row(head: str, rows: Sequence[Document], chain: Collection[str], scale: Scale) -> Text:
    made = line((head, "dim"))
    used = 0
    for row in rows:
        start, end = max(scale.at(row["start_s"]), used), scale.at(row["end_s"])
        if start >= scale.columns:
            break
        end = min(max(end, start + 1), scale.columns)
        chained = row["ticket"] in chain
        made.append(" " * (start - used))
        made.append(
            _bar(safe(row["ticket"]), end - start, CHAINED if chained else PLAIN), "bold red" if chained else ""
        )
        used = end
    return made


def _bar(name: str, width: int, strokes: str) -> str:
    first, fill, last = tuple(strokes)
    room = width - 2
    if room < 0:
        return "│"
    shown = name if len(name) <= room else name[: room - 1] + "…" if room > 3 else name[:room]
    return first + shown + fill * (room - len(shown)) + last
