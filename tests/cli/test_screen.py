"""The screen that one steers from, by its keys, on a real store; Textual's own pilot is the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from eyes_yard import NOW, Yard
from textual.pilot import Pilot

from ticketd.app.tickets import problems, settings_of
from ticketd.cli.repository import View
from ticketd.cli.screen.app import Steered
from ticketd.cli.screen.bar import Bar
from ticketd.cli.screen.lines import Lines
from ticketd.cli.screen.pool import Pool
from ticketd.cli.screen.ticketview import TicketView
from ticketd.domain.ticket import Priority, TicketState

LIMIT_S = 15.0
Play = Callable[[Steered, Pilot[None]], Awaitable[None]]


def view_of(yard: Yard) -> View:
    settings, of_settings = settings_of(yard.session)
    return View(yard.opened, settings, problems(yard.session, settings, of_settings))


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
