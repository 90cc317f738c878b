"""What an agent does, in one line: the command it runs, the file it edits."""

from __future__ import annotations

from ticketd.agents.jsonlines import items_at, one_line, text_at

_COMMANDS = ("command", "cmd", "script")
_OBJECTS = ("file_path", "absolute_path", "path", "filePath", "notebook_path", "pattern", "query", "url", "description")


def action_line(tool: str, given: object) -> str:
    """`given`: the tool's arguments. A command stands for itself; other tools stand before what they are used on."""
    command = _first(given, _COMMANDS) or " ".join(each for each in items_at(given, "command") if isinstance(each, str))
    if command:
        return one_line(command)
    return one_line(f"{tool} {_first(given, _OBJECTS)}")


def _first(given: object, keys: tuple[str, ...]) -> str:
    return next(filter(None, (text_at(given, key) for key in keys)), "")
