"""What an agent says, for people who follow it: its text and its actions, made of the lines of its log."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

import click

from ticketd.agents import agent_of
from ticketd.cli.render.raw import TerminalText
from ticketd.cli.render.words import safe
from ticketd.domain.attempt import Attempt
from ticketd.domain.settings import Settings
from ticketd.ports import Agent, Said
from ticketd.ports.agents import SaidKind

MOST_OF_A_LINE = 1 << 20
"""Characters. One that holds a picture is longer; no adapter is asked what that means."""
RESULT_LINES = 3
COLOURS = {SaidKind.ACTION: "cyan", SaidKind.RESULT: "bright_black", SaidKind.TROUBLE: "yellow"}
MARKS = {SaidKind.ACTION: ("> ", "  "), SaidKind.RESULT: ("  | ", "  | "), SaidKind.TROUBLE: ("! ", "  ")}


@dataclass(frozen=True, slots=True)
class Spoken:
    """One line, harmless to a terminal. `kind`: None where the log itself is all there is."""

    text: str
    kind: SaidKind | None = None
    failed: bool = False


def speaker(attempt: Attempt, settings: Settings) -> Agent | None:
    """Who can read that attempt's log; None where its profile is gone, or no line of it says anything."""
    profile = settings.agents.get(attempt.agent)
    agent = agent_of(profile) if profile else None
    return agent if agent and agent.reads_lines else None


class Speech:
    """Bytes of a log in, in pieces of any size; lines out. `agent`: None for the log as it is."""

    def __init__(self, agent: Agent | None) -> None:
        self._agent = agent
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._terminal = TerminalText(colours=False)
        self._rest = ""
        self._too_long = False

    def feed(self, piece: bytes, final: bool = False) -> Iterator[Spoken]:
        text = self._decoder.decode(piece, final) if self._agent else self._terminal.feed(piece, final)
        *lines, self._rest = (self._rest + text).split("\n")
        if final and self._rest:
            lines, self._rest = [*lines, self._rest], ""
        for line in lines:
            if not self._too_long:
                yield from self._spoken(line)
            self._too_long = False
        if len(self._rest) > MOST_OF_A_LINE:
            self._rest, self._too_long = "", True

    def _spoken(self, line: str) -> Iterator[Spoken]:
        if self._agent is None:
            yield Spoken(line.expandtabs(4))
        elif len(line) <= MOST_OF_A_LINE:
            for said in self._agent.read(line):
                yield from spoken(said)


def spoken(said: Said) -> Iterator[Spoken]:
    """As lines; of what came of an action only the beginning. What it used is for the costs."""
    if said.kind is SaidKind.USAGE or not said.text.strip():
        return
    lines = [safe(line.expandtabs(4)) for line in said.text.strip("\r\n").splitlines()]
    left = len(lines) - RESULT_LINES if said.kind is SaidKind.RESULT else 0
    first, others = MARKS.get(said.kind, ("", ""))
    for number, line in enumerate(lines[:RESULT_LINES] if left > 0 else lines):
        failed = "failed: " if said.failed and not number else ""
        yield Spoken(f"{others if number else first}{failed}{line}", said.kind, said.failed)
    if left > 0:
        yield Spoken(f"{others}and {left} more lines", said.kind, said.failed)


def styled(line: Spoken) -> str:
    """For a stream; click takes the colours out again where that is no terminal."""
    colour = "red" if line.failed else COLOURS.get(line.kind) if line.kind else None
    return click.style(line.text, fg=colour) if colour else line.text
