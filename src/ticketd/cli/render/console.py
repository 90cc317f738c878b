"""Where lines go: a terminal gets what fits it, in colour unless NO_COLOR says otherwise; a pipe gets plain lines."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from ticketd.cli.render.layout import UNBOUNDED


@dataclass(frozen=True, slots=True)
class Room:
    """Cells across and down; without end where there is no terminal."""

    width: int = UNBOUNDED
    height: int = UNBOUNDED


def is_terminal() -> bool:
    return sys.stdout.isatty()


def console() -> Console:
    """For standard output as it is now. Nothing is markup, and nothing is broken into lines by rich."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A title may hold what the terminal's encoding has not; better a `?` than no screen.
        sys.stdout.reconfigure(errors="replace")
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


def room(on: Console) -> Room:
    return Room(on.width, on.height) if is_terminal() else Room()


def show(lines: Sequence[Text], on: Console | None = None) -> None:
    """Print lines that already fit."""
    on = on or console()
    if lines and on.color_system is None:
        # Into a pipe 100,000 lines may go, and rich takes ten times as long over each.
        on.file.write("\n".join(each.plain for each in lines) + "\n")
    elif lines:
        on.print(Text("\n").join(lines), soft_wrap=True)
