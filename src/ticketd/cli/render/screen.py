"""The status screen: a pure function of the `status --json` document and the room there is."""

from __future__ import annotations

from pathlib import PurePath

from rich.text import Text

from ticketd.cli.render.layout import UNBOUNDED, Cell, Column, Section, line, packed, stacked, table, wrapped
from ticketd.cli.render.words import (
    Document,
    attempt_name,
    collision_words,
    drift_words,
    duration,
    ending_words,
    money,
    output_words,
    plural,
    problem_where,
    repair_words,
    seconds_between,
    short,
    throttle_words,
    waits_words,
)

STATE_STYLES = {
    "queued": "",
    "running": "cyan",
    "review": "magenta",
    "landing": "blue",
    "landed": "green",
    "failed": "bold red",
    "skipped": "yellow",
    "cancelled": "dim",
}
PRIORITY_STYLES = {"critical": "bold red", "high": "yellow", "low": "dim"}
SEVERITY_STYLES = {"error": "bold red", "warning": "yellow"}

SLOT_COLUMNS = (
    Column("SLOT", "dim", right=True),
    Column("TICKET", "bold", least=16),
    Column("AGENT", least=6, drop=3),
    Column("TIME", right=True),
    Column("OUTPUT", least=16),
    Column("BASE", "dim", drop=2),
    Column("DRIFT", least=18),
    Column("TITLE", "dim", least=16, most=48, drop=4),
)
LANDING_COLUMNS = (
    Column("", "bold", least=16),
    Column("", "blue"),
    Column("", "dim", drop=1),
    Column("", "yellow", least=12),
)
REVIEW_COLUMNS = (
    Column("", "bold", least=16),
    Column(""),
    Column("", "magenta", least=16, drop=1),
    Column("", "dim", least=16, most=48, drop=2),
)
QUEUE_COLUMNS = (
    Column("RANK", "dim", right=True),
    Column("TICKET", "bold", least=16),
    Column("PRIORITY", drop=2),
    Column("WAITS", least=34),
    Column("TITLE", "dim", least=24, most=48, drop=3),
)
DETAIL_LINES = 3
MOST_NAMED = 100
WIDE = 72
LOW = 30
"""Where there is less height than this, reasons get one line: more tickets matter more than longer sentences."""


def screen(document: Document, width: int = UNBOUNDED, height: int = UNBOUNDED) -> list[Text]:
    """The lines, none wider than `width`, no more than `height`: what does not fit is counted."""
    sentences = 1 if height < LOW or width >= UNBOUNDED else DETAIL_LINES
    sections = [
        header_section(document, width),
        stalled_section(document, width, sentences),
        slots_section(document, width),
        landing_section(document, width),
        _review(document, width),
        queue_section(document, width),
        _ended(document, width, sentences),
        problems_section(document, width, sentences),
    ]
    return stacked(sections, height, width)


def header_section(document: Document, width: int) -> Section:
    target = document["target"]
    branch = f"{target['remote']}/{target['branch']}" if target["remote"] else target["branch"]
    where = PurePath(document["repository"]).name
    items = [line((where, "bold"), " → ", (branch, "bold"), f" @ {short(target['sha'])}  ", *_daemon(document, width))]
    items.append(_totals(document))
    items += _alarms(document, width)
    return Section(None, [[item] for item in items], least=len(items))


def _daemon(document: Document, width: int) -> list[str | tuple[str, str]]:
    daemon = document["daemon"]
    if not daemon["running"]:
        return [("no daemon runs", "yellow"), " (`ticketd start`)"]
    up = seconds_between(daemon["since"], document["at"])
    pid = f"pid {daemon['pid']}, " if width >= WIDE else ""
    about = f" ({pid}up {duration(up)})" if up is not None else ""
    if daemon["stopping"]:
        how = "draining, ^C again ends agents" if daemon["stopping"] == "drain" else "stopping now"
        return [(how, "bold yellow"), about]
    if daemon["paused"]:
        return [("paused", "bold yellow"), about]
    return [("daemon runs", "green"), about]


def _totals(document: Document) -> Text:
    counts = document["counts"]
    parts: list[str | tuple[str, str]] = []
    for state, style in STATE_STYLES.items():
        if counts[state] or state in ("queued", "running", "landed"):
            parts += ["  " if parts else "", (f"{counts[state]} {state}", style if counts[state] else "dim")]
    if document["cost_usd"]:
        parts.append(f"  {money(document['cost_usd'])}")
    if (day := document["today"])["budget_usd"] is not None:
        parts.append(f"  today {money(day['cost_usd'])} of {money(day['budget_usd'])}")
    return line(*parts)


def _alarms(document: Document, width: int) -> list[Text]:
    """What a person should know before all else."""
    daemon, target = document["daemon"], document["target"]
    said = []
    if daemon["alarm"]:
        said.append(f"ALARM, nothing lands: {daemon['alarm']}")
    if daemon["short"]:
        said.append(f"nothing is started: {daemon['short']}")
    if daemon["paused"]:
        said.append(f"paused: {daemon['paused_why']}")
    if daemon["aborted"]:
        said.append(f"the run is stopped: {daemon['aborted']}")
    if target["trouble"]:
        said.append(f"the target gives no answer: {target['trouble']}")
    said += [throttle_words(each, document["at"]) for each in document["throttles"] if each["until"]]
    return [each for text in said for each in wrapped(text, width, "! ", DETAIL_LINES, "yellow")]


def stalled_section(document: Document, width: int, sentences: int) -> Section:
    """What keeps everything from going on: each cause, its mend, and the tickets that it keeps."""
    causes: dict[tuple[str, str], list[str]] = {}
    for each in document["stalled"]:
        causes.setdefault((each["why"], each["mend"]), []).append(each["ticket"])
    items = [
        [
            *wrapped(why, width, "  ", sentences, "yellow"),
            *(wrapped(mend, width, "    ", sentences, "cyan") if mend else []),
            *wrapped(f"keeps {_listing(tickets)}", width, "    ", sentences, "dim"),
        ]
        for (why, mend), tickets in causes.items()
    ]
    heading = line(("NOTHING RUNS AND NOTHING CAN", "bold yellow"))
    return Section(heading, items, "causes", give=2, least=5)


def _listing(tickets: list[str]) -> str:
    more = f", … {len(tickets)} in all" if len(tickets) > MOST_NAMED else ""
    return ", ".join(tickets[:MOST_NAMED]) + more


def slots_section(document: Document, width: int) -> Section:
    busy = [slot for slot in document["slots"] if slot["state"] == "busy"]
    idle = [slot for slot in document["slots"] if slot["state"] == "idle"]
    lines = table(SLOT_COLUMNS, [_slot(slot, document["at"]) for slot in busy], width)
    items = [
        [each, *wrapped(slot["held_up"], width, "    ", DETAIL_LINES, "yellow")] if slot["held_up"] else [each]
        for each, slot in zip(lines[1:], busy, strict=True)
    ]
    if idle:
        items.append([line((f"{plural(len(idle), 'slot')} idle: {idle[0]['why']}", "dim"))])
    return Section(lines[0] if lines else None, items, "slots", give=1, least=4)


def _slot(slot: Document, now: str) -> list[str | Cell]:
    ending = ending_words(slot)
    output = ending or output_words(slot, now)
    worrying = ending or output.startswith(("quiet", "no heartbeat"))
    repair = repair_words(slot["repair"]) if slot["repair"] else ""
    collision = collision_words(slot["collides_with"])
    drift_style = "red" if collision else {"conflict": "red", "relevant": "yellow"}.get(slot["drift"], "dim")
    return [
        str(slot["slot"]),
        attempt_name(slot["ticket"], slot["attempt"]),
        slot["agent"],
        duration(seconds_between(slot["started_at"], now) or 0.0),
        Cell(output, "yellow" if worrying else "dim"),
        short(slot["base"]),
        Cell("; ".join(filter(None, (repair, collision, drift_words(slot)))), drift_style),
        slot["title"],
    ]


def landing_section(document: Document, width: int) -> Section:
    kept = document["collecting"]
    rows = [[attempt_name(each["ticket"], each["attempt"]), "keeping its work", "", ""] for each in kept]
    rows += [
        [
            attempt_name(landing["ticket"], landing["attempt"]),
            landing["phase"],
            short(landing["candidate"]) if landing["candidate"] else "",
            _trouble(landing, document["at"]),
        ]
        for landing in document["landing"]
    ]
    lines = table(LANDING_COLUMNS, rows, width - 2, heads=False)
    hint = wrapped(document["lane_hint"], width - 2, "", DETAIL_LINES, "dim") if document["lane_hint"] else []
    return _listed("landing", "blue", [*lines, *hint], give=2)


def _trouble(landing: Document, now: str) -> str:
    again = seconds_between(now, landing["not_before"])
    when = f"again in {duration(again)}: " if landing["trouble"] and again is not None and again > 0 else ""
    lost = f"lost the race {plural(landing['races_lost'], 'time')}" if landing["races_lost"] else ""
    return when + (landing["trouble"] or lost or landing["proposal"] or "")


def _review(document: Document, width: int) -> Section:
    rows = [
        [
            attempt_name(review["ticket"], review["attempt"]),
            f"ticketd review approve {review['ticket']}",
            review["detail"].removeprefix("waits for a person "),
            review["title"],
        ]
        for review in document["review"]
    ]
    return _listed("review", "magenta", table(REVIEW_COLUMNS, rows, width - 2, heads=False), give=3)


def queue_section(document: Document, width: int) -> Section:
    queue = document["queue"]
    unusual = any(entry["priority"] != "normal" for entry in queue)
    rows = [
        [
            str(entry["rank"]),
            entry["ticket"],
            Cell(entry["priority"] if unusual else "", PRIORITY_STYLES.get(entry["priority"], "dim")),
            waits_words(entry["waits_on"], document["at"]),
            entry["title"],
        ]
        for entry in queue
    ]
    lines = table(QUEUE_COLUMNS, rows, width)
    beyond = document["counts"]["queued"] - len(queue)
    heading, items = lines[0] if lines else None, [[each] for each in lines[1:]]
    return Section(heading, items, "waiting", give=6, least=5, beyond=beyond)


def _ended(document: Document, width: int, sentences: int) -> Section:
    items = [_ended_lines(entry, width, sentences) for entry in document["ended"]]
    beyond = document["counts"]["failed"] + document["counts"]["skipped"] - len(items)
    return Section(None, items, "failed or skipped", give=5, least=4, beyond=beyond)


def _ended_lines(entry: Document, width: int, sentences: int) -> list[Text]:
    state, reason = entry["state"], entry["reason"]
    told = f": {reason}" if reason else ""
    times = f" after {plural(entry['attempts'], 'attempt')}" if entry["attempts"] else ""
    head = line((state, STATE_STYLES[state]), "  ", (entry["ticket"], "bold"), told, (times, "dim"))
    detail = wrapped(entry["detail"], width, "    ", sentences)
    return [head, *detail, *packed(entry["mend"], width, "    ", "cyan")]


def problems_section(document: Document, width: int, sentences: int) -> Section:
    # Errors keep tickets from running and warnings do not, so those come first.
    found = sorted(document["problems"], key=lambda problem: problem["severity"] != "error")
    return Section(None, [_problem(problem, width, sentences) for problem in found], "problems", give=4)


def _problem(problem: Document, width: int, sentences: int) -> list[Text]:
    head = line((problem["severity"], SEVERITY_STYLES[problem["severity"]]), f"  {problem_where(problem)}")
    mend = f" ({problem['mend']})" if problem["mend"] else ""
    return [head, *wrapped(problem["what"] + mend, width, "    ", sentences)]


def _listed(name: str, style: str, lines: list[Text], give: int) -> Section:
    return Section(line((name.upper(), "dim")), [[line("  ").append_text(each)] for each in lines], give=give)
