"""`ticketd.toml` → `Settings`, or every fault with its line and its mend."""

from __future__ import annotations

import datetime
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ticketd.domain import values
from ticketd.domain.globs import NOTHING, PatternSet
from ticketd.domain.problems import Problem
from ticketd.domain.settings import (
    AgentProfile,
    Argv,
    Backfill,
    ClaimsSettings,
    DriftSettings,
    ForgeName,
    LandingMode,
    LandingSettings,
    Limits,
    OnConflict,
    Outside,
    Preempt,
    Regenerate,
    ReviewClaim,
    ReviewSettings,
    SchedulerSettings,
    ScopeSettings,
    Settings,
    Shadow,
    TargetSettings,
    WorktreeSettings,
)
from ticketd.domain.ticket import Gate, Size
from ticketd.domain.tomllines import BARE, Path, lines_of
from ticketd.domain.values import MAX_BYTES, Fault, FaultAt, quoted, shown

__all__ = ["MAX_BYTES", "PRESETS", "ParsedSettings", "parse_settings"]

PRESETS = ("command", "scripted")
MAX_SLOTS = 1000
MAX_TRAIN = 64
MAX_LANES = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ParsedSettings:
    """`settings` is None if there is an error."""

    settings: Settings | None
    problems: tuple[Problem, ...]


def parse_settings(path: str, text: bytes) -> ParsedSettings:
    """Read `ticketd.toml`. An absent file is the caller's matter: `Settings()` are the defaults."""
    try:
        # A file without a word is a file of defaults.
        source = values.decode(text) if text.removeprefix(b"\xef\xbb\xbf").strip() else ""
        raw = _toml(source)
    except FaultAt as fault:
        return ParsedSettings(None, (Problem(path, fault.line, fault.what, fault.mend),))
    here = _Here(path, (), lines_of(source), [])
    settings = _SETTINGS(raw, here)
    _check_mode(raw, here)
    _check_routes(raw, here)
    problems = tuple(sorted(here.problems))
    return ParsedSettings(None if problems else settings, problems)


def _toml(source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = int(found[1]) if found else source.rstrip("\n").count("\n") + 1
        what = re.sub(r"\s*\(at [^)]*\)$", "", str(error))
        raise FaultAt(line, f"the file is not TOML: {what}", "mend the TOML; texts stand in quotes") from None
    except (ValueError, RecursionError) as error:
        # tomllib lets Python's own limits through: on depth, and on the digits of a number.
        what = "values are nested too deep" if isinstance(error, RecursionError) else "a number is too long"
        raise FaultAt(0, f"the file is not TOML: {what}", "mend the TOML") from None


# --- readers: a TOML value → a setting, or None and a fault ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Here:
    """A key of the file: where faults of its value are reported."""

    file: str
    path: Path
    lines: Mapping[Path, int]
    problems: list[Problem]

    def at(self, key: str) -> _Here:
        return _Here(self.file, (*self.path, key), self.lines, self.problems)

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


Read = Callable[[Any, _Here], Any]


def _kind(value: object) -> str:
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


def _checked(check: Callable[[Any], T], value: object, here: _Here) -> T | None:
    try:
        return check(value)
    except Fault as fault:
        here.error(fault.what, fault.mend)
        return None


def _text(check: Callable[[str], Any], wanted: str) -> Read:
    def read(value: object, here: _Here) -> Any:
        if isinstance(value, str):
            return _checked(check, value, here)
        here.error(f"{wanted} is wanted, not {_kind(value)}", f"write {wanted}, in quotes")
        return None

    return read


def _choice(
    kinds: type[Gate | Outside | Backfill | Preempt | Shadow | ReviewClaim | LandingMode | ForgeName | OnConflict],
) -> Read:
    words = values.or_list(f'"{k.value}"' for k in kinds)
    return _text(lambda text: values.choice(kinds, text), f"one of {words}")


def _duration(value: object, here: _Here) -> float | None:
    if type(value) is int and value > 0:
        here.error("a duration has a unit", f'write `{here.key} = "{value}s"` or `"{value}m"`')
        return None
    result: float | None = _text(values.duration, 'a duration like "90s", "45m" or "2h"')(value, here)
    return result


def _duration_or_off(value: object, here: _Here) -> float | None:
    return None if value == "off" else _duration(value, here)


def _yes_or_no(value: object, here: _Here) -> bool | None:
    if isinstance(value, bool):
        return value
    here.error(f"true or false is wanted, not {_kind(value)}", f"write `{here.key} = true` or `{here.key} = false`")
    return None


def _whole(low: int, high: int) -> Read:
    def read(value: object, here: _Here) -> int | None:
        if type(value) is int and low <= value <= high:
            return value
        got = str(value)[:30] if type(value) is int and abs(value) < 10**30 else _kind(value)
        wanted = f"a whole number from {low} to {high}"
        here.error(f"{wanted} is wanted, not {got}", f"write {wanted}")
        return None

    return read


def _dollars(value: object, here: _Here) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= values.MAX_BUDGET_USD:
        return float(value)
    got = f"{value}" if isinstance(value, float) else _kind(value)
    here.error(f"a number of dollars above zero is wanted, not {got}", "write a number like `25` or `2.50`")
    return None


def _list(check: Callable[[str], str], wanted: str) -> Read:
    """A list of texts; every faulty item is told."""

    def read(value: object, here: _Here) -> tuple[str, ...]:
        if not isinstance(value, list):
            example = f"[{quoted(value[:80])}]" if isinstance(value, str) and value else "[…]"
            here.error(f"a list is wanted, not {_kind(value)}", f"write a list: `{here.key} = {example}`")
            return ()
        words = []
        for item in value:
            if isinstance(item, str):
                words.append(_checked(check, item, here))
            else:
                here.error(f"each item is {wanted}, not {_kind(item)}", f"write {wanted}, in quotes")
        return tuple(word for word in words if word is not None)

    return read


def _route(value: object, here: _Here) -> tuple[str, ...]:
    """One profile, or several in order of preference."""
    if isinstance(value, list):
        if not value:
            here.error("an empty list leads nowhere", "name a profile, or take the key out")
        names: tuple[str, ...] = _list(values.name, "an agent profile's name")(value, here)
        return names
    name = _text(values.name, "an agent profile's name, or a list of them")(value, here)
    return () if name is None else (name,)


def _patterns(value: object, here: _Here) -> PatternSet:
    return PatternSet(_list(values.pattern, "a pattern")(value, here))


def _scope_paths(value: object, here: _Here) -> PatternSet:
    if value == []:
        here.error("an empty list lets the scope claim nothing", "name its paths, or take the key out")
    return _patterns(value, here)


def _argv(value: object, here: _Here) -> Argv:
    if not isinstance(value, list):
        here.error(f"a list of arguments is wanted, not {_kind(value)}", f"write `{here.key} = {_as_list(value)}`")
        return ()
    words = []
    for item in value:
        if not isinstance(item, str):
            here.error(f"each argument is a text, not {_kind(item)}", "write it in quotes")
            return ()
        words.append(_checked(values.argument, item, here))
    argv = tuple(word for word in words if word is not None)
    return _checked(values.check_argv, argv, here) or () if len(argv) == len(words) else ()


def _steps(value: object, here: _Here) -> tuple[Argv, ...]:
    """One argv list, or a list of them; empty for none."""
    if value == []:
        return ()
    if isinstance(value, list) and any(isinstance(item, list) for item in value):
        return tuple(_argv(step, here) for step in value)
    return (_argv(value, here),)


def _as_list(value: object) -> str:
    """The list that a command written as a string was meant to be."""
    try:
        words = shlex.split(value) if isinstance(value, str) else []
    except ValueError:
        words = []
    return "[" + (", ".join(quoted(w) for w in words[:12]) or '"program", "argument"') + "]"


# --- tables ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Key:
    """A key of a table: the field it fills and how its value is read."""

    field: str
    read: Read


def _table(make: Callable[..., Any], keys: Mapping[str, _Key]) -> Read:
    """A table with a fixed set of keys; what is left out keeps the default of `make`."""

    def read(value: object, here: _Here) -> Any:
        if not isinstance(value, dict):
            here.error(f"a table is wanted, not {_kind(value)}", f"write it as `[{'.'.join(here.path)}]`")
            return None
        fields = {}
        for name, item in value.items():
            if name in keys:
                fields[keys[name].field] = keys[name].read(item, here.at(name))
            else:
                here.at(name).error("unknown key", values.did_you_mean(name, keys))
        return make(**fields)

    return read


def _named(check: Callable[[str], Any], read_one: Callable[[Any], Read]) -> Read:
    """A table whose keys are free names, or words that `check` turns into values."""

    def read(value: object, here: _Here) -> dict[Any, Any] | None:
        if not isinstance(value, dict):
            here.error(f"a table is wanted, not {_kind(value)}", f"write it as `[{'.'.join(here.path)}]`")
            return None
        made: dict[Any, Any] = {}
        for name, item in value.items():
            key = _checked(check, name, here.at(name))
            if key is not None and key in made:
                here.at(name).error(f"`{key}` is set twice", "take one of them out")
            elif key is not None:
                made[key] = read_one(key)(item, here.at(name))
        return made

    return read


def _agent(name: str) -> Read:
    def read(value: object, here: _Here) -> Any:
        before = len(here.problems)
        profile = _table(lambda **fields: AgentProfile(name=name, **fields), _AGENT_KEYS)(value, here)
        if len(here.problems) == before and profile.preset == "command" and not profile.command:
            here.error("the preset `command` needs a command", f"add `command = {_as_list('./agent.sh')}`")
        return profile

    return read


def _scope(name: str) -> Read:
    return _table(lambda **fields: ScopeSettings(name=name, **fields), _SCOPE_KEYS)


def _regenerate(value: object, here: _Here) -> tuple[Regenerate, ...]:
    """A list of tables, each with both of its keys."""
    if not isinstance(value, list):
        here.error(f"a list of tables is wanted, not {_kind(value)}", "write it as `[[landing.regenerate]]`")
        return ()
    return tuple(each for item in value if (each := _regenerate_one(item, here)) is not None)


def _regenerate_one(value: object, here: _Here) -> Regenerate | None:
    before = len(here.problems)
    fields = _table(dict, _REGENERATE_KEYS)(value, here)
    if len(here.problems) > before:
        return None
    for key, example in (("paths", '["uv.lock"]'), ("run", '["uv", "lock"]')):
        if not (fields.get(key) and fields[key] != NOTHING):
            here.error(f"it has no `{key}`", f"add `{key} = {example}`")
            return None
    return Regenerate(**fields)


def _preset(text: str) -> str:
    if text not in PRESETS:
        raise Fault(f"there is no preset {shown(text)}", values.did_you_mean(text, PRESETS))
    return text


def _size(text: str) -> Size:
    if text not in Size.__members__:
        raise Fault(f"there is no size {shown(text)}", "sizes are `S`, `M` and `L`")
    return Size(text)


def _limits(timeouts: Mapping[Size, float] | None = None, **fields: Any) -> Limits:
    """Sizes that are left out keep their default."""
    return Limits(timeouts={**Limits().timeouts, **(timeouts or {})}, **fields)


_ENV = _Key("env", _list(values.env_name, "a name"))

_AGENT_KEYS = {
    "preset": _Key("preset", _text(_preset, "a preset")),
    "command": _Key("command", _argv),
    "env": _ENV,
    "account": _Key("account", _text(values.name, "an account's name")),
    "max_slots": _Key("max_slots", _whole(1, MAX_SLOTS)),
}

_SCOPE_KEYS = {
    "paths": _Key("paths", _scope_paths),
    "env": _ENV,
    "max_slots": _Key("max_slots", _whole(1, MAX_SLOTS)),
}

_TARGET_KEYS = {
    "remote": _Key("remote", _text(values.remote, "a remote's name")),
    "branch": _Key("branch", _text(values.branch, "a branch")),
    "poll": _Key("poll_s", _duration),
}

_SCHEDULER_KEYS = {
    "backfill": _Key("backfill", _choice(Backfill)),
    "preempt": _Key("preempt", _choice(Preempt)),
    "aging": _Key("aging_s", _duration_or_off),
    "fair_share": _Key("fair_share", _yes_or_no),
    "shadow": _Key("shadow", _choice(Shadow)),
}

_REVIEW_KEYS = {
    "claim": _Key("claim", _choice(ReviewClaim)),
    "protect": _Key("protect", _patterns),
}

_REGENERATE_KEYS = {
    "paths": _Key("paths", _patterns),
    "run": _Key("run", _argv),
}

_LANDING_KEYS = {
    "mode": _Key("mode", _choice(LandingMode)),
    "forge": _Key("forge", _choice(ForgeName)),
    "verify": _Key("verify", _steps),
    "verify_timeout": _Key("verify_timeout_s", _duration),
    "patience": _Key("patience_s", _duration),
    "memo": _Key("memo", _yes_or_no),
    "reruns": _Key("reruns", _whole(0, 10)),
    "train": _Key("train", _whole(1, MAX_TRAIN)),
    "lanes": _Key("lanes", _whole(1, MAX_LANES)),
    "reverify": _Key("reverify", _whole(0, 1000)),
    "repairs": _Key("repairs", _whole(0, values.MAX_RETRIES)),
    "regenerate": _Key("regenerate", _regenerate),
}

_DRIFT_KEYS = {
    "on_conflict": _Key("on_conflict", _choice(OnConflict)),
    "restart_within": _Key("restart_within_s", _duration),
}

_CLAIMS_KEYS = {
    "outside": _Key("outside", _choice(Outside)),
    "shared": _Key("shared", _patterns),
}

_WORKTREE_KEYS = {
    "setup": _Key("setup", _steps),
    "setup_inputs": _Key("setup_inputs", _list(values.relative_path, "a path")),
    "setup_timeout": _Key("setup_timeout_s", _duration),
    "copy": _Key("copy", _list(values.relative_path, "a path")),
}

_LIMITS_KEYS = {
    "retries": _Key("retries", _whole(0, values.MAX_RETRIES)),
    "budget_usd": _Key("budget_usd", _dollars),
    "grace": _Key("grace_s", _duration),
    "timeouts": _Key("timeouts", _named(_size, lambda _: _duration)),
}

_SETTINGS = _table(
    Settings,
    {
        "slots": _Key("slots", _whole(1, MAX_SLOTS)),
        "target": _Key("target", _table(TargetSettings, _TARGET_KEYS)),
        "scheduler": _Key("scheduler", _table(SchedulerSettings, _SCHEDULER_KEYS)),
        "landing": _Key("landing", _table(LandingSettings, _LANDING_KEYS)),
        "drift": _Key("drift", _table(DriftSettings, _DRIFT_KEYS)),
        "claims": _Key("claims", _table(ClaimsSettings, _CLAIMS_KEYS)),
        "review": _Key("review", _table(ReviewSettings, _REVIEW_KEYS)),
        "worktrees": _Key("worktrees", _table(WorktreeSettings, _WORKTREE_KEYS)),
        "agents": _Key("agents", _named(values.name, _agent)),
        "routes": _Key("routes", _named(values.name, lambda _: _route)),
        "scopes": _Key("scopes", _named(values.name, _scope)),
        "limits": _Key("limits", _table(_limits, _LIMITS_KEYS)),
        "gates": _Key("gates", _named(values.priority, lambda _: _choice(Gate))),
    },
)
"""Every key there is. Defaults stand in `settings.py`."""


def _check_mode(raw: Mapping[str, Any], here: _Here) -> None:
    """A branch for others to look at has to lie where they can see it."""
    target, landing = raw.get("target"), raw.get("landing")
    if not (isinstance(target, dict) and isinstance(landing, dict)):
        return
    mode = landing.get("mode")
    if target.get("remote") == "" and mode in (LandingMode.PR, LandingMode.BRANCH):
        mend = "name a remote under [target], or take the mode out"
        here.at("landing").at("mode").error(f"{shown(mode)} needs a remote", mend)


def _check_routes(raw: Mapping[str, Any], here: _Here) -> None:
    """A route must lead to a profile; one whose own table is faulty is there nonetheless."""
    routes, agents = raw.get("routes"), raw.get("agents", {})
    if not isinstance(routes, dict) or not isinstance(agents, dict):
        return
    for name, profiles in routes.items():
        for profile in profiles if isinstance(profiles, list) else [profiles]:
            if not isinstance(profile, str) or profile in agents:
                continue
            mend = values.did_you_mean(profile, agents) or "add it as `[agents.NAME]`"
            here.at("routes").at(name).error(f"there is no agent profile {shown(profile)}", mend)
