"""Pages of the target's wiki in a brief: what all should know and what a scope should, by content or by reference."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ticketd.domain.quoting import as_code, fenced, one_line, size_of
from ticketd.domain.ticket import GLOBAL_SCOPE

WIKI = "wiki"
MOST_NAMED = 100
LONGEST_HEADING = 100
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.M)


@dataclass(frozen=True, slots=True)
class Page:
    """A text file of the wiki at some commit. `text` is None where it was not read: too many, or too long."""

    path: str
    size: int
    text: str | None = None

    @property
    def heading(self) -> str:
        found = _HEADING.search(self.text or "")
        return one_line(found[1], LONGEST_HEADING) if found else ""


def folders_for(scope: str) -> tuple[str, ...]:
    """The scope's own first: that is nearest to the ticket."""
    own = () if scope == GLOBAL_SCOPE else (f"{WIKI}/{scope}",)
    return (*own, f"{WIKI}/{GLOBAL_SCOPE}")


def in_order(pages: Sequence[Page], folders: Sequence[str]) -> list[Page]:
    """By folder as given, then what lies further up, then the shorter: so most of them fit."""

    def rank(page: Page) -> tuple[int, int, int, str]:
        folder = next((n for n, each in enumerate(folders) if page.path.startswith(f"{each}/")), len(folders))
        return folder, page.path.count("/"), page.size, page.path

    return sorted(pages, key=rank)


def render_pages(pages: Sequence[Page], content: int, room: int) -> str:
    """In the order given: those by content for which there is room in `content` bytes, the others by path and first
    heading; all within `room` bytes, headings and fences too. Empty where there are none."""
    if not pages or room <= size_of(_HEAD):
        return ""
    told = list(_told(pages, min(content, room - size_of(_HEAD))))
    left = room - size_of(_HEAD) - sum(size_of(each) for _, each in told)
    whole = {page.path for page, _ in told}
    rest = "".join(_named([page for page in pages if page.path not in whole], left))
    parts = [*(each for _, each in told), *([rest] if rest else [])]
    return _HEAD + "".join(parts).rstrip("\n") if parts else ""


_HEAD = "## Pages of the wiki\n\nAs they are at the base; they say how things are done here.\n"


def _told(pages: Sequence[Page], room: int) -> Iterator[tuple[Page, str]]:
    for page in pages:
        if page.text is None or page.size > room:
            continue
        told = f"\n{as_code(page.path)}:\n\n{fenced(page.text.rstrip(), 'page')}\n"
        if size_of(told) <= room:
            room -= size_of(told)
            yield page, told


def _named(pages: Sequence[Page], room: int) -> Iterator[str]:
    """A list, and how many did not get into it."""
    begin, more = "\nTo be read where the task touches on them:\n\n", "- and {} more\n"
    room -= size_of(begin) + len(more) + 8
    if not pages or room < 0:
        return
    yield begin
    for number, page in enumerate(pages):
        line = f"- {as_code(page.path)}{f': {page.heading}' if page.heading else ''}\n"
        room -= size_of(line)
        if number == MOST_NAMED or room < 0:
            yield more.format(len(pages) - number)
            return
        yield line
