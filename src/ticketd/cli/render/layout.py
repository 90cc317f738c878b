"""Lines that fit: columns that are dropped or shortened before anything wraps, and sections that share a height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.text import Span, Text

from ticketd.cli.render.words import safe

GAP = 2
Line = Text
"""What all that is shown is made of."""
UNBOUNDED = 100_000
"""The width of what is no terminal: nothing is cut or dropped there."""


@dataclass(frozen=True, slots=True)
class Column:
    """`least`: how narrow it may become (its full width if None). Columns with the highest `drop` go first; 0 stays."""

    name: str
    style: str = ""
    least: int | None = None
    most: int = UNBOUNDED
    drop: int = 0
    right: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    style: str = ""


Row = Sequence[str | Cell]


def table(columns: Sequence[Column], rows: Sequence[Row], width: int, heads: bool = True) -> list[Text]:
    """Aligned lines of at most `width` cells. Columns that are empty in all rows are left out."""
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    used = [at for at in range(len(columns)) if any(row[at].text for row in cells)]
    natural = {at: _natural(columns[at], [row[at] for row in cells], heads, width) for at in used}
    widths = _fit(columns, natural, width)
    lines = [_line([Cell(columns[at].name, "dim") for at in widths], columns, widths)] if heads and rows else []
    for row in cells:
        styled = [Cell(row[at].text, row[at].style or columns[at].style) for at in widths]
        lines.append(_line(styled, columns, widths))
    return lines


def _natural(column: Column, cells: Sequence[Cell], heads: bool, width: int) -> int:
    longest = max(cell_len(safe(cell.text)) for cell in cells)
    bounded = longest if width >= UNBOUNDED else min(longest, column.most)
    return max(bounded, cell_len(column.name) if heads else 0)


def _fit(columns: Sequence[Column], natural: dict[int, int], width: int) -> dict[int, int]:
    widths = dict(natural)
    while _total(_least(columns, widths)) > width:
        droppable = [at for at in widths if columns[at].drop]
        if not droppable:
            break
        del widths[max(droppable, key=lambda at: columns[at].drop)]
    least = _least(columns, widths)
    # The last column gives way first: it holds sentences, the others names.
    for at in reversed(widths):
        excess = _total(widths) - width
        if excess > 0:
            widths[at] = max(least[at], widths[at] - excess)
    return widths


def _least(columns: Sequence[Column], widths: dict[int, int]) -> dict[int, int]:
    return {at: full if (least := columns[at].least) is None else min(least, full) for at, full in widths.items()}


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * max(len(widths) - 1, 0)


def _line(cells: Sequence[Cell], columns: Sequence[Column], widths: dict[int, int]) -> Text:
    """Put together as one string: a table may have 10,000 rows, and appending to a `Text` is slow."""
    plain, spans, at = list[str](), list[Span](), 0
    for place, (cell, (number, size)) in enumerate(zip(cells, widths.items(), strict=True)):
        text = _fitted(safe(cell.text), size)
        padding = " " * (size - cell_len(text))
        before = " " * GAP * bool(place) + (padding if columns[number].right else "")
        plain += [before, text, "" if columns[number].right else padding]
        begin = at + len(before)
        at = begin + len(text) + len(plain[-1])
        if cell.style and text:
            spans.append(Span(begin, begin + len(text), cell.style))
    made = Text("".join(plain), no_wrap=True, spans=spans)
    made.rstrip()
    return made


def _fitted(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    made = Text(text)
    made.truncate(width, overflow="ellipsis")
    return made.plain


def line(*parts: str | tuple[str, str]) -> Text:
    """A line of plain and `(text, style)` parts, all of it made safe."""
    made = Text(no_wrap=True)
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        made.append(safe(text), style=style)
    return made


def cut(text: Text, width: int) -> Text:
    """At most `width` cells, with a mark where something is missing."""
    if cell_len(text.plain) > width:
        text = text.copy()
        text.truncate(width, overflow="ellipsis")
    return text


def wrapped(text: str, width: int, indent: str, most: int, style: str = "") -> list[Text]:
    """A sentence over at most `most` indented lines, broken between words where that can be done."""
    room = max(width - len(indent), 10)
    lines: list[str] = []
    rest = safe(text)
    while rest and len(lines) < most:
        if len(lines) == most - 1 or cell_len(rest) <= room:
            lines.append(rest)
            break
        head, rest = _broken(rest, room)
        lines.append(head)
    return [cut(line(indent, (each, style)), width) for each in lines]


def _broken(text: str, room: int) -> tuple[str, str]:
    end = used = 0
    for end, character in enumerate(text):  # noqa: B007
        used += cell_len(character)
        if used > room:
            break
    space = text.rfind(" ", 0, end + 1)
    return (text[:space], text[space + 1 :]) if space > room // 3 else (text[:end], text[end:])


def packed(parts: Sequence[str], width: int, indent: str, style: str = "") -> list[Text]:
    """Short texts side by side, on as many lines as it takes; none is broken."""
    rows: list[str] = []
    for part in map(safe, parts):
        joined = f"{rows[-1]}; {part}" if rows else part
        if rows and cell_len(indent + joined) <= width:
            rows[-1] = joined
        else:
            rows.append(part)
    return [line(indent, (row, style)) for row in rows]


@dataclass(slots=True)
class Section:
    """A heading and items of one or more lines each: `what` they are.

    `give`: the highest is cut first when the height is short, down to `least` lines. `beyond`: how many more there are
    than items.
    """

    heading: Text | None
    items: list[list[Text]] = field(default_factory=list)
    what: str = ""
    give: int = 0
    least: int = 3
    beyond: int = 0

    def lines(self, height: int) -> list[Text]:
        """At most `height` lines; the last one tells how many items are left out."""
        whole = [*([self.heading] if self.heading else []), *(each for item in self.items for each in item)]
        if len(whole) <= height and not self.beyond:
            return whole
        shown = [self.heading] if self.heading else []
        left = len(self.items)
        for item in self.items:
            if len(shown) + len(item) + 1 > height:
                break
            shown += item
            left -= 1
        if left == len(self.items):
            # Not even one: its beginning says more than a number.
            shown += self.items[0][: max(height - len(shown) - 1, 0)]
            left -= len(shown) > (self.heading is not None)
        left += self.beyond
        more = f"  … and {left} more {self.what}".rstrip()
        return [*shown, *([line((more, "dim"))] if left else [])]

    def height(self) -> int:
        return sum(map(len, self.items)) + (self.heading is not None) + bool(self.beyond)


def stacked(sections: Sequence[Section], height: int, width: int) -> list[Text]:
    """The sections one below the other, in at most `height` lines; a blank line between them if there is room."""
    present = [section for section in sections if section.items]
    whole = sum(section.height() for section in present)
    gaps = whole + len(present) - 1 <= height
    blocks = [section.lines(share) for section, share in zip(present, _shares(present, height), strict=True)]
    lines: list[Text] = []
    for block in blocks:
        lines += [Text()] if lines and gaps else []
        lines += block
    return [cut(each, width) for each in lines[: max(height, 1)]]


def _shares(sections: Sequence[Section], height: int) -> list[int]:
    """How many lines each section gets: those that give first are cut first, and what is left over is handed out."""
    shares = [section.height() for section in sections]
    by_give = sorted(range(len(sections)), key=lambda at: sections[at].give)
    for at in reversed(by_give):
        excess = sum(shares) - height
        if excess > 0:
            shares[at] = max(min(sections[at].least, shares[at]), shares[at] - excess)
    for at in by_give:
        # An item is shown whole or not at all, so a section may not fill its share.
        used = sum(len(section.lines(share)) for section, share in zip(sections, shares, strict=True))
        if used < height:
            shares[at] = len(sections[at].lines(shares[at])) + height - used
    return shares
