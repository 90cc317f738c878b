"""The lowest lines: what came of the last key, a question where one is asked, and the keys."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.widget import Widget
from textual.widgets import Input, Static

from ticketd.cli.render.words import safe

Answered = Callable[[str], object]


class Answer(Input):
    BINDINGS = [("escape", "leave", "")]

    def action_leave(self) -> None:
        self.screen.query_one(Bar).leave()


class Bar(Vertical):
    DEFAULT_CSS = """
    Bar { height: auto; dock: bottom; }
    Bar #said { height: auto; max-height: 3; }
    Bar #said.trouble { color: ansi_red; }
    Bar #keys { height: 1; text-style: dim; text-wrap: nowrap; text-overflow: ellipsis; }
    Bar #asking { height: 1; display: none; }
    Bar #question { width: auto; max-width: 85%; color: ansi_yellow; }
    Bar Answer, Bar Answer:focus {
        border: none; height: 1; padding: 0 1; width: 1fr; min-width: 8; background: ansi_default; color: ansi_default;
    }
    """

    def __init__(self, keys: str) -> None:
        super().__init__()
        self._keys = keys
        self._then: Answered | None = None
        self._letters = ""
        self._before: Widget | None = None

    def compose(self) -> ComposeResult:
        yield Static("", id="said", markup=False)
        with Horizontal(id="asking"):
            yield Static("", id="question", markup=False)
            yield Answer(id="answer", compact=True)
        yield Static(Content(self._keys), id="keys", markup=False)

    def say(self, told: str, trouble: bool = False) -> None:
        try:
            said = self.query_one("#said", Static)
        except NoMatches:
            return
        said.set_class(trouble, "trouble")
        said.update(Content(safe(told)))

    def ask(self, question: str, then: Answered, letters: str = "", so_far: str = "") -> None:
        """`letters`: one of these is an answer, at once; else what is typed, with Enter."""
        self._then, self._letters, self._before = then, letters, self.screen.focused
        self.say("")
        self.query_one("#question", Static).update(Content(safe(question)))
        self.query_one("#asking").display = True
        answer = self.query_one(Answer)
        answer.value = so_far
        answer.focus()

    def leave(self) -> None:
        self.query_one("#asking").display = False
        self._then = None
        if self._before is not None:
            self._before.focus()

    def _answered(self, value: str) -> None:
        then = self._then
        self.leave()
        if then is not None:
            then(value)

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._then is not None and self._letters and event.value:
            if event.value[:1].lower() in self._letters:
                self._answered(event.value[:1].lower())
            else:
                event.input.value = ""

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self._letters and not event.value:
            self.leave()
        else:
            self._answered(event.value)
