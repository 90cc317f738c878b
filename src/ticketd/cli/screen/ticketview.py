"""One ticket, opened."""

from __future__ import annotations

import threading
from collections import deque

from textual.app import ComposeResult
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from ticketd.cli.render.layout import Line, wrapped
from ticketd.cli.render.words import safe
from ticketd.cli.repository import View
from ticketd.cli.screen.bar import Bar
from ticketd.cli.screen.filling import Filled
from ticketd.cli.screen.lines import Lines
from ticketd.cli.screen.reading import in_one_line
from ticketd.cli.screen.views import MOST_LINES, OF_AN_ATTEMPT, Asked, Kind, Piece, pieces

KEYS = "l log  d diff  o older  i about  v review  a approve  x reject  r retry  c cancel  ? help  q back"
WRAPPED_TO = 40
"""Lines that one line of a log may take."""


class TicketView(Screen[None]):
    DEFAULT_CSS = (
        "TicketView #title { height: 1; text-style: bold; text-wrap: nowrap; } TicketView Lines { height: 1fr; }"
    )
    BINDINGS = [
        ("escape,q", "app.pop_screen", ""),
        ("l", "look('log')", ""),
        ("d", "look('diff')", ""),
        ("i", "look('about')", ""),
        ("v", "look('review')", ""),
        ("o", "older", ""),
    ]

    class Made(Message):
        def __init__(self, of: threading.Event, piece: Piece | str) -> None:
            super().__init__()
            self.of = of
            self.piece = piece

    def __init__(self, here: View, ticket: str, kind: Kind) -> None:
        super().__init__()
        self.ticket = ticket
        self.kind = kind
        self.commit: str | None = None
        self._back = 0
        self._here = here
        self._enough = threading.Event()
        self._lines: deque[Line] = deque(maxlen=MOST_LINES)

    def compose(self) -> ComposeResult:
        yield Static("", id="title", markup=False)
        yield Lines("view", chooses=False, follows=True)
        yield Bar(KEYS)

    def on_mount(self) -> None:
        self.query_one(Lines).focus()
        self.call_after_refresh(self.action_look, self.kind)

    def on_unmount(self) -> None:
        self._enough.set()

    def action_older(self) -> None:
        """The log or the change of the attempt before; after the first, the newest again."""
        if self.kind in OF_AN_ATTEMPT:
            self._show(self.kind, self._back + 1)

    def action_look(self, kind: str) -> None:
        self._show(Kind(kind), 0)

    def _show(self, kind: Kind, back: int) -> None:
        self._enough.set()
        self._enough = threading.Event()
        self.kind, self._back, self.commit = kind, back, None
        self._lines.clear()
        self._draw()
        self.query_one(Bar).say("")
        self.query_one("#title", Static).update(Content(safe(f"{self.ticket}: {self.kind}")))
        asked = Asked(self._here, self.ticket, self.size.width, self._enough, back)
        threading.Thread(target=self._make, args=(self.kind, asked), name="view", daemon=True).start()

    def _make(self, kind: Kind, asked: Asked) -> None:
        try:
            for piece in pieces(kind, asked):
                if asked.enough.is_set():
                    return
                self.post_message(self.Made(asked.enough, piece))
        except Exception as error:
            self.post_message(self.Made(asked.enough, in_one_line(self._here, error)))

    def on_ticket_view_made(self, message: Made) -> None:
        if message.of is not self._enough:
            return
        if isinstance(message.piece, str):
            self.query_one(Bar).say(message.piece, trouble=True)
            return
        self._lines.extend(message.piece.lines)
        self.commit = message.piece.commit
        if self.commit:
            self.query_one(Bar).say("a approves exactly this; x rejects it")
        self._draw()

    def _draw(self) -> None:
        view = self.query_one(Lines)
        lines = tuple(self._lines)
        if self.kind is Kind.LOG:
            room = max(self.size.width, 10)
            lines = tuple(part for each in lines for part in _fitting(each, room))
        view.follows = self.kind is Kind.LOG
        view.put(Filled(None, lines, (None,) * len(lines), len(lines)))

    def on_resize(self, event: Resize) -> None:
        self._draw()


def _fitting(each: Line, width: int) -> list[Line]:
    if each.cell_len <= width:
        return [each]
    style = str(each.spans[0].style) if each.spans else ""
    return wrapped(each.plain, width, "", WRAPPED_TO, style)
