"""What an agent is told, as text: the task first, then what it must know beside that. Pure; `app/brief.py` gathers it.

What others have written (the ticket, reviewers, pages, logs, agents) stands in fences that it cannot end, or on a line
behind words of ours. All headings are ticketd's own.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ticketd.domain.brieftemplate import TEMPLATE, fill
from ticketd.domain.globs import EVERYTHING, NOTHING, PatternSet
from ticketd.domain.mending import Mending, render_mending
from ticketd.domain.pages import Page, render_pages
from ticketd.domain.quoting import as_code, cut, fenced, one_line, plain, size_of
from ticketd.domain.settings import Outside, Settings
from ticketd.domain.ticket import Ticket

MOST_PATTERNS = 20
MOST_HELD = 20
MOST_HELD_PATTERNS = 8
MOST_REVIEWS = 5
LONGEST_REVIEW = 8_000
MOST_FATES = 5
MOST_FILES = 20
MOST_SUBJECTS = 10
LONGEST_SAID = 2_000


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier attempt has done: from `base` to `tip`, in commits of these subjects, in these files; and its
    agent's last words."""

    number: int
    base: str
    tip: str | None
    subjects: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    said: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """`number`: of the attempt; `base`: where it begins; `held`: the claims of others. `afresh`: nothing that was done
    before is in its tree. `mending`: what it is to mend. `reviews`: a person's words on work that was rejected;
    `fates`: how attempts have ended before, a line each, the latest last; `drift`: likewise, what has changed since it
    began."""

    ticket: Ticket
    number: int
    base: str
    held: Mapping[str, PatternSet]
    afresh: bool = True
    mending: Mending | None = None
    reviews: tuple[str, ...] = ()
    fates: tuple[str, ...] = ()
    earlier: tuple[Earlier, ...] = ()
    drift: tuple[str, ...] = ()
    pages: tuple[Page, ...] = ()


def render_brief(facts: Facts, settings: Settings, template: str = TEMPLATE) -> str:
    """The ticket's text, the claim and the rules are whole in any case; what else there is shares what room is left of
    `[brief] limit`, in this order."""
    ticket, limit = facts.ticket, settings.brief.limit
    fields = {
        "id": ticket.id,
        "title": as_code(ticket.title),
        "scope": as_code(ticket.scope),
        "attempt": str(facts.number),
        "target": as_code(settings.target.name),
        "base": facts.base[:12],
        "task": render_task(ticket),
        "claim": _claim(facts, settings),
        "rules": _rules(facts, settings),
        "drift": render_drift(facts.drift),
    }
    room = limit - size_of(template) - sum(map(size_of, fields.values()))
    for name, render in (
        ("mend", partial(render_start, facts, settings.target.name)),
        ("review", partial(render_reviews, facts.reviews)),
        ("earlier", partial(_earlier, facts)),
        ("pages", partial(render_pages, facts.pages, settings.brief.wiki_content)),
    ):
        fields[name] = render(room)
        room -= size_of(fields[name])
    return fill(template, fields)


def render_task(ticket: Ticket) -> str:
    return f"## The task\n\n{fenced(ticket.body or ticket.title, 'ticket')}"


def render_start(facts: Facts, target: str, room: int) -> str:
    """What work there is to go on from, and what is to be mended of it."""
    if facts.mending is not None:
        return render_mending(facts.mending, target, room)
    return "" if facts.afresh else RESUMED.format(base=facts.base[:12])


RESUMED = """\
## You have begun this before

An earlier run was broken off, through no fault of its own. What it had done is here: the commits since {base}; what it
had not committed, it may have been in the middle of. Go on from there."""


def render_reviews(reviews: Sequence[str], room: int) -> str:
    """The newest are kept where there is no room for all."""
    told: list[str] = []
    for words in reversed(reviews[-MOST_REVIEWS:]):
        part = f"## A reviewer rejected this before\n\n{fenced(cut(words, LONGEST_REVIEW), 'review')}"
        if size_of(part) + 2 > room:
            break
        room -= size_of(part) + 2
        told.insert(0, part)
    return "\n\n".join(told)


def render_drift(lines: Sequence[str]) -> str:
    return "\n".join(["## What has changed meanwhile\n", *(line.rstrip("\n") for line in lines)]) if lines else ""


# --- files ----------------------------------------------------------------------------------------------------------

OUTSIDE = {
    Outside.EXTEND: "Change another file only where the task cannot be done without it.",
    Outside.WARN: "Change another file only where the task cannot be done without it; people are told.",
    Outside.FAIL: "Change nothing else: an attempt that does has failed, whatever else it did.",
}


def _claim(facts: Facts, settings: Settings) -> str:
    return "\n\n".join(["## Files", *_claimed(facts.ticket, settings), *_held(facts.held)])


def _claimed(ticket: Ticket, settings: Settings) -> Iterator[str]:
    if ticket.touches == EVERYTHING:
        yield "The ticket does not say which files it changes. Change as few as the task takes."
    else:
        patterns = _patterns(ticket.touches, MOST_PATTERNS)
        yield f"The ticket is to change these (gitignore patterns): {patterns}. {OUTSIDE[settings.claims.outside]}"
    scope = settings.scopes.get(ticket.scope)
    if scope is not None and scope.paths is not None:
        yield f"It may change nothing outside of {_patterns(scope.paths, MOST_PATTERNS)}: such an attempt has failed."
    if settings.claims.shared != NOTHING:
        shared = _patterns(settings.claims.shared, MOST_PATTERNS)
        yield f"Several tickets change {shared} at once: keep changes there small, and apart from others'."
    if settings.review.protect != NOTHING:
        protected = _patterns(settings.review.protect, MOST_PATTERNS)
        yield f"What changes {protected} waits for a person: leave them as they are, unless that is the task."


def _held(held: Mapping[str, PatternSet]) -> Iterator[str]:
    if not held:
        return
    lines = [f"- {ticket}: {_patterns(held[ticket], MOST_HELD_PATTERNS)}" for ticket in sorted(held)[:MOST_HELD]]
    more = [f"- and {len(held) - MOST_HELD} more tickets"] * (len(held) > MOST_HELD)
    yield "\n".join(["Others are changing these just now; keep off them:\n", *lines, *more])


def _patterns(patterns: PatternSet, most: int) -> str:
    return _some(patterns.patterns, most)


def _some(words: Sequence[str], most: int) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(as_code(word) for word in words[:most]) + more


# --- the rules of the run -------------------------------------------------------------------------------------------


def _rules(facts: Facts, settings: Settings) -> str:
    return "\n".join(["## ticketd's rules of this run\n", *(f"- {rule}" for rule in _each_rule(facts, settings))])


def _each_rule(facts: Facts, settings: Settings) -> Iterator[str]:
    target = as_code(settings.target.name)
    yield f"This directory is a git worktree of yours alone, begun at {facts.base[:12]} of {target}. Work nowhere else."
    yield "Commit, or leave it uncommitted: ticketd commits what you leave."
    yield (
        "Do not push, do not leave your branch, and do not rewrite commits that you have not made. "
        "When you have ended, ticketd rebases your work, verifies it and lands it."
    )
    yield from _verification(facts.ticket, settings)
    yield (
        "ticketd may write news for you, a line each, into the file that the environment variable `TICKETD_NOTES` "
        "names: look there before you end."
    )
    yield (
        "Where the text leaves something open, take the simplest that serves it. If it cannot be done, say why in your "
        "last message and change nothing."
    )
    yield (
        f"You have {_minutes(settings.timeout_of(facts.ticket))}. End what you have started in the background, and "
        "leave no file behind that the task does not need."
    )


def _verification(ticket: Ticket, settings: Settings) -> Iterator[str]:
    """Without it the agent would find out only when its work comes back."""
    steps = [*settings.landing.verify, *([ticket.verify] if ticket.verify else [])]
    if steps:
        commands = ", then ".join(as_code(shlex.join(step)) for step in steps)
        yield f"Then this runs in a clean tree of exactly what would land, and must pass: {commands}. See that it does."


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


# --- what was before ------------------------------------------------------------------------------------------------


def _earlier(facts: Facts, room: int) -> str:
    """How earlier attempts have failed, the latest last; then what the latest have done, as far as there is room."""
    begin = "## What happened before"
    if facts.afresh:
        begin += "\n\nThis is begun afresh, on the newest state of the target."
    parts = [begin] + (["\n".join(facts.fates[-MOST_FATES:])] if facts.fates else [])
    room -= sum(size_of(part) + 2 for part in parts)
    done: list[str] = []
    for each in reversed(facts.earlier):
        part = "\n\n".join(_done(each))
        if part and size_of(part) + 2 <= room:
            room -= size_of(part) + 2
            done.insert(0, part)
    return "\n\n".join([*parts, *done]) if room >= 0 and (facts.fates or done) else ""


def _done(earlier: Earlier) -> Iterator[str]:
    if earlier.tip is not None and earlier.files:
        commits = f" ({_some(earlier.subjects, MOST_SUBJECTS)})" if earlier.subjects else ""
        yield (
            f"Attempt {earlier.number} changed {_some(earlier.files, MOST_FILES)}{commits}; "
            f"`git diff {earlier.base[:12]} {earlier.tip[:12]}` shows it."
        )
    if said := plain(earlier.said).strip():
        yield f"The last that its agent said in attempt {earlier.number}:\n\n{fenced(cut(said, LONGEST_SAID), 'said')}"


# --- to one that knows the ticket -----------------------------------------------------------------------------------


def render_follow_up(facts: Facts, settings: Settings, *, changed: bool) -> str:
    """For a session that has had the whole brief before: only what is new. `changed`: the ticket's text is."""
    target = settings.target.name
    parts = [FOLLOW_UP.format(id=facts.ticket.id, number=facts.number, what="" if changed else "its text and ")]
    if changed:
        parts += ["The ticket's text has been changed; this is what counts now.", render_task(facts.ticket)]
    if facts.afresh:
        parts.append(AFRESH.format(base=facts.base[:12], target=target))
        parts += [one_line(each) for each in facts.fates[-1:]]
    room = settings.brief.limit - sum(size_of(part) + 2 for part in parts)
    parts.append(render_start(facts, target, room))
    parts.append(render_reviews(facts.reviews, room - size_of(parts[-1])))
    parts.append(render_drift(facts.drift))
    return "\n\n".join(part for part in parts if part) + "\n"


FOLLOW_UP = """\
Go on with ticket {id}, in this conversation; this is attempt {number}. You know it: {what}ticketd's rules stand."""

AFRESH = """\
You are in a clean tree at {base} of {target}, and nothing of what you have done is in it: do it again, and mind what
kept the last attempt from its end:"""
