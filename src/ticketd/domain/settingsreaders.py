"""Readers of `ticketd.toml`: a TOML value → a setting, or None and a fault that says where and what to do."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from ticketd.domain import values
from ticketd.domain.globs import PatternSet
from ticketd.domain.problems import Problem
from ticketd.domain.settings import Argv
from ticketd.domain.tomllines import BARE, Path
from ticketd.domain.values import Fault, quoted

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Here:
    """A key of the file: where faults of its value are reported."""

    file: str
    path: Path
    lines: Mapping[Path, int]
    problems: list[Problem]

    def at(self, key: str) -> Here:
        return Here(self.file, (*self.path, key), self.lines, self.problems)

    @property
    def key(self) -> str:
        return self.path[-1]

    @property
    def line(self) -> int:
        """The key's line, else that of the table that holds it."""
        return next((self.lines[self.path[:n]] for n in range(len(self.path), 0, -1) if self.path[:n] in self.lines), 0)

    def error(self, what: str, mend: str) -> None:
        spelled = ".".join(part if BARE.fullmatch(part) else quoted(part[:60]) for part in self.path)
        self.problems.append(Problem(self.file, self.line, f"`{spelled}`: {what}", mend))


Read = Callable[[Any, Here], Any]


def kind_of(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "a table"
        case datetime.date() | datetime.time():
            return "a date or time"
        case _:
            return "something else"


def checked(check: Callable[[Any], T], value: object, here: Here) -> T | None:
    try:
        return check(value)
    except Fault as fault:
        here.error(fault.what, fault.mend)
        return None


def text(check: Callable[[str], Any], wanted: str) -> Read:
    def read(value: object, here: Here) -> Any:
        if isinstance(value, str):
            return checked(check, value, here)
        here.error(f"{wanted} is wanted, not {kind_of(value)}", f"write {wanted}, in quotes")
        return None

    return read


def choice(kinds: type[StrEnum]) -> Read:
    words = values.or_list(f'"{k.value}"' for k in kinds)
    return text(lambda text: values.choice(kinds, text), f"one of {words}")


def duration(value: object, here: Here) -> float | None:
    if type(value) is int and value > 0:
        here.error("a duration has a unit", f'write `{here.key} = "{value}s"` or `"{value}m"`')
        return None
    result: float | None = text(values.duration, 'a duration like "90s", "45m" or "2h"')(value, here)
    return result


def duration_or_off(value: object, here: Here) -> float | None:
    return None if value == "off" else duration(value, here)


def yes_or_no(value: object, here: Here) -> bool | None:
    if isinstance(value, bool):
        return value
    here.error(f"true or false is wanted, not {kind_of(value)}", f"write `{here.key} = true` or `{here.key} = false`")
    return None


def _got(value: object) -> str:
    """A number as it stands, where it can be read at all."""
    is_short = type(value) is float or (type(value) is int and abs(value) < 10**30)
    return str(value) if is_short else kind_of(value)


def whole(low: int, high: int) -> Read:
    def read(value: object, here: Here) -> int | None:
        if type(value) is int and low <= value <= high:
            return value
        wanted = f"a whole number from {low} to {high}"
        here.error(f"{wanted} is wanted, not {_got(value)}", f"write {wanted}")
        return None

    return read


def dollars(value: object, here: Here) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= values.MAX_BUDGET_USD:
        return float(value)
    here.error(f"a number of dollars above zero is wanted, not {_got(value)}", "write a number like `25` or `2.50`")
    return None


def price(value: object, here: Here) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= values.MAX_BUDGET_USD:
        return float(value)
    wanted = "a number of dollars that is not below zero"
    here.error(f"{wanted} is wanted, not {_got(value)}", "write what a million tokens cost, like `3` or `0.25`")
    return None


def list_of(check: Callable[[str], str], wanted: str) -> Read:
    """A list of texts; every faulty item is told."""

    def read(value: object, here: Here) -> tuple[str, ...]:
        if not isinstance(value, list):
            example = f"[{quoted(value[:80])}]" if isinstance(value, str) and value else "[…]"
            here.error(f"a list is wanted, not {kind_of(value)}", f"write a list: `{here.key} = {example}`")
            return ()
        words = []
        for item in value:
            if isinstance(item, str):
                words.append(checked(check, item, here))
            else:
                here.error(f"each item is {wanted}, not {kind_of(item)}", f"write {wanted}, in quotes")
        return tuple(word for word in words if word is not None)

    return read


def route(value: object, here: Here) -> tuple[str, ...]:
    """One profile, or several in order of preference."""
    if isinstance(value, dict):
        key = quoted(".".join([here.key[:60], *list(value)[:1]])[:80])
        here.error("a profile is wanted, not a table", f"write the key of a scope's size in quotes: {key}")
        return ()
    if isinstance(value, list):
        if not value:
            here.error("an empty list leads nowhere", "name a profile, or take the key out")
        names: tuple[str, ...] = list_of(values.name, "an agent profile's name")(value, here)
        return names
    name = text(values.name, "an agent profile's name, or a list of them")(value, here)
    return () if name is None else (name,)


def patterns(value: object, here: Here) -> PatternSet:
    return PatternSet(list_of(values.pattern, "a pattern")(value, here))


def scope_paths(value: object, here: Here) -> PatternSet:
    if value == []:
        here.error("an empty list lets the scope claim nothing", "name its paths, or take the key out")
    return patterns(value, here)


def argv_list(value: object, here: Here) -> Argv:
    if not isinstance(value, list):
        here.error(f"a list of arguments is wanted, not {kind_of(value)}", f"write `{here.key} = {as_list(value)}`")
        return ()
    words = []
    for item in value:
        if not isinstance(item, str):
            here.error(f"each argument is a text, not {kind_of(item)}", "write it in quotes")
            return ()
        words.append(checked(values.argument, item, here))
    argv = tuple(word for word in words if word is not None)
    return checked(values.check_argv, argv, here) or () if len(argv) == len(words) else ()


def steps(value: object, here: Here) -> tuple[Argv, ...]:
    """One argv list, or a list of them; empty for none."""
    if value == []:
        return ()
    if isinstance(value, list) and any(isinstance(item, list) for item in value):
        return tuple(argv_list(step, here) for step in value)
    return (argv_list(value, here),)


def as_list(value: object) -> str:
    """The list that a command written as a string was meant to be."""
    try:
        words = shlex.split(value) if isinstance(value, str) else []
    except ValueError:
        words = []
    return "[" + (", ".join(quoted(w) for w in words[:12]) or '"program", "argument"') + "]"


# --- tables ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a table: the field it fills and how its value is read."""

    field: str
    read: Read


def table(make: Callable[..., Any], keys: Mapping[str, Key]) -> Read:
    """A table with a fixed set of keys; what is left out keeps the default of `make`."""

    def read(value: object, here: Here) -> Any:
        if not isinstance(value, dict):
            here.error(f"a table is wanted, not {kind_of(value)}", f"write it as `[{'.'.join(here.path)}]`")
            return None
        fields = {}
        for name, item in value.items():
            if name in keys:
                fields[keys[name].field] = keys[name].read(item, here.at(name))
            else:
                here.at(name).error("unknown key", values.did_you_mean(name, keys))
        return make(**fields)

    return read


def named(check: Callable[[str], Any], read_one: Callable[[Any], Read]) -> Read:
    """A table whose keys are free names, or words that `check` turns into values."""

    def read(value: object, here: Here) -> dict[Any, Any] | None:
        if not isinstance(value, dict):
            here.error(f"a table is wanted, not {kind_of(value)}", f"write it as `[{'.'.join(here.path)}]`")
            return None
        made: dict[Any, Any] = {}
        for name, item in value.items():
            key = checked(check, name, here.at(name))
            if key is not None and key in made:
                here.at(name).error(f"`{key}` is set twice", "take one of them out")
            elif key is not None:
                made[key] = read_one(key)(item, here.at(name))
        return made

    return read
