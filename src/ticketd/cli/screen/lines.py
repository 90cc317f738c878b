"""Lines on the screen. Only the cells that differ from what is there are drawn again: nothing flickers, and a line over
ssh has little to carry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ticketd.cli.render.layout import Line, line
from ticketd.cli.screen.filling import Filled

NO_LINE = line("")


class Lines(ScrollView, can_focus=True):
    """A heading that stays, and lines below it. With `chooses` one of them is the chosen one, else they only scroll;
    `follows`: the end stays in sight unless one has scrolled up."""

    DEFAULT_CSS = "Lines { scrollbar-size: 0 0; } Lines:focus { background: ansi_default; }"
    BINDINGS = [
        ("up,k", "move(-1)", ""),
        ("down,j", "move(1)", ""),
        ("pageup", "page(-1)", ""),
        ("pagedown,space", "page(1)", ""),
        ("home,g", "far(False)", ""),
        ("end,G", "far(True)", ""),
    ]

    class Chosen(Message):
        def __init__(self, ticket: str) -> None:
            super().__init__()
            self.ticket = ticket

    def __init__(self, id: str, chooses: bool = True, follows: bool = False) -> None:
        super().__init__(id=id)
        self._chooses = chooses
        self.follows = follows
        self._filled = Filled()
        self.at = 0

    # --- what is shown ---

    def put(self, filled: Filled) -> None:
        """Show these instead; the choice stays with its ticket, wherever that has gone."""
        at_end, ticket = self.scroll_offset.y >= self.max_scroll_y, self.ticket
        with self._changing():
            self._filled = filled
            if ticket is not None:
                # Several lines may be of one ticket: the one nearest to where it was.
                own = (at for at, of in enumerate(filled.tickets) if of == ticket)
                self.at = min(own, key=lambda at: abs(at - self.at), default=self.at)
            self.at = max(min(self.at, len(filled.lines) - 1), 0)
        width = 0 if self._chooses else max((each.cell_len for each in filled.lines), default=0)
        self.virtual_size = Size(width, len(filled.lines) + bool(filled.heading))
        if self.follows and at_end:
            self.call_after_refresh(self.scroll_end, animate=False)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        before = [self._line(y) for y in range(self.size.height)]
        yield
        for y, old in enumerate(before):
            new = self._line(y)
            if old != new:
                start, width = (0, self.size.width) if self.scroll_offset.x else difference(old, new)
                self.refresh(Region(start, y, width, 1))

    def _line(self, y: int) -> Line:
        """What stands that far below the top."""
        heading, lines = self._filled.heading, self._filled.lines
        if heading and y == 0:
            return heading
        at = y + int(self.scroll_offset.y) - bool(heading)
        if at >= len(lines):
            return NO_LINE
        if not (self._chooses and self.has_focus and at == self.at):
            return lines[at]
        chosen = lines[at].copy()
        chosen.pad_right(max(self.size.width - chosen.cell_len, 0))
        chosen.stylize("reverse")
        return chosen

    def render_line(self, y: int) -> Strip:
        x, style = int(self.scroll_offset.x), self.rich_style
        strip = Strip(self._line(y).render(self.app.console))
        return strip.crop_extend(x, x + self.size.width, style).apply_style(style)

    # --- what is chosen ---

    @property
    def tickets(self) -> tuple[str | None, ...]:
        return self._filled.tickets

    @property
    def ticket(self) -> str | None:
        tickets = self._filled.tickets
        return tickets[self.at] if self._chooses and self.at < len(tickets) else None

    def choose(self, at: int) -> None:
        with self._changing():
            self.at = max(min(at, len(self._filled.lines) - 1), 0)
        fixed = bool(self._filled.heading)
        room = max(self.size.height - fixed, 1)
        top = int(self.scroll_offset.y)
        self.scroll_to(y=min(max(top, self.at - room + 1), self.at), animate=False)

    def action_move(self, by: int) -> None:
        if self._chooses:
            self.choose(self.at + by)
        else:
            self.scroll_relative(y=by, animate=False)

    def action_page(self, by: int) -> None:
        self.action_move(by * max(self.size.height - 2, 1))

    def action_far(self, end: bool) -> None:
        if self._chooses:
            self.choose(len(self._filled.lines) if end else 0)
        elif end:
            self.scroll_end(animate=False)
        else:
            self.scroll_home(animate=False)

    def on_click(self, event: Click) -> None:
        if self._chooses:
            self.choose(event.y + int(self.scroll_offset.y) - bool(self._filled.heading))
        if event.chain == 2 and self.ticket:
            self.post_message(self.Chosen(self.ticket))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_resize(self, event: Resize) -> None:
        self.refresh()


class Head(Lines, can_focus=False):
    """Lines that are only looked at."""


def difference(old: Line, new: Line) -> tuple[int, int]:
    """From which cell on, and over how many, two lines differ; all of the longer one where they are not plain, or not
    of one style per character."""
    longest = max(old.cell_len, new.cell_len)
    a, b = old.plain, new.plain
    if not (a.isascii() and b.isascii()) or _styles(old) != _styles(new):
        return 0, longest
    start = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if len(a) != len(b):
        return start, longest - start
    end = next((at for at in range(len(a), 0, -1) if a[at - 1] != b[at - 1]), start)
    return start, end - start


def _styles(of: Line) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, str(span.style)) for span in of.spans]
