"""`?`: what the keys do."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import Screen

from ticketd.cli.render.layout import Line, line
from ticketd.cli.screen.bar import Bar
from ticketd.cli.screen.filling import Filled
from ticketd.cli.screen.lines import Lines

KEYS = (
    ("", "Where"),
    ("Tab 1-7", "the next pane, or that one"),
    ("arrows j k", "choose a line; PgUp PgDn Home End go further"),
    ("/", "only lines and tickets with these words; Esc shows all again"),
    ("", "The chosen ticket"),
    ("Enter l", "what its agent says and does, as it speaks"),
    ("d", "what it changes: landed, kept, or in its worktree right now"),
    ("o", "there, of an older attempt; after the first the newest again"),
    ("i", "all about it: why it waits, its attempts, its text"),
    ("v a", "what waits for a word; a again approves exactly that"),
    ("x", "reject it; asks what is wrong, and the next attempt is told"),
    ("r", "run it again, after it failed, was skipped or cancelled"),
    ("b", "give it another priority"),
    ("h", "hold it, or let it go"),
    ("c", "cancel it; asks, and its work is kept"),
    ("", "The pool"),
    ("p", "pause, or resume; resume also ends an alarm"),
    ("+ -", "one slot more, or less"),
    ("q Esc", "back; q also leaves the screen. The daemon and its agents go on."),
)
KEY_WIDTH = 12


class Help(Screen[None]):
    DEFAULT_CSS = "Help Lines { height: 1fr; }"
    BINDINGS = [("escape,q,question_mark", "app.pop_screen", "")]

    def compose(self) -> ComposeResult:
        yield Lines("help", chooses=False)
        yield Bar("q back")

    def on_mount(self) -> None:
        view = self.query_one(Lines)
        lines = tuple(_told(keys, what) for keys, what in KEYS)
        view.put(Filled(None, lines, (None,) * len(lines)))
        view.focus()


def _told(keys: str, what: str) -> Line:
    return line((f"{keys:<{KEY_WIDTH}}", "bold cyan"), what) if keys else line((what, "bold"))
