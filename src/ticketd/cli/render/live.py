"""A screen that stays: drawn again only when what it shows has changed, or the terminal has another size."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from ticketd.cli.render.console import Room, console, room, show
from ticketd.cli.render.screen import screen
from ticketd.cli.render.words import Document

LOWEST = 16
"""A screen that is printed once may be higher than a very low terminal: that one scrolls."""


class _Lines:
    """Lines as they are: rich would measure and pad them."""

    def __init__(self, lines: list[Text]) -> None:
        self.lines = lines

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        for number, each in enumerate(self.lines):
            if number:
                yield Segment.line()
            yield from each.render(_console)


class LiveScreen:
    """The status, in the scrollback."""

    def __init__(self) -> None:
        self._console = console()
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._drawn: tuple[Room, list[Text]] | None = None

    def __enter__(self) -> LiveScreen:
        self._live.__enter__()
        return self

    def draw(self, document: Document) -> None:
        place = room(self._console)
        # One line is left for the cursor, else the terminal scrolls at each drawing.
        lines = screen(document, place.width, place.height - 1)
        if self._drawn != (place, lines):
            self._live.update(_Lines(lines), refresh=True)
            self._drawn = (place, lines)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)


def show_status(document: Document) -> None:
    """Print the status once."""
    on = console()
    place = room(on)
    show(screen(document, place.width, max(place.height - 2, LOWEST)), on)
