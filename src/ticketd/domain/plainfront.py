"""Front matter as nearly everybody writes it, read line by line: `key: word`, quoted words, lists of words.

A YAML parser in Python needs about a millisecond for what this reads in a thirtieth of that, and there may be 100,000
files. The answer is the tree that `frontmatter.read` would build, or None wherever there could be any doubt.
"""

from __future__ import annotations

import re

from ticketd.domain.frontmatter import MAX_FRONT, Items, Node, Scalar, Table

LONGEST_LINE = 1000

_LATIN = "\xa1-\u036f"
# Without escapes, comments, colons and whatever else means something to YAML at this place.
_DOUBLE = rf'"([ !#-\[\]-~{_LATIN}]*+)" *+'
_SINGLE = rf"'([ -&(-~{_LATIN}]*+)' *+"
_PLAIN = rf'([A-Za-z0-9_./][ !"$-9;-~{_LATIN}]*+)'
_PLAIN_IN_BRACKETS = rf"([A-Za-z0-9_./][ !$-&(-+\--9;->@-Z\\^-z|~{_LATIN}]*+)"
_WORD = re.compile(f"{_DOUBLE}|{_SINGLE}|{_PLAIN}")
_IN_BRACKETS = re.compile(rf" *+(?:{_DOUBLE}|{_SINGLE}|{_PLAIN_IN_BRACKETS})([,\]])")
_EMPTY = re.compile(r"\[ *\] *")
_KEY = re.compile(r"([a-z_]+):(?: +(.*))?")
_LISTED = re.compile(r"( *)- +(.*)")


def read(front: str, fence_line: int) -> Table | None:
    """The mapping that the front matter is, if it is of the plain kind."""
    reading = _Reading()
    if len(front) > MAX_FRONT:
        return None
    for line, text in enumerate(front.split("\n"), fence_line + 1):
        if text and (len(text) > LONGEST_LINE or not reading.take(text, line)):
            return None
    return reading.table() if reading.close() else None


class _Reading:
    """The entries so far; `_listing` is the key whose list is being read."""

    def __init__(self) -> None:
        self._entries: list[tuple[Node, Node]] = []
        self._listing: Scalar | None = None
        self._items: list[Scalar] = []
        self._at = (0, 0)

    def take(self, text: str, line: int) -> bool:
        """Whether the line is plain."""
        listed = _LISTED.fullmatch(text)
        if listed is not None:
            return self._take_item(len(listed[1]), listed[2], line)
        found = _KEY.fullmatch(text)
        if found is None or not self.close():
            return False
        key = _scalar(found[1], line, plain=True)
        if not found[2]:
            self._listing = key
            return True
        node = _brackets(found[2], line) if found[2][0] == "[" else _word(found[2], line)
        if node is None:
            return False
        self._entries.append((key, node))
        return True

    def _take_item(self, indent: int, text: str, line: int) -> bool:
        word = _word(text, line)
        if word is None or self._listing is None or (self._items and indent != self._at[0]):
            return False
        if not self._items:
            self._at = indent, line
        self._items.append(word)
        return True

    def close(self) -> bool:
        """End the list that is being read; whether it has any item. A key without a value is for the parser."""
        if self._listing is not None:
            if not self._items:
                return False
            self._entries.append((self._listing, _items(self._items, self._at[1])))
            self._listing, self._items = None, []
        return True

    def table(self) -> Table | None:
        if not self._entries:
            return None
        size = 1 + sum(key.size + node.size for key, node in self._entries)
        return Table(tuple(self._entries), self._entries[0][0].line, size)


def _scalar(text: str, line: int, plain: bool) -> Scalar:
    return Scalar(text, line, plain, 1 + len(text))


def _items(items: list[Scalar], line: int) -> Items:
    return Items(tuple(items), line, 1 + sum(item.size for item in items))


def _word(text: str, line: int) -> Scalar | None:
    found = _WORD.fullmatch(text)
    return found and _found(found, line)


def _found(found: re.Match[str], line: int) -> Scalar:
    double, single, plain = found.group(1, 2, 3)
    if plain is not None:
        return _scalar(plain.rstrip(" "), line, plain=True)
    return _scalar(single if double is None else double, line, plain=False)


def _brackets(text: str, line: int) -> Items | None:
    """A list within one line, without a comma at its end."""
    if _EMPTY.fullmatch(text):
        return _items([], line)
    items: list[Scalar] = []
    at, ended = 1, False
    while not ended:
        found = _IN_BRACKETS.match(text, at)
        if found is None:
            return None
        items.append(_found(found, line))
        at, ended = found.end(), found[4] == "]"
    return None if text[at:].strip(" ") else _items(items, line)
