"""The screen that one steers from, by its keys, on a real store; Textual's own pilot is the terminal."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable

import pytest
from eyes_yard import NOW, Terminal, Yard
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from textual.pilot import Pilot
from textual.strip import Strip

from ticketd.app.tickets import settings_of
from ticketd.cli.display import SHOWN
from ticketd.cli.render.layout import line
from ticketd.cli.repository import View
from ticketd.cli.screen.app import Steered
from ticketd.cli.screen.lines import Lines, difference
from ticketd.cli.screen.pool import Pool
from ticketd.cli.screen.ticketview import TicketView
from ticketd.domain.ticket import Priority, Reason, TicketState
from ticketd.domain.verdict import Requeue

LIMIT_S = 60.0
MANY = 250
Play = Callable[[Steered, Pilot[None]], Awaitable[None]]


def view_of(yard: Yard) -> View:
    return View(yard.opened, *settings_of(yard.session))


def played(yard: Yard, play: Play, size: tuple[int, int] = (80, 24)) -> None:
    async def run() -> None:
        app = Steered(view_of(yard))
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.document is not None and isinstance(app.screen, Pool))
            await pilot.pause()
            await play(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], fits: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not fits():
            await pilot.pause(0.01)


def text_of(app: Steered) -> str:
    """All that stands on the terminal."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


def state_of(yard: Yard, id_: str) -> TicketState:
    return yard.session.store.ticket(id_).state


def choose(app: Steered, id_: str) -> None:
    """As arrows would."""
    lines = next(each for each in app.screen.query(Lines) if id_ in each.tickets)
    lines.focus()
    lines.choose(lines.tickets.index(id_))


@pytest.fixture
def busy(yard: Yard) -> Yard:
    yard.busy()
    return yard


def test_at_80_by_24_slots_stay_in_sight_and_the_other_panes_take_turns(busy: Yard) -> None:
    async def play(app: Steered, pilot: Pilot[None]) -> None:
        for key, said in (
            ("2", "overlaps retry-uploader on src/upload"),
            ("3", "on-its-way  queued"),
            ("4", "waits for a person before it lands"),
            ("5", "agent-failed  the agent ended with exit code 3"),
            ("6", "today $0.00"),
            ("7", "last-asked        starts in slot 3"),
        ):
            await pilot.press(key)
            await until(pilot, lambda said=said: said in text_of(app))
            assert "3 behind, conflict" in text_of(app)
        await pilot.press("tab", "tab")
        assert app.screen.query_one("#queue").has_focus

    with busy.daemon():
        played(busy, play)


def test_with_room_all_panes_are_there_at_once(busy: Yard) -> None:
    async def play(app: Steered, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "today $0.00" in text_of(app))
        for said in ("overlaps retry-uploader", "on-its-way  queued", "before it lands", "exit code 3", "is held"):
            assert said in text_of(app), said

    with busy.daemon():
        played(busy, play, (200, 50))


def test_keys_steer_the_chosen_ticket_and_what_came_of_it_is_told(busy: Yard) -> None:
    async def play(app: Steered, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        choose(app, "client-cache")
        await pilot.press("h")
        await until(pilot, lambda: "client-cache is held" in text_of(app))
        await pilot.press("h")
        await until(pilot, lambda: "client-cache is not held (rank" in text_of(app))
        await pilot.press("b", "x", "c")
        await until(pilot, lambda: "client-cache has priority critical" in text_of(app))
        await pilot.press("c", "n")
        await pilot.press("r")
        await until(pilot, lambda: "client-cache is queued Failed, skipped" in text_of(app))
        assert state_of(busy, "client-cache") is TicketState.QUEUED
        await pilot.press("c", "y")
        await until(pilot, lambda: state_of(busy, "client-cache") is TicketState.CANCELLED)
        await pilot.press("5")
        choose(app, "broken")
        await pilot.press("r")
        await until(pilot, lambda: state_of(busy, "broken") is TicketState.QUEUED)

    with busy.daemon():
        played(busy, play)
    assert busy.session.store.ticket("client-cache").priority is Priority.CRITICAL


def test_the_chosen_line_stays_where_it_is_though_others_are_of_the_same_ticket(busy: Yard) -> None:
    async def play(app: Steered, pilot: Pilot[None]) -> None:
        await pilot.press("7")
        events = app.screen.query_one("#events", Lines)
        await until(pilot, lambda: "last-asked" in events.tickets)
        of_it = [at for at, ticket in enumerate(events.tickets) if ticket == "last-asked"]
        assert len(of_it) > 1
        events.choose(of_it[-1])
        busy.session.store.pause("for lunch", NOW)
        await until(pilot, lambda: "! paused" in text_of(app))
        assert events.at == max(at for at, ticket in enumerate(events.tickets) if ticket == "last-asked")

    played(busy, play)


def test_keys_steer_the_pool(busy: Yard) -> None:
    async def play(app: Steered, pilot: Pilot[None]) -> None:
        await pilot.press("p")
        await until(pilot, lambda: "! paused" in text_of(app))
        await pilot.press("p")
        await until(pilot, lambda: "resumed: tickets start" in text_of(app))
        await pilot.press("plus", "plus", "minus")
        await until(pilot, lambda: busy.session.store.pool().slots == 5)
        await pilot.press("question_mark")
        await until(pilot, lambda: "run it again, after it failed" in text_of(app))
        await pilot.press("q", "q")
        await until(pilot, lambda: not app.is_running)

    with busy.daemon():
        played(busy, play)


def test_an_approval_is_for_exactly_what_the_screen_has_shown(busy: Yard) -> None:
    async def play(app: Steered, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        choose(app, "first-asked")
        await pilot.press("a")
        await until(pilot, lambda: "a approves exactly this" in text_of(app))
        assert "# About first-asked" in text_of(app)
        assert state_of(busy, "first-asked") is TicketState.REVIEW, "the first key only shows it"
        busy.ticket("first-asked", "# Delete everything", touches=["asked/**"], gate="start")
        busy.sync()
        await pilot.press("a")
        await until(pilot, lambda: "nothing was approved" in text_of(app))
        assert state_of(busy, "first-asked") is TicketState.REVIEW
        await pilot.press("v")
        await until(pilot, lambda: "# Delete everything" in text_of(app))
        await pilot.press("a")
        await until(pilot, lambda: state_of(busy, "first-asked") is TicketState.QUEUED)

    with busy.daemon():
        played(busy, play)


def test_a_rejection_asks_what_is_wrong(busy: Yard) -> None:
    async def play(app: Steered, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        choose(app, "last-asked")
        await pilot.press("x", "enter")
        await until(pilot, lambda: "Say what is wrong" in text_of(app))
        await pilot.press("x", *"qadc", "enter")
        await until(pilot, lambda: state_of(busy, "last-asked") is TicketState.FAILED)

    with busy.daemon():
        played(busy, play)
    assert busy.session.store.ticket("last-asked").detail == "qadc", "keys are letters while one answers"


def test_an_opened_ticket_shows_what_its_agent_says_as_it_speaks(yard: Yard) -> None:
    (yard.root / "ticketd.toml").write_text('[agents.default]\npreset = "claude"\n')
    yard.ticket("first", touches=["src/**"])
    yard.sync()
    log = yard.log(yard.start("first", 1), said("I look [bold]around[/bold]\x1b[2J"))

    async def play(app: Steered, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "quiet" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: "I look [bold]around[/bold]" in text_of(app))
        assert "\x1b" not in text_of(app)
        with log.open("ab") as more:
            more.write(acted("npm test"))
        await until(pilot, lambda: "> " in text_of(app) and "npm test" in text_of(app))
        assert '"type"' not in text_of(app)
        await pilot.press("escape")
        assert isinstance(app.screen, Pool)

    played(yard, play)


def said(text: str) -> bytes:
    return claude_line({"type": "text", "text": text})


def acted(command: str) -> bytes:
    return claude_line({"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": command}})


def claude_line(content: dict[str, object]) -> bytes:
    message = {"id": "m1", "model": "m", "role": "assistant", "content": [content]}
    return json.dumps({"type": "assistant", "message": message, "session_id": "s"}).encode() + b"\n"


def test_what_others_wrote_is_shown_and_not_obeyed(yard: Yard) -> None:
    yard.ticket("evil", title="[red]alarm[/red] [$error]b", touches=["src/**"])

    async def play(app: Steered, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, lambda: "[red]alarm[/red] [$error]b" in text_of(app))
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, TicketView) and "[red]alarm[/red]" in text_of(app))

    played(yard, play, (120, 24))


def test_only_the_lines_with_the_words_asked_for(busy: Yard) -> None:
    async def play(app: Steered, pilot: Pilot[None]) -> None:
        await pilot.press("2", "slash", *"client", "enter")
        await until(pilot, lambda: "on-hold" not in text_of(app))
        assert "client-cache" in text_of(app) and "client-docs" in text_of(app)
        await pilot.press("escape")
        await until(pilot, lambda: "on-hold" in text_of(app))

    played(busy, play)


def test_a_store_that_is_gone_is_said_and_the_screen_stays(busy: Yard) -> None:
    store = busy.session.places.store

    async def play(app: Steered, pilot: Pilot[None]) -> None:
        moved = store.rename(store.with_name("elsewhere"))
        await until(pilot, lambda: "is gone" in text_of(app))
        assert "client-cache" in text_of(app), "what was seen last stays"
        moved.rename(store)
        await until(pilot, lambda: "is gone" not in text_of(app))

    played(busy, play)


def test_of_very_many_the_first_stand_there_and_others_are_found_by_their_words(yard: Yard) -> None:
    for number in range(MANY):
        yard.ticket(f"t{number:03}", title=f"Part {number:03}", scope="acme", touches=[f"/{number}"])

    async def play(app: Steered, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        queue = app.screen.query_one("#queue", Lines)
        await until(pilot, lambda: "t000" in queue.tickets)
        assert len(queue.tickets) == (SHOWN.most or 0) + 1 < MANY
        assert f"queue {MANY}" in text_of(app)
        await pilot.press("end")
        await until(pilot, lambda: f"of {MANY} the first" in text_of(app))
        await pilot.press("slash", *f"part {MANY - 1}", "enter")
        await until(pilot, lambda: queue.tickets == (f"t{MANY - 1}",))
        assert f"{MANY}  t{MANY - 1}" in text_of(app), "with its rank in the whole queue"

    played(yard, play)


def test_an_older_attempt_is_looked_at_by_a_key(yard: Yard) -> None:
    yard.ticket("first", touches=["src/**"])
    yard.sync()
    for number in (1, 2):
        key = yard.start("first", 1)
        yard.finish(key, Requeue("again", failed=True, reason=Reason.AGENT_FAILED))
        yard.log(key, f"this is run {number}\n".encode())

    async def play(app: Steered, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        choose(app, "first")
        await pilot.press("l")
        await until(pilot, lambda: "this is run 2" in text_of(app))
        await pilot.press("o")
        await until(pilot, lambda: "this is run 1" in text_of(app) and "attempt 1 of 2" in text_of(app))
        assert "this is run 2" not in text_of(app)
        await pilot.press("o")
        await until(pilot, lambda: "this is run 2" in text_of(app))

    played(yard, play)


def test_keys_go_by_ticketd_toml_as_it_is_now(busy: Yard) -> None:
    config = busy.root / "ticketd.toml"

    async def play(app: Steered, pilot: Pilot[None]) -> None:
        config.write_text(config.read_text().replace("slots = 4", "slots = 7"))
        await until(pilot, lambda: len((app.document or {})["slots"]) == 7)
        await pilot.press("plus")
        await until(pilot, lambda: busy.session.store.pool().slots == 8)

    with busy.daemon():
        played(busy, play)


Parts = list[tuple[str, str]]
STYLED = st.lists(st.tuples(st.text("ab -ß火", max_size=6), st.sampled_from(["", "red", "dim"])), max_size=4)


@given(STYLED, STYLED)
def test_the_cells_that_are_drawn_again_are_all_that_differ(
    old: list[tuple[str, str]], new: list[tuple[str, str]]
) -> None:
    before, after = line(*old), line(*new)
    start, width = difference(before, after)
    console = Console(width=200)
    drawn = Strip(after.render(console)).crop_extend(0, 60, None)
    stood = Strip(before.render(console)).crop_extend(0, 60, None)
    mixed = [stood.crop(0, start), drawn.crop(start, start + width), stood.crop(start + width, 60)]
    assert cells(Strip.join(mixed)) == cells(drawn)


def cells(strip: Strip) -> list[tuple[str, str]]:
    return [(character, str(segment.style or "")) for segment in strip for character in segment.text]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_told_to_end_leaves_the_terminal_as_it_was(yard: Yard, number: signal.Signals) -> None:
    terminal = Terminal(yard, 80, 24, "status", "--watch")
    terminal.until("nothing waits")
    terminal.signal(number)
    assert terminal.end() == 128 + number
    assert "\x1b[?1049l" in terminal.raw  # back from the screen
    assert "\x1b[?1000l" in terminal.raw  # the mouse is the terminal's own again
