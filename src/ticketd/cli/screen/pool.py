"""The pool: slots above, the other panes below, one at a time where there is little room, else side by side."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Grid
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from ticketd.cli.render.layout import line
from ticketd.cli.render.words import safe
from ticketd.cli.screen.bar import Bar
from ticketd.cli.screen.filling import Filled, Pane, fill, fill_cost, fill_events, head, parts_of
from ticketd.cli.screen.lines import Head, Lines
from ticketd.cli.screen.reading import Seen

KEYS = (
    "? help  q quit  Enter log  d diff  a approve  x reject  r retry  c cancel"
    "  b bump  h hold  p pause  + - slots  / filter  i about"
)
WIDE, HIGH = 140, 36
BY_TICKET = (Pane.QUEUE, Pane.REVIEW, Pane.ENDED)
"""Their words are looked for among all tickets, not among the lines."""
LOWER = tuple(pane for pane in Pane if pane is not Pane.SLOTS)
FEWEST_BELOW = 6
"""Lines that slots leave to the pane below them."""


class Pool(Screen[None]):
    DEFAULT_CSS = """
    Pool #head { height: 1; }
    Pool #tabs { height: 1; text-wrap: nowrap; }
    Pool #slots { height: 10; }
    Pool #lower { height: 1fr; grid-size: 1 1; }
    Pool #lower Lines { display: none; }
    Pool #lower Lines.shown { display: block; }
    Pool.wide #lower { grid-size: 2 4; grid-rows: 2fr 3fr 3fr 5fr; grid-gutter: 0 2; }
    Pool.wide #queue { row-span: 3; }
    Pool.wide #lower Lines { display: block; border-top: solid ansi_bright_black; }
    Pool.wide #lower Lines:focus { border-top: solid ansi_cyan; }
    """
    BINDINGS = [
        ("tab", "turn(1)", ""),
        ("shift+tab", "turn(-1)", ""),
        *((str(number), f"pane('{pane}')", "") for number, pane in enumerate(Pane, 1)),
        ("escape", "filter('')", ""),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._seen: Seen | None = None
        self._words = ""
        self._tabs = Content("")
        self._lower = Pane.QUEUE
        self._counts: dict[Pane, int] = {}
        self._drawn: dict[Pane, tuple[object, Filled]] = {}

    def compose(self) -> ComposeResult:
        yield Head("head", chooses=False)
        yield Lines(Pane.SLOTS)
        yield Static("", id="tabs", markup=False)
        with Grid(id="lower"):
            for pane in LOWER:
                lines = Lines(pane)
                lines.border_title = pane
                yield lines
        yield Bar(KEYS)

    def on_mount(self) -> None:
        self.query_one(Head).put(Filled(None, (line("looking …"),)))
        self.action_pane(Pane.QUEUE)
        self.action_pane(Pane.SLOTS)

    # --- which pane ---

    def action_pane(self, name: str) -> None:
        pane = Pane(name)
        if pane is not Pane.SLOTS:
            self._lower = pane
        for each in LOWER:
            self._of(each).set_class(each is self._lower, "shown")
        self._of(pane).focus()
        self._draw_tabs()

    def action_turn(self, by: int) -> None:
        panes = list(Pane)
        now = panes.index(self.pane)
        self.action_pane(panes[(now + by) % len(panes)])

    @property
    def pane(self) -> Pane:
        focused = self.focused
        return Pane(focused.id) if isinstance(focused, Lines) and focused.id else Pane.SLOTS

    @property
    def ticket(self) -> str | None:
        return self._of(self.pane).ticket

    def _of(self, pane: Pane) -> Lines:
        return self.query_one(f"#{pane}", Lines)

    # --- what is in them ---

    def show(self, seen: Seen) -> None:
        self._seen = seen
        width = self.size.width
        lines = head(seen.status, width)
        self.query_one(Head).put(Filled(None, tuple(lines)))
        for pane in Pane:
            filled = self._filled(pane, seen, self._of(pane).size.width or width)
            self._counts[pane] = filled.count
            is_found = pane in BY_TICKET and seen.words == self._words
            self._of(pane).put(filled if is_found or not self._words else filled.only(self._words))
        self._share_height(len(lines))
        self._draw_tabs()

    def _filled(self, pane: Pane, seen: Seen, width: int) -> Filled:
        match pane:
            case Pane.COST:
                return self._kept(pane, (width, seen.cost), lambda: fill_cost(seen.cost, width))
            case Pane.EVENTS:
                return self._kept(pane, (width, seen.events), lambda: fill_events(seen.events))
            case _:
                return self._kept(pane, (width, parts_of(pane, seen.status)), lambda: fill(pane, seen.status, width))

    def _kept(self, pane: Pane, of: object, fill: Callable[[], Filled]) -> Filled:
        """Made anew only when it is of something else: hundreds of lines, and few looks that change any."""
        if pane not in self._drawn or self._drawn[pane][0] != of:
            self._drawn[pane] = of, fill()
        return self._drawn[pane][1]

    def _share_height(self, above: int) -> None:
        self.query_one(Head).styles.height = above
        room = self.size.height - above - 3
        wanted = max(self._of(Pane.SLOTS).virtual_size.height, 1)
        self._of(Pane.SLOTS).styles.height = max(min(wanted, room - FEWEST_BELOW), 2)

    def _draw_tabs(self) -> None:
        here = self.pane
        parts = []
        for number, pane in enumerate(Pane, 1):
            count = f" {self._counts.get(pane)}" if self._counts.get(pane) and pane is not Pane.EVENTS else ""
            style = "reverse" if pane is here else "bold" if pane is self._lower else "dim"
            parts.append(Content.styled(f" {number} {pane}{count} ", style))
        words = [Content.styled(f"  /{safe(self._words)}", "bold")] if self._words else []
        tabs = Content("").join([*parts, *words])
        if not tabs.is_same(self._tabs):
            self._tabs = tabs
            self.query_one("#tabs", Static).update(tabs)

    # --- asked for ---

    class LookFor(Message):
        """All tickets with these words are wanted."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    def action_filter(self, words: str) -> None:
        self._words = words.strip()
        self.post_message(self.LookFor(self._words))
        if self._seen:
            self.show(self._seen)

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width >= WIDE and event.size.height >= HIGH, "wide")
        if self._seen:
            self.call_after_refresh(self.show, self._seen)
