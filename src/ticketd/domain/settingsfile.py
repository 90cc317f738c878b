"""`ticketd.toml` → `Settings`, or every fault with its line and its mend."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ticketd.domain import values
from ticketd.domain.globs import NOTHING
from ticketd.domain.prices import Price
from ticketd.domain.problems import Problem
from ticketd.domain.settings import (
    AgentHome,
    AgentProfile,
    Backfill,
    BriefSettings,
    BudgetSettings,
    ClaimsSettings,
    DriftSettings,
    ForgeName,
    Isolation,
    LandingMode,
    LandingSettings,
    Limits,
    OnConflict,
    Outside,
    Preempt,
    Regenerate,
    ReviewClaim,
    ReviewSettings,
    SandboxHome,
    SandboxMode,
    SandboxSettings,
    SchedulerSettings,
    ScopeSettings,
    SecretSettings,
    Settings,
    Shadow,
    TargetSettings,
    WorktreeSettings,
)
from ticketd.domain.settingsreaders import (
    Here,
    Key,
    Read,
    argv_list,
    as_list,
    choice,
    dollars,
    duration,
    duration_or_off,
    kind_of,
    list_of,
    named,
    patterns,
    price,
    route,
    scope_paths,
    steps,
    table,
    text,
    whole,
    yes_or_no,
)
from ticketd.domain.ticket import Gate, Size
from ticketd.domain.tomllines import lines_of
from ticketd.domain.values import MAX_BYTES, Fault, FaultAt, shown

__all__ = ["MAX_BYTES", "PRESETS", "ParsedSettings", "parse_settings"]

PRESETS = (
    *("command", "scripted", "claude", "codex", "gemini", "opencode", "qwen", "copilot", "aider", "mini"),
    *("pi", "kimi"),
)
"""The names of the modules in `agents/`; a test holds the two against each other."""
MAX_SLOTS = 1000
# tomllib walks each dotted key from its beginning for each of its parts: one of 20,000 parts took it half a minute.
_DEEP_KEY = re.compile(r"""(?<![\w"'.-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){100}""", re.ASCII)
MAX_TRAIN = 64
MAX_LANES = 64


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
    here = Here(path, (), lines_of(source), [])
    settings = _SETTINGS(raw, here)
    _check_mode(raw, here)
    _check_routes(raw, here)
    problems = tuple(sorted(here.problems))
    return ParsedSettings(None if problems else settings, problems)


def _toml(source: str) -> dict[str, Any]:
    if found := _DEEP_KEY.search(source):
        line = source.count("\n", 0, found.start()) + 1
        raise FaultAt(line, "the file is not TOML: values are nested too deep", "mend the TOML")
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


def _agent(name: str) -> Read:
    def read(value: object, here: Here) -> Any:
        before = len(here.problems)
        profile = table(lambda **fields: AgentProfile(name=name, **fields), _AGENT_KEYS)(value, here)
        if len(here.problems) == before and profile.preset == "command" and not profile.command:
            here.error("the preset `command` needs a command", f"add `command = {as_list('./agent.sh')}`")
        return profile

    return read


def _scope(name: str) -> Read:
    return table(lambda **fields: ScopeSettings(name=name, **fields), _SCOPE_KEYS)


def _regenerate(value: object, here: Here) -> tuple[Regenerate, ...]:
    """A list of tables, each with both of its keys."""
    if not isinstance(value, list):
        here.error(f"a list of tables is wanted, not {kind_of(value)}", "write it as `[[landing.regenerate]]`")
        return ()
    return tuple(each for item in value if (each := _regenerate_one(item, here)) is not None)


def _regenerate_one(value: object, here: Here) -> Regenerate | None:
    before = len(here.problems)
    fields = table(dict, _REGENERATE_KEYS)(value, here)
    if len(here.problems) > before:
        return None
    for key, example in (("paths", '["uv.lock"]'), ("run", '["uv", "lock"]')):
        if not (fields.get(key) and fields[key] != NOTHING):
            here.error(f"it has no `{key}`", f"add `{key} = {example}`")
            return None
    return Regenerate(**fields)


def _price(value: object, here: Here) -> Price | None:
    before = len(here.problems)
    fields = table(dict, _PRICE_KEYS)(value, here)
    if len(here.problems) > before:
        return None
    if missing := [name for name in ("input", "output") if name not in fields]:
        here.error(f"it has no `{missing[0]}`", f"add `{missing[0]} = 3.0`: USD for a million tokens")
        return None
    return Price(**fields)


def _preset(text: str) -> str:
    if text not in PRESETS:
        raise Fault(f"there is no preset {shown(text)}", values.did_you_mean(text, PRESETS))
    return text


def _word(text: str) -> str:
    if not text.strip() or text.startswith("-") or any(not c.isprintable() for c in text):
        raise Fault(f"{shown(text)} is no name", "take it in the agent's own words")
    return text


def _size(text: str) -> Size:
    if text not in Size.__members__:
        raise Fault(f"there is no size {shown(text)}", "sizes are `S`, `M` and `L`")
    return Size(text)


def _limits(timeouts: Mapping[Size, float] | None = None, **fields: Any) -> Limits:
    """Sizes that are left out keep their default."""
    return Limits(timeouts={**Limits().timeouts, **(timeouts or {})}, **fields)


_ENV = Key("env", list_of(values.env_name, "a name"))

_AGENT_KEYS = {
    "preset": Key("preset", text(_preset, "a preset")),
    "command": Key("command", argv_list),
    "args": Key("args", argv_list),
    "model": Key("model", text(_word, "a model's name")),
    "home": Key("home", choice(AgentHome)),
    "env": _ENV,
    "account": Key("account", text(values.name, "an account's name")),
    "max_slots": Key("max_slots", whole(1, MAX_SLOTS)),
}

_SCOPE_KEYS = {
    "paths": Key("paths", scope_paths),
    "env": _ENV,
    "max_slots": Key("max_slots", whole(1, MAX_SLOTS)),
    "budget_usd": Key("budget_usd", dollars),
}

_BUDGET_KEYS = {
    "ticket": Key("ticket", dollars),
    "day": Key("day", dollars),
    "scope": Key("scope", dollars),
}

_PRICE_KEYS = {name: Key(name, price) for name in ("input", "output", "cache_read", "cache_write")}

_TARGET_KEYS = {
    "remote": Key("remote", text(values.remote, "a remote's name")),
    "branch": Key("branch", text(values.branch, "a branch")),
    "poll": Key("poll_s", duration),
}

_SCHEDULER_KEYS = {
    "backfill": Key("backfill", choice(Backfill)),
    "preempt": Key("preempt", choice(Preempt)),
    "aging": Key("aging_s", duration_or_off),
    "fair_share": Key("fair_share", yes_or_no),
    "shadow": Key("shadow", choice(Shadow)),
}

_REVIEW_KEYS = {
    "claim": Key("claim", choice(ReviewClaim)),
    "protect": Key("protect", patterns),
}

_REGENERATE_KEYS = {
    "paths": Key("paths", patterns),
    "run": Key("run", argv_list),
}

_LANDING_KEYS = {
    "mode": Key("mode", choice(LandingMode)),
    "forge": Key("forge", choice(ForgeName)),
    "verify": Key("verify", steps),
    "verify_timeout": Key("verify_timeout_s", duration),
    "patience": Key("patience_s", duration),
    "memo": Key("memo", yes_or_no),
    "reruns": Key("reruns", whole(0, 10)),
    "train": Key("train", whole(1, MAX_TRAIN)),
    "lanes": Key("lanes", whole(1, MAX_LANES)),
    "reverify": Key("reverify", whole(0, 1000)),
    "repairs": Key("repairs", whole(0, values.MAX_RETRIES)),
    "regenerate": Key("regenerate", _regenerate),
}

_DRIFT_KEYS = {
    "on_conflict": Key("on_conflict", choice(OnConflict)),
    "restart_within": Key("restart_within_s", duration),
}

_CLAIMS_KEYS = {
    "outside": Key("outside", choice(Outside)),
    "shared": Key("shared", patterns),
}

_WORKTREE_KEYS = {
    "isolation": Key("isolation", choice(Isolation)),
    "setup": Key("setup", steps),
    "setup_inputs": Key("setup_inputs", list_of(values.relative_path, "a path")),
    "setup_timeout": Key("setup_timeout_s", duration),
    "copy": Key("copy", list_of(values.relative_path, "a path")),
}

_SANDBOX_KEYS = {
    "mode": Key("mode", choice(SandboxMode)),
    "home": Key("home", choice(SandboxHome)),
    "read": Key("read", list_of(values.shown_path, "a path")),
    "write": Key("write", list_of(values.shown_path, "a path")),
}

_SECRETS_KEYS = {
    "env": Key("env", list_of(values.variable, "a name")),
    "files": Key("files", list_of(values.relative_path, "a path")),
    "except": Key("exempt", list_of(values.secret_name, "a name")),
}

_BRIEF_KEYS = {
    "template": Key("template", text(values.relative_path, "a path")),
    "limit": Key("limit", text(values.amount_of_text, 'an amount like "64 kB"')),
    "wiki_content": Key("wiki_content", text(values.amount_of_text, 'an amount like "16 kB"')),
}

_LIMITS_KEYS = {
    "retries": Key("retries", whole(0, values.MAX_RETRIES)),
    "stall": Key("stall_s", duration_or_off),
    "same_failures": Key("same_failures", whole(0, 1000)),
    "grace": Key("grace_s", duration),
    "largest_file": Key("largest_file", text(values.amount, 'an amount like "100 MB"')),
    "disk": Key("disk", text(values.amount, 'an amount like "20 GB"')),
    "keep": Key("keep_s", duration),
    "timeouts": Key("timeouts", named(_size, lambda _: duration)),
}

_SETTINGS = table(
    Settings,
    {
        "slots": Key("slots", whole(1, MAX_SLOTS)),
        "target": Key("target", table(TargetSettings, _TARGET_KEYS)),
        "scheduler": Key("scheduler", table(SchedulerSettings, _SCHEDULER_KEYS)),
        "landing": Key("landing", table(LandingSettings, _LANDING_KEYS)),
        "drift": Key("drift", table(DriftSettings, _DRIFT_KEYS)),
        "claims": Key("claims", table(ClaimsSettings, _CLAIMS_KEYS)),
        "review": Key("review", table(ReviewSettings, _REVIEW_KEYS)),
        "worktrees": Key("worktrees", table(WorktreeSettings, _WORKTREE_KEYS)),
        "sandbox": Key("sandbox", table(SandboxSettings, _SANDBOX_KEYS)),
        "agents": Key("agents", named(values.name, _agent)),
        "routes": Key("routes", named(values.name, lambda _: route)),
        "scopes": Key("scopes", named(values.name, _scope)),
        "limits": Key("limits", table(_limits, _LIMITS_KEYS)),
        "budget": Key("budget", table(BudgetSettings, _BUDGET_KEYS)),
        "prices": Key("prices", named(_word, lambda _: _price)),
        "secrets": Key("secrets", table(SecretSettings, _SECRETS_KEYS)),
        "brief": Key("brief", table(BriefSettings, _BRIEF_KEYS)),
        "gates": Key("gates", named(values.priority, lambda _: choice(Gate))),
    },
)
"""Every key there is. Defaults stand in `settings.py`."""


def _check_mode(raw: Mapping[str, Any], here: Here) -> None:
    """A branch for others to look at has to lie where they can see it."""
    target, landing = raw.get("target"), raw.get("landing")
    if not (isinstance(target, dict) and isinstance(landing, dict)):
        return
    mode = landing.get("mode")
    if target.get("remote") == "" and mode in (LandingMode.PR, LandingMode.BRANCH):
        mend = "name a remote under [target], or take the mode out"
        here.at("landing").at("mode").error(f"{shown(mode)} needs a remote", mend)


def _check_routes(raw: Mapping[str, Any], here: Here) -> None:
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
