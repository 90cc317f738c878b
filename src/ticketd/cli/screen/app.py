"""The screen as a whole: what is read is shown, and what keys ask for is done by the same functions as the commands."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from textual.app import App
from textual.message import Message

from ticketd.app import reviewing, steering
from ticketd.cli.render.words import Document
from ticketd.cli.repository import View
from ticketd.cli.screen.bar import Bar
from ticketd.cli.screen.help import Help
from ticketd.cli.screen.lines import Lines
from ticketd.cli.screen.pool import Pool
from ticketd.cli.screen.reading import Reader, Seen, Trouble, in_one_line
from ticketd.cli.screen.ticketview import TicketView
from ticketd.cli.screen.views import Kind
from ticketd.domain.settings import Settings
from ticketd.domain.settingsfile import MAX_SLOTS

INTERRUPTED = 130
GONE_S = 10
"""How long a terminal is waited for by one who was told to end."""
PRIORITIES = {"c": "critical", "h": "high", "n": "normal", "l": "low"}
Deed = Callable[[], Iterable[str] | str]


class Steered(App[None]):
    """`document`: the last status that was seen."""

    CSS = "Screen { background: ansi_default; color: ansi_default; }"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [
        ("enter", "open('log')", ""),
        ("l", "open('log')", ""),
        ("d", "open('diff')", ""),
        ("i", "open('about')", ""),
        ("v", "open('review')", ""),
        ("a", "approve", ""),
        ("x", "reject", ""),
        ("r", "retry", ""),
        ("b", "bump", ""),
        ("c", "cancel", ""),
        ("h", "hold", ""),
        ("p", "pause", ""),
        ("plus", "slots(1)", ""),
        ("minus", "slots(-1)", ""),
        ("slash", "ask_filter", ""),
        ("question_mark", "help", ""),
        ("q", "quit", ""),
        ("ctrl+c", "interrupt", ""),
    ]

    class Looked(Message):
        def __init__(self, seen: Seen | Trouble) -> None:
            super().__init__()
            self.seen = seen

    class Done(Message):
        def __init__(self, told: str, trouble: bool) -> None:
            super().__init__()
            self.told = told
            self.trouble = trouble

    def __init__(self, here: View) -> None:
        super().__init__(ansi_color=True)
        self.animation_level = "none"
        self.document: Document | None = None
        self._here = here
        self._pool = Pool()
        self._reader = Reader(here, lambda seen: self.post_message(self.Looked(seen)))
        self._hand = ThreadPoolExecutor(1, "hand")
        self._troubled = False

    async def on_mount(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has it ignored
                asyncio.get_running_loop().add_signal_handler(number, self._leave, number)
        await self.push_screen(self._pool)
        self._reader.start()

    def _leave(self, number: int) -> None:
        """With the terminal as it was."""
        signal.alarm(GONE_S)
        self.exit(return_code=128 + number)

    def on_unmount(self) -> None:
        self._reader.end()
        self._hand.shutdown(wait=False, cancel_futures=True)

    # --- what is seen ---

    def on_steered_looked(self, message: Looked) -> None:
        match message.seen:
            case Trouble(why):
                self._say(why, trouble=True)
                self._troubled = True
            case Seen() as seen:
                if self._troubled:
                    self._say("")
                self._troubled = False
                self.document = seen.status
                self._here = replace(self._here, settings=seen.settings)
                self._pool.show(seen)

    def on_pool_look_for(self, message: Pool.LookFor) -> None:
        self._reader.look_for(message.words)

    def _say(self, told: str, trouble: bool = False) -> None:
        for bar in self.screen.query(Bar):
            bar.say(told, trouble)

    # --- one ticket ---

    @property
    def chosen(self) -> str | None:
        """The ticket that keys are about."""
        match self.screen:
            case TicketView() as view:
                return view.ticket
            case Pool() as pool:
                if pool.ticket is None:
                    self._say("no ticket is chosen here: arrows choose, Tab goes to the next pane")
                return pool.ticket
            case _:
                return None

    def action_open(self, kind: str) -> None:
        if id_ := self.chosen:
            self.push_screen(TicketView(self._here, id_, Kind(kind)))

    def on_lines_chosen(self, message: Lines.Chosen) -> None:
        self.action_open(Kind.LOG)

    def action_approve(self) -> None:
        """Only what is on the screen is approved: else it is shown first."""
        view = self.screen
        if isinstance(view, TicketView) and view.commit:
            id_, commit = view.ticket, view.commit
            self._do(lambda: reviewing.approve(self._here.session, self._settings, id_, commit))
        elif isinstance(view, TicketView):
            view.action_look(Kind.REVIEW)
        else:
            self.action_open(Kind.REVIEW)

    def action_reject(self) -> None:
        if id_ := self.chosen:
            if not any(each["ticket"] == id_ for each in (self.document or {}).get("review", ())):
                self._say(f"{id_} does not wait for a word", trouble=True)
                return
            self._ask(
                f"what is wrong with {id_}?",
                lambda why: self._do(lambda: reviewing.reject(self._here.session, id_, why)),
            )

    def action_retry(self) -> None:
        if id_ := self.chosen:
            self._do(lambda: steering.retry(self._here.session, self._settings, [id_]))

    def action_bump(self) -> None:
        if id_ := self.chosen:
            self._ask(
                f"priority of {id_}: (c)ritical (h)igh (n)ormal (l)ow",
                lambda key: self._do(lambda: steering.bump(self._here.session, self._settings, id_, PRIORITIES[key])),
                "".join(PRIORITIES),
            )

    def action_cancel(self) -> None:
        if id_ := self.chosen:
            self._ask(
                f"cancel {id_}? its work is kept (y/n)",
                lambda key: self._do(lambda: steering.cancel(self._here.session, [id_])) if key == "y" else None,
                "yn",
            )

    def action_hold(self) -> None:
        if id_ := self.chosen:
            self._do(lambda: self._held_or_not(id_))

    def _held_or_not(self, id_: str) -> Iterable[str]:
        session = self._here.session
        record = steering.record_of(session.store, id_)
        return steering.unhold(session, self._settings, [id_]) if record.held else steering.hold(session, [id_])

    # --- the pool ---

    def action_pause(self) -> None:
        self._do(self._paused_or_not)

    def _paused_or_not(self) -> Iterable[str]:
        session = self._here.session
        pool = session.store.pool()
        return [steering.resume(session)] if pool.paused or pool.alarm else steering.pause(session)

    def action_slots(self, by: int) -> None:
        self._do(lambda: self._slots(by))

    def _slots(self, by: int) -> str:
        session = self._here.session
        wanted = max(min((session.store.pool().slots or self._settings.slots) + by, MAX_SLOTS), 1)
        steering.set_slots(session, wanted)
        return f"{wanted} slots"

    def action_ask_filter(self) -> None:
        if self.screen is self._pool:
            self._ask("only lines with:", self._pool.action_filter)

    def action_help(self) -> None:
        if not isinstance(self.screen, Help):
            self.push_screen(Help())

    def action_interrupt(self) -> None:
        self.exit(return_code=INTERRUPTED)

    # --- doing it ---

    @property
    def _settings(self) -> Settings:
        return self._here.settings

    def _ask(self, question: str, then: Callable[[str], object], letters: str = "") -> None:
        self.screen.query_one(Bar).ask(question, then, letters)

    def _do(self, deed: Deed) -> None:
        """On a thread of its own, one after the other: the store may be busy for seconds."""
        self._hand.submit(self._done, deed)

    def _done(self, deed: Deed) -> None:
        try:
            said = deed()
            told = said if isinstance(said, str) else "; ".join(said)
        except Exception as error:
            self.post_message(self.Done(in_one_line(self._here, error), trouble=True))
        else:
            self.post_message(self.Done(told, trouble=False))
        self._reader.look_again()

    def on_steered_done(self, message: Done) -> None:
        self._say(message.told, message.trouble)


def steer(here: View) -> tuple[int, Document | None]:
    """Until a person leaves: with which exit code, and the last that was seen."""
    app = Steered(here)
    app.run()
    return app.return_code or 0, app.document
