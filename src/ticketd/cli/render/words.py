"""Values into words: durations, times, reasons; and text that others wrote made safe for a terminal. No rich here."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

Document = Mapping[str, Any]

QUIET_AFTER_S = 60.0
STALE_AFTER_S = 30.0
"""A supervisor gives a sign of life every second, and the daemon notes it every other second."""

# They reorder what stands around them: a path could be made to look like another one.
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def safe(text: object, keep: str = "") -> str:
    """What a ticket, path or agent says, without anything a terminal would obey; `keep` are characters left as is."""
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(c if c in keep or not _is_unsafe(c) else _escaped(c) for c in plain)


def _is_unsafe(character: str) -> bool:
    return character in BIDI or unicodedata.category(character) in UNSAFE


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]


def seconds_between(earlier: str | None, later: str | None) -> float | None:
    """Of two times as documents hold them; None where one is not known."""
    if earlier is None or later is None:
        return None
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def duration(seconds: float) -> str:
    """`12s`, `3m05s`, `2h07m`, `3d04h`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def roughly(seconds: float) -> str:
    """`40 s`, `25 min`, `3 h 20 min`: for what is only a guess."""
    if seconds < 60:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def clock(at: str) -> str:
    """The time of day here."""
    return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S")


def moment(at: str | None) -> str:
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else "-"


def short(sha: str | None) -> str:
    return sha[:7] if sha else "-"


def attempt_name(ticket: str, number: int | None) -> str:
    """`id`, or `id/2` from the second attempt on."""
    return f"{ticket}/{number}" if number and number > 1 else ticket


def money(usd: float) -> str:
    return f"${usd:.2f}"


TOKENS = ("input", "output", "cache_read", "cache_write")


def count(tokens: int) -> str:
    """`950`, `12.3k`, `1.24M`."""
    if tokens < 1000:
        return str(tokens)
    return f"{tokens / 1000:.1f}k" if tokens < 999_950 else f"{tokens / 1e6:.2f}M"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def waits_words(waits_on: list[Document], now: str) -> str:
    """The first thing a queued ticket waits on, and how many there are beside it."""
    if not waits_on:
        return "starts next"
    more = f" (and {len(waits_on) - 1} more)" if len(waits_on) > 1 else ""
    return one_wait(waits_on[0], now) + more


def one_wait(on: Document, now: str) -> str:
    ticket, path, detail = (safe(on.get(key, "")) for key in ("ticket", "path", "detail"))
    match on["kind"]:
        case "dependency":
            return f"after {ticket}, which {detail}" if "(" in detail else f"after {ticket} ({detail})"
        case "overlap":
            return f"overlaps {ticket} on {path}"
        case "reserved":
            return f"behind {ticket} (reserved) on {path}"
        case "backoff":
            left = seconds_between(now, on.get("until")) or 0.0
            return f"backoff {duration(left)}: {detail}" if detail else f"backoff {duration(left)}"
        case "gate":
            return f"waits for {detail}" if detail else "waits for a person"
        case "slot":
            return detail or "all slots are taken"
        case kind:
            return detail or str(kind)


def throttle_words(throttle: Document, now: str) -> str:
    """`claude: rate limited: exit code 75; until 14:05:10; then 2 at a time`."""
    left = seconds_between(now, throttle["until"]) or 0.0
    until = moment(throttle["until"]) if left > 43200 else clock(throttle["until"])
    then = f"; then {throttle['limit']} at a time" if throttle["limit"] else ""
    return f"{throttle['profile']}: {throttle['why']}; until {until}{then}"


def output_words(slot: Document, now: str) -> str:
    """When an agent last gave a sign of life, and when it last said something."""
    if slot["phase"] == "preparing":
        return "preparing"
    silent = seconds_between(slot["heartbeat_at"], now)
    if silent is not None and silent > STALE_AFTER_S:
        return f"no heartbeat {age(silent)}"
    quiet = seconds_between(slot["output_at"] if slot["output_bytes"] else slot["started_at"], now)
    if quiet is None:
        return "-"
    if quiet > QUIET_AFTER_S:
        return f"quiet {age(quiet)}"
    return f"{age(quiet)} ago" if slot["output_bytes"] else "none yet"


def age(seconds: float) -> str:
    """One unit is enough for how long ago something was."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def attempt_words(attempt: Document, now: str) -> str:
    """`runs in slot 2 since 14:05:10 (3m05s), about 9 min left`"""
    if attempt["phase"] == "collecting":
        return "its agent has ended, its work is being kept"
    since = seconds_between(attempt["since"], now) or 0.0
    doing = "its worktree is being readied" if attempt["phase"] == "preparing" else "runs"
    again = f", attempt {attempt['attempt']}" if attempt["attempt"] > 1 else ""
    again += f", {repair_words(attempt['repair'])}" if attempt["repair"] else ""
    begun = f"{doing} in slot {attempt['slot']} since {clock(attempt['since'])} ({duration(since)}){again}"
    if ending := ending_words(attempt):
        return f"{begun}, {ending}"
    if attempt["held_up"]:
        return f"{begun}, {safe(attempt['held_up'])}"
    left_s = attempt["left_s"]
    return f"{begun}, about {roughly(left_s)} left" if left_s > 0 else f"{begun}, {roughly(-left_s)} more than expected"


def repair_words(repair: Document) -> str:
    """`repair 1 of 2: conflicts with origin/main in src/cart.js`"""
    return f"repair {repair['number']} of {repair['of']}: {safe(repair['told'])}"


ENDED_FOR = {
    "budget": "its budget is used up",
    "stall": "it shows no sign of progress",
    "loop": "it fails at the same thing again and again",
}


def ending_words(attempt: Document) -> str:
    """What its agent is being ended for; empty if it is not."""
    if attempt["making_way_for"]:
        return f"making way for {attempt['making_way_for']}"
    if attempt["ended_for"]:
        return f"being ended: {ENDED_FOR[attempt['ended_for']]}"
    return "to begin anew on the moved target" if attempt["begins_anew"] else ""


def landing_words(landing: Document, now: str) -> str:
    """`verifying, in the lane since 14:05:10 (3m05s)`"""
    since = seconds_between(landing["since"], now) or 0.0
    ahead = f", {landing['ahead']} ahead of it" if landing["ahead"] else ""
    names = {"queued": "waits its turn", "proposed": f"waits for its pull request {landing['proposal']}"}
    phase = names.get(landing["phase"], landing["phase"])
    trouble = f": {landing['trouble']}" if landing["trouble"] else ""
    left = seconds_between(now, landing["not_before"]) or 0.0
    again = f"; tried again in {duration(left)}" if trouble and left > 0 else ""
    return f"{phase}, in the lane since {clock(landing['since'])} ({duration(since)}){ahead}{trouble}{again}"


def drift_words(slot: Document) -> str:
    if not slot["behind"]:
        return "up to date"
    behind = f"{slot['behind']} behind"
    if slot["drift"] not in ("relevant", "conflict"):
        return behind
    paths = slot["drift_paths"]
    first = f" {safe(paths[0])}" if paths else ""
    more = f" (+{len(paths) - 1})" if len(paths) > 1 else ""
    return f"{behind}, {slot['drift']}{first}{more}"


def collision_words(collides_with: list[Document]) -> str:
    """The first of them, and how many more paths there are."""
    if not collides_with:
        return ""
    more = f" (+{len(collides_with) - 1})" if len(collides_with) > 1 else ""
    return f"collides with {safe(collides_with[0]['ticket'])} on {safe(collides_with[0]['path'])}{more}"


def problem_where(problem: Document) -> str:
    return safe(f"{problem['file']}:{problem['line']}" if problem["line"] else problem["file"])
