"""Front matter: YAML as a small tree in which every value keeps its line and its original text.

The tree is built from the parser's events; nothing is constructed, so no tag runs code and `no`, `012` or a date stay
the words that were written. Depth, number and expanded size are bounded while the events arrive: a bomb costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from ticketd.domain.values import MAX_BYTES, FaultAt

FENCE = "---"
MAX_DEPTH = 20
# ruamel's scanner needs about half a second for this much; real front matter has a hundredth of it.
MAX_FRONT = 128 * 1024


@dataclass(frozen=True, slots=True)
class Scalar:
    """`plain` is False for quoted and block scalars, which are always text."""

    text: str
    line: int
    plain: bool
    size: int = 1

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class Items:
    items: tuple[Node, ...]
    line: int
    size: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    entries: tuple[tuple[Node, Node], ...]
    line: int
    size: int = 1


Node = Scalar | Items | Table


@dataclass(frozen=True, slots=True)
class Split:
    """`front` is None where there is no front matter; `line` is that of its opening fence."""

    front: str | None
    line: int
    body: str


def split(text: str) -> Split:
    """Part front matter and body. `text` has `\\n` line ends."""
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines) if line.strip()), None)
    if first is None or lines[first].rstrip() != FENCE:
        return Split(None, 0, text)
    for n in range(first + 1, len(lines)):
        if lines[n].rstrip() == FENCE:
            return Split("\n".join(lines[first + 1 : n]), first + 1, "\n".join(lines[n + 1 :]))
    raise FaultAt(first + 1, "the front matter that opens here is never closed", f"add a line `{FENCE}` after it")


def read(front: str, fence_line: int) -> Table:
    """The mapping that the front matter is; an empty one where it says nothing."""
    if len(front) > MAX_FRONT:
        raise FaultAt(fence_line, f"the front matter is larger than {MAX_FRONT // 1024} KiB", "move text to the body")
    try:
        root = _Builder(fence_line + 1).build(front)
    except MarkedYAMLError as error:
        raise FaultAt(*_told(error, fence_line + 1)) from None
    except YAMLError as error:
        raise FaultAt(fence_line, f"the front matter is not YAML: {_first_line(error)}", "take it out") from None
    except FaultAt:
        raise
    except Exception as error:
        # ruamel lets a few plain exceptions out on hostile input, such as OverflowError for "\UFFFFFFFF".
        raise FaultAt(fence_line, f"the front matter is not YAML: {_first_line(error)}", "mend the YAML") from None
    if root is None or (isinstance(root, Scalar) and root.is_null):
        return Table((), fence_line)
    if not isinstance(root, Table):
        raise FaultAt(root.line, "the front matter is not a list of keys and values", "write `key: value` lines")
    return root


def _told(error: MarkedYAMLError, first_line: int) -> tuple[int, str, str]:
    mark = error.problem_mark or error.context_mark
    line = first_line + (mark.line if mark else 0)
    problem = " ".join(str(error.problem or error.context or "syntax error").split())
    mend = "mend the YAML; quote a value that has `: `, ` #` or begins with one of `*&!%@[]{}|>` or a quote"
    return line, f"the front matter is not YAML: {problem}", mend


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _Builder:
    """Builds the tree with a stack of its own, so depth is a number and never the interpreter's."""

    def __init__(self, first_line: int) -> None:
        self._first_line = first_line
        self._open: list[tuple[type[Items] | type[Table], list[Node], int, str | None]] = []
        self._anchors: dict[str, Node] = {}
        self._root: Node | None = None

    def build(self, text: str) -> Node | None:
        events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)
        for event in events:
            self._take(event, self._first_line + event.start_mark.line)
        return self._root

    def _take(self, event: Any, line: int) -> None:
        match event:
            case DocumentStartEvent() if event.explicit or event.version or event.tags:
                raise FaultAt(line, "the front matter is not one plain YAML document", "take out `%` and `---` lines")
            case DocumentEndEvent() if event.explicit:
                raise FaultAt(line, "the front matter is not one plain YAML document", "take out the `...` line")
            case ScalarEvent():
                self._refuse_tag(event, line)
                value = event.value
                self._add(Scalar(value, line, event.style is None, 1 + len(value)), event.anchor)
            case SequenceStartEvent() | MappingStartEvent():
                self._refuse_tag(event, line)
                if len(self._open) >= MAX_DEPTH:
                    raise FaultAt(line, f"values are nested more than {MAX_DEPTH} deep", "write plain lists and values")
                kind = Items if isinstance(event, SequenceStartEvent) else Table
                self._open.append((kind, [], line, event.anchor))
            case SequenceEndEvent() | MappingEndEvent():
                self._close()
            case AliasEvent():
                known = self._anchors.get(event.anchor)
                if known is None:
                    what = f"`*{event.anchor}` is a YAML alias that names no anchor"
                    raise FaultAt(line, what, f'if it is a pattern, quote it: `"*{event.anchor}"`')
                self._add(replace(known, line=line), None)

    def _refuse_tag(self, event: Any, line: int) -> None:
        if event.tag is not None:
            what = "a value that begins with `!` is a YAML tag, and tags are not taken"
            raise FaultAt(line, what, 'quote the value if it is text, like `"!docs/**"`; else take the tag out')

    def _close(self) -> None:
        kind, children, line, anchor = self._open.pop()
        size = 1 + sum(child.size for child in children)
        if size > MAX_BYTES:
            raise FaultAt(line, "aliases expand to more than 1 MiB", "write the values themselves")
        if kind is Items:
            self._add(Items(tuple(children), line, size), anchor)
        else:
            pairs = tuple(zip(children[::2], children[1::2], strict=True))
            self._add(Table(pairs, line, size), anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if self._open:
            self._open[-1][1].append(node)
        else:
            self._root = node
