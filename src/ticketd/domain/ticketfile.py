"""Ticket files: Markdown with YAML front matter → a `Ticket`, or every fault with its line and its mend."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeVar

from ticketd.domain import frontmatter, globs, plainfront, values
from ticketd.domain.frontmatter import Items, Node, Scalar, Table
from ticketd.domain.globs import PatternSet
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import GLOBAL_SCOPE, Gate, OnFailure, Priority, Size, Ticket
from ticketd.domain.values import MAX_BYTES, Fault, FaultAt, quoted, shown, slug

__all__ = ["FOLDER", "MAX_BYTES", "Lines", "Parsed", "heading_of", "parse_ticket", "slug", "tidy"]

FOLDER = "tickets"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lines:
    """Where in a file each key, and each item of a list, was written."""

    keys: Mapping[str, int] = field(default_factory=dict)
    items: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def of(self, key: str, item: str = "") -> int:
        """The item's line, else the key's, else 0: the file as a whole."""
        return self.items.get((key, item)) or self.keys.get(key, 0)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one file says. `ticket` is None if there is an error, `id` is None if the path names no ticket."""

    path: str
    id: str | None
    ticket: Ticket | None
    problems: tuple[Problem, ...]
    lines: Lines = field(default_factory=Lines)


def parse_ticket(path: str, text: bytes, settings: Settings) -> Parsed:
    """Read one ticket file; `path` is relative to the repository root.

    All faults that the file and the settings decide are in the result. What takes other files to know is `lint`'s.
    """
    report = _Report(path)
    found, folder = _place(path, report)
    try:
        parts = frontmatter.split(values.decode(text))
        table = _table(parts.front, parts.line) if parts.front is not None else Table((), 0)
    except FaultAt as fault:
        report.error(fault.line, fault.what, fault.mend)
        return Parsed(path, found, None, report.in_order())
    if parts.front is None:
        _warn_of_bare_keys(parts.body, report)
    fields, lines = _read_keys(table, report)
    ticket = None
    if found is not None and not report.has_errors:
        body = tidy(parts.body)
        fields.setdefault("scope", folder)
        fields.setdefault("title", heading_of(body) or found)
        ticket = Ticket(id=found, path=path, body=body, **fields)
        _check_against(settings, ticket, lines, report)
    return Parsed(path, found, None if report.has_errors else ticket, report.in_order(), lines)


# --- reports --------------------------------------------------------------------------------------------------------


class _Report:
    """Collects the faults of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def error(self, line: int, what: str, mend: str) -> None:
        self.problems.append(Problem(self.file, line, what, mend))

    def warning(self, line: int, what: str, mend: str) -> None:
        self.problems.append(Problem(self.file, line, what, mend, Severity.WARNING))

    @property
    def has_errors(self) -> bool:
        return any(p.severity is Severity.ERROR for p in self.problems)

    def in_order(self) -> tuple[Problem, ...]:
        return tuple(sorted(self.problems, key=lambda p: p.line))


@dataclass(frozen=True, slots=True)
class _Key:
    """One key of one file: what is wrong with its value is said in its name."""

    name: str
    report: _Report
    items: dict[tuple[str, str], int]

    def error(self, line: int, what: str, mend: str) -> None:
        self.report.error(line, f"`{self.name}`: {what}", mend)

    def warning(self, line: int, what: str, mend: str) -> None:
        self.report.warning(line, f"`{self.name}`: {what}", mend)


# --- readers: a node → a value, or None and a fault in the report ---------------------------------------------------

Read = Callable[[Node, _Key], Any]


def _kind(node: Node) -> str:
    match node:
        case Items():
            return "a list"
        case Table():
            return "a mapping"
        case Scalar():
            return "no value" if node.is_null else "a single value"


def _word(node: Node, key: _Key, check: Callable[[str], T], wanted: str) -> T | None:
    """One scalar through a check. Its text is taken as written: `012`, `no` and dates stay what they look like."""
    if not isinstance(node, Scalar) or node.is_null:
        key.error(node.line, f"{wanted} is wanted, not {_kind(node)}", f"write {wanted}")
        return None
    try:
        return check(node.text)
    except Fault as fault:
        key.error(node.line, fault.what, fault.mend)
        return None


def _one(check: Callable[[str], Any], wanted: str) -> Read:
    return lambda node, key: _word(node, key, check, wanted)


def _number(check: Callable[[str], Any], wanted: str) -> Read:
    """A scalar that must not be quoted: in YAML `"3"` is a text."""

    def read(node: Node, key: _Key) -> Any:
        if isinstance(node, Scalar) and not node.plain:
            key.error(node.line, f"{wanted} is wanted, not a text", f"write {wanted}, without quotes")
            return None
        return _word(node, key, check, wanted)

    return read


def _words(node: Node, key: _Key, check: Callable[[str], str], wanted: str) -> Iterator[tuple[str, int]]:
    """The good items of a list, each with its line."""
    if not isinstance(node, Items):
        example = f"[{quoted(node.text)}]" if isinstance(node, Scalar) and len(node.text) < 80 else "[…]"
        key.error(node.line, f"a list is wanted, not {_kind(node)}", f"write a list: `{key.name}: {example}`")
        return
    for item in node.items:
        word = _word(item, key, check, wanted)
        if word is not None:
            key.items.setdefault((key.name, word), item.line)
            yield word, item.line


def _distinct(check: Callable[[str], str], wanted: str) -> Read:
    """A list in which an item counts once."""

    def read(node: Node, key: _Key) -> tuple[str, ...]:
        seen: dict[str, None] = {}
        for word, line in _words(node, key, check, wanted):
            if word in seen:
                key.warning(line, f"{shown(word)} stands twice", "take one out")
            seen[word] = None
        return tuple(seen)

    return read


def _patterns(node: Node, key: _Key) -> PatternSet:
    """A list whose order counts: the last pattern that matches decides."""
    return PatternSet(tuple(word for word, _ in _words(node, key, values.pattern, "a pattern")))


def _command(node: Node, key: _Key) -> tuple[str, ...] | None:
    """A string, split as a shell would; or a list, taken as it is."""
    if not isinstance(node, Scalar):
        # Equal arguments may repeat, so the list is read as it stands.
        argv = tuple(word for word, _ in _words(node, key, values.argument, "an argument"))
        if isinstance(node, Items) and len(argv) == len(node.items):
            return _word(Scalar("", node.line, plain=False), key, lambda _: values.check_argv(argv), "a command")
        return None
    operator = values.shell_operator(node.text)
    if operator is not None:
        what = "lines are joined" if operator == "\n" else f"`{operator}` is passed as it stands"
        key.warning(node.line, f"no shell runs: {what}", 'for a shell, write a list: `["sh", "-c", "…"]`')
    return _word(node, key, values.split_command, "a command")


def _retries(text: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,4}", text) or int(text) > values.MAX_RETRIES:
        raise Fault(f"{shown(text)} is not a number of retries", f"write a whole number from 0 to {values.MAX_RETRIES}")
    return int(text)


def _budget(text: str) -> float:
    amount = float(text) if re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", text) else math.nan
    if not 0 < amount <= values.MAX_BUDGET_USD:
        raise Fault(f"{shown(text)} is not an amount of dollars", "write a number above zero, like `2.50`")
    return amount


def _enum(kinds: type[Priority | Size | Gate | OnFailure], **aliases: str) -> Read:
    return _one(lambda text: values.choice(kinds, text, aliases), values.or_list(f"`{k.value}`" for k in kinds))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key of the front matter: the field it fills and how its value is read."""

    field: str
    read: Read


KEYS: Mapping[str, _Entry] = {
    "title": _Entry("title", _one(values.title, "one line of text")),
    "scope": _Entry("scope", _one(values.name, "a scope's name")),
    "priority": _Entry("priority", _enum(Priority, **values.PRIORITY_ALIASES)),
    "size": _Entry("size", _enum(Size)),
    "touches": _Entry("touches", _patterns),
    "depends_on": _Entry("depends_on", _distinct(values.ticket_id, "a ticket's id")),
    "gate": _Entry("gate", _enum(Gate)),
    "agent": _Entry("agent", _one(values.name, "an agent profile's name")),
    "timeout": _Entry("timeout_s", _one(values.duration, "a duration like `45m`")),
    "retries": _Entry("retries", _number(_retries, "a whole number")),
    "verify": _Entry("verify", _command),
    "on_failure": _Entry("on_failure", _enum(OnFailure)),
    "budget_usd": _Entry("budget_usd", _number(_budget, "a number")),
    "labels": _Entry("labels", _distinct(values.one_line, "a label")),
}

_ELSEWHERE: Mapping[str, str] = {
    "id": "the id is the file's name without `.md`: take the key out",
    "state": "ticketd keeps the state itself: take the key out",
    "status": "ticketd keeps the state itself: take the key out",
    **dict.fromkeys(("file", "files", "path", "paths", "globs"), "did you mean `touches`?"),
    **dict.fromkeys(("needs", "after", "requires", "blocked_by"), "did you mean `depends_on`?"),
    **dict.fromkeys(("tags", "label"), "did you mean `labels`?"),
    **dict.fromkeys(("model", "profile", "assignee"), "did you mean `agent`?"),
}
"""Words of other ticket systems that no likeness of letters would lead to ours."""


# --- the front matter as a whole ------------------------------------------------------------------------------------


def _table(front: str, line: int) -> Table:
    return plainfront.read(front, line) or frontmatter.read(front, line)


def _read_keys(table: Table, report: _Report) -> tuple[dict[str, Any], Lines]:
    """The ticket's fields that the front matter gives; faults go to the report."""
    fields: dict[str, Any] = {}
    lines: dict[str, int] = {}
    items: dict[tuple[str, str], int] = {}
    for name, node in table.entries:
        entry = _entry(name, lines, report)
        if entry is None or not isinstance(name, Scalar):
            continue
        lines[name.text] = name.line
        key = _Key(name.text, report, items)
        if isinstance(node, Scalar) and node.is_null:
            key.error(name.line, "it has no value", "write one, or take the key out for the default")
            continue
        fields[entry.field] = entry.read(node, key)
    return fields, Lines(lines, items)


def _entry(name: Node, seen: Mapping[str, int], report: _Report) -> _Entry | None:
    if not isinstance(name, Scalar):
        report.error(name.line, f"a key is wanted, not {_kind(name)}", "write `key: value`")
    elif name.text in seen:
        what = f"`{name.text}` stands twice, first in line {seen[name.text]}"
        report.error(name.line, what, "take one of them out")
    elif name.text == "<<":
        report.error(name.line, "YAML merge keys (`<<`) are not taken", "write the keys themselves")
    elif name.text not in KEYS:
        mend = _ELSEWHERE.get(name.text.lower()) or values.did_you_mean(name.text, KEYS)
        report.error(name.line, f"unknown key {shown(name.text)}", mend)
    else:
        return KEYS[name.text]
    return None


def _place(path: str, report: _Report) -> tuple[str | None, str]:
    """The id and the scope that the path stands for."""
    parts = PurePosixPath(path).parts
    if len(parts) not in (2, 3) or parts[0] != FOLDER:
        mend = f"tickets are `{FOLDER}/<id>.md` or `{FOLDER}/<scope>/<id>.md`: move the file"
        report.error(0, "the file is not where tickets are", mend)
        return None, GLOBAL_SCOPE
    file = parts[-1]
    stem = file[:-3] if file[-3:].lower() == ".md" else file
    if not values.is_id(stem) or not file.endswith(".md"):
        rule = "a ticket's file is named `<id>.md`, with up to 64 of a-z, 0-9, `.`, `_` and `-`; no `..`, no `.lock`"
        report.error(0, f"{shown(file)} is not a ticket's name: {rule}", f"rename it to `{values.slug(stem)}.md`")
        return None, GLOBAL_SCOPE
    scope = GLOBAL_SCOPE
    if len(parts) == 3:
        try:
            scope = values.name(parts[1])
        except Fault as fault:
            report.error(0, f"the folder gives the scope, but {fault.what}", f"rename the folder: {fault.mend}")
    return stem, scope


def _warn_of_bare_keys(body: str, report: _Report) -> None:
    """Keys without fences would silently be prose, and the ticket would run on defaults."""
    lines = body.split("\n")
    first = next(n for n, line in enumerate(lines) if line.strip())
    found = re.match(r"([a-z_]+):(\s|$)", lines[first])
    if found and found[1] in KEYS:
        mend = f"put front matter between two lines `{frontmatter.FENCE}`"
        report.warning(first + 1, f"`{found[1]}:` is read as text: the file has no front matter", mend)


def _check_against(settings: Settings, ticket: Ticket, lines: Lines, report: _Report) -> None:
    """What only the configuration can tell: the agent profile, and what the scope may claim."""
    if ticket.agent is not None and ticket.agent not in settings.agents:
        mend = values.did_you_mean(ticket.agent, settings.agents) or "add it to `ticketd.toml` as `[agents.NAME]`"
        report.error(lines.of("agent"), f"`agent`: there is no agent profile {shown(ticket.agent)}", mend)
    scope = settings.scopes.get(ticket.scope)
    if scope is None or scope.paths is None:
        return
    witness = globs.outside(ticket.touches, scope.paths)
    if witness is not None:
        allowed = values.or_list(shown(p) for p in scope.paths.patterns)
        what = f"`touches`: scope `{ticket.scope}` may claim only {allowed}; this also claims {shown(witness)}"
        report.error(lines.of("touches"), what, "narrow `touches`, or move the ticket to another scope")


# --- the body -------------------------------------------------------------------------------------------------------

_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_NOT_PROSE = re.compile(r" {4}|\t|[ ]{0,3}(?:[-*+>|]|\d+[.)])")
_CODE_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def tidy(body: str) -> str:
    """The body without blank lines around it; the rest as written."""
    return re.sub(r"\A(?:[ \t]*\n)+", "", body.rstrip())


def heading_of(body: str) -> str | None:
    """The text of the first Markdown heading that says something; those in code blocks do not count."""
    fence = ""
    above = ""
    for line in body.split("\n"):
        code = _CODE_FENCE.fullmatch(line)
        if fence:
            if code and code[1].startswith(fence) and not code[2].strip():
                fence = ""
            continue
        found = _HEADING.fullmatch(line)
        text = found[1] if found else above if _UNDERLINE.fullmatch(line) else ""
        text = _fit_for_title(text)
        if text:
            return text
        fence = code[1] if code else ""
        above = "" if code or _NOT_PROSE.match(line) else line
    return None


def _fit_for_title(text: str) -> str:
    if not text.isprintable():
        text = "".join(" " if values.is_control(c) else c for c in text)
    text = " ".join(text.split())
    return text if len(text) <= values.MAX_TITLE else text[: values.MAX_TITLE - 1] + "…"
