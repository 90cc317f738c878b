"""What agents print, on its way to a terminal: text and colours pass, all else a terminal would obey is shown."""

from __future__ import annotations

import codecs
import re

from ticketd.cli.render.words import safe

COLOUR = re.compile(r"(\x1b\[[0-9;:]*m)")
UNFINISHED = re.compile(r"(\r|\x1b(\[[0-9;:]{0,64})?)\Z")
RESET = "\x1b[0m"


class TerminalText:
    """Bytes in, in pieces of any size; text out. `colours`: whether those pass or are left out."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._coloured = False

    def feed(self, piece: bytes, final: bool = False) -> str:
        text = self._rest + self._decoder.decode(piece, final)
        self._rest = ""
        if not final and (unfinished := UNFINISHED.search(text)):
            self._rest = unfinished[0]
            text = text[: unfinished.start()]
        shown = "".join(self._part(part) for part in COLOUR.split(text.replace("\r\n", "\n")))
        return shown + RESET if final and self._coloured else shown

    def _part(self, part: str) -> str:
        if COLOUR.fullmatch(part):
            self._coloured = self._colours
            return part if self._colours else ""
        return safe(part, keep="\t\n")
