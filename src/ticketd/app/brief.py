"""What an agent is told: gathered from the store, the target's commits and the settings; `domain/brief.py` words it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ticketd.app.session import Session, Works
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState, Drift
from ticketd.domain.brief import MOST_SUBJECTS, Earlier, Facts, render_brief, render_follow_up
from ticketd.domain.brieftemplate import TEMPLATE, faults_of
from ticketd.domain.drift import conflict_note
from ticketd.domain.events import Event, EventKind
from ticketd.domain.mending import LOG_BYTES, Mending
from ticketd.domain.pages import Page, folders_for
from ticketd.domain.problems import Problem, Severity
from ticketd.domain.quoting import one_line, plain
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import Reason, TicketRecord
from ticketd.domain.widening import note_line
from ticketd.errors import BadInput, GitFailed
from ticketd.ports import History, TicketFiles

PAGE = 1000
LOG_LINES = 100
MOST_EARLIER = 3


@dataclass(frozen=True, slots=True)
class Desk:
    """What is asked for a brief. `pages`: those of the wiki at a commit, below some folders."""

    session: Session
    settings: Settings
    history: History
    pages: Callable[[str, Sequence[str]], tuple[Page, ...]]


def brief_of(
    works: Works, record: TicketRecord, attempt: Attempt, conflicts: Sequence[str], follow_up: bool = False
) -> str:
    """`conflicts`: the paths in conflict in the tree. `follow_up`: the agent goes on in a session that has had the
    brief before, and is told only what is new.

    Raises:
        BadInput: the template of the settings cannot be used.
    """
    desk = Desk(works.session, works.settings(), works.history, works.history.pages)
    return write_brief(desk, record, attempt, conflicts, follow_up)


def write_brief(
    desk: Desk, record: TicketRecord, attempt: Attempt, conflicts: Sequence[str], follow_up: bool = False
) -> str:
    """Without the value of any secret: pages and commits may hold one."""
    return desk.session.secrets().redact_text(_written(desk, record, attempt, conflicts, follow_up))


def _written(desk: Desk, record: TicketRecord, attempt: Attempt, conflicts: Sequence[str], follow_up: bool) -> str:
    events = list(_events(desk.session, record.id))
    earlier = [each for each in desk.session.store.attempts(record.id) if each.key.number < attempt.key.number]
    facts = _facts(desk, record, attempt, conflicts, events, earlier)
    if follow_up:
        since = _begun(events, earlier)
        fresh = replace(facts, reviews=tuple(_rejections(event for event in events if event.number > since)))
        changed = any(event.kind is EventKind.TICKET_CHANGED and event.number > since for event in events)
        return render_follow_up(fresh, desk.settings, changed=changed)
    ended = [each for each in earlier if each.state is AttemptState.ENDED][-MOST_EARLIER:]
    done = tuple(_done(desk.history, each) for each in ended)
    pages = desk.pages(attempt.base, folders_for(record.ticket.scope))
    facts = replace(facts, earlier=done, pages=pages)
    return render_brief(facts, desk.settings, template_of(desk.session, desk.settings))


def next_attempt(record: TicketRecord, attempts: Sequence[Attempt], target: str) -> Attempt:
    """As the store would begin it now on the target's commit."""
    key, repair = AttemptKey(record.id, record.attempts + 1), record.repair
    begun = next((each for each in attempts if each.key.number == record.resume and each.tip), None)
    attempt = Attempt(key, AttemptState.PREPARING, 0, target, "")
    mends = repair.kind if repair else None
    if begun is not None:
        return replace(attempt, base=begun.base, resumes=begun.tip, mends=mends)
    if repair is not None:
        return replace(attempt, base=repair.base, resumes=repair.tip, mends=mends, merges=repair.merges)
    return attempt


def template_of(session: Session, settings: Settings) -> str:
    """Raises:
    BadInput: it cannot be used. Ours in its place would leave out what its author wants said.
    """
    if settings.brief.template is None:
        return TEMPLATE
    text = session.files.template(settings.brief.template)
    errors = [each for each in faults_of(settings.brief.template, text) if each.severity is Severity.ERROR]
    if errors:
        raise BadInput("\n".join(map(str, errors)), mend="Mend it; `ticketd lint` checks it.")
    return text


def template_problems(files: TicketFiles, settings: Settings) -> tuple[Problem, ...]:
    """For people who check what they have written."""
    path = settings.brief.template
    if path is None:
        return ()
    try:
        return faults_of(path, files.template(path))
    except BadInput as error:
        return (Problem(path, 0, error.what, error.mend),)


def _facts(
    desk: Desk,
    record: TicketRecord,
    attempt: Attempt,
    conflicts: Sequence[str],
    events: Sequence[Event],
    earlier: Sequence[Attempt],
) -> Facts:
    mending = None
    if attempt.mends is not None and record.repair is not None:
        tail = log_tail(Path(record.repair.log)) if record.repair.log else ""
        mending = Mending(record.repair, attempt.merges is not None, tuple(conflicts), tail)
    return Facts(
        ticket=record.ticket,
        number=attempt.key.number,
        base=attempt.base,
        held={each.ticket: each.patterns for each in desk.session.store.claims() if each.ticket != record.id},
        afresh=attempt.resumes is None and attempt.mends is None,
        mending=mending,
        reviews=tuple(_rejections(events)),
        fates=tuple(_fates(events)),
        drift=tuple(_drift(desk, attempt, earlier)),
    )


def _events(session: Session, ticket: str) -> Iterator[Event]:
    last = 0
    while page := session.store.events(after=last, ticket=ticket, limit=PAGE):
        yield from page
        last = page[-1].number


def _begun(events: Sequence[Event], earlier: Sequence[Attempt]) -> int:
    """The number of the event since which all is new to the agent: the last earlier attempt's beginning."""
    number = earlier[-1].key.number if earlier else 0
    begun = [event.number for event in events if event.kind is EventKind.DISPATCHED and event.attempt == number]
    return begun[-1] if begun else 0


def _rejections(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        if event.kind is EventKind.FAILED and event.data.get("reason") == Reason.REJECTED:
            yield str(event.data.get("detail") or "no reason is given")


def _fates(events: Iterable[Event]) -> Iterator[str]:
    """How earlier attempts have failed, the latest last: a line each, so that it cannot be taken for the brief."""
    for event in events:
        reason = event.data.get("reason")
        if event.kind in (EventKind.REQUEUED, EventKind.FAILED) and reason not in (None, Reason.REJECTED):
            yield f"- attempt {event.attempt}: {reason}: {one_line(event.data.get('detail'))}"


def _done(history: History, attempt: Attempt) -> Earlier:
    """Commits that are not here any more, as after a restored store, keep nobody from running."""
    done = Earlier(attempt.key.number, attempt.base, attempt.tip, said=attempt.report.said)
    if attempt.tip is None or attempt.tip == attempt.base:
        return done
    with suppress(GitFailed):
        subjects = history.subjects(attempt.base, attempt.tip, MOST_SUBJECTS)
        return replace(done, subjects=subjects, files=history.changed(attempt.base, attempt.tip))
    return done


def _drift(desk: Desk, attempt: Attempt, earlier: Sequence[Attempt]) -> Iterator[str]:
    """For one that goes on from an older base: how far the target has gone on, as was last seen. And where it has
    written what another holds, or the other way round."""
    last, name = (earlier[-1] if earlier else None), desk.settings.target.name
    target = desk.session.store.target()
    if last is not None and attempt.resumes is not None and attempt.merges is None and last.base == attempt.base:
        if last.drift is Drift.CONFLICT and target is not None and target.sha is not None:
            yield conflict_note(name, target.sha, last.base, last.drift_paths)[1]
        elif last.behind:
            yield f"- `{name}` is {last.behind} ahead of your base {last.base[:12]}; you will be rebased onto it."
    for each in desk.session.store.collisions():
        if attempt.key.ticket in (each.ticket, each.other):
            yield note_line(each, attempt.key.ticket)


def log_tail(log: Path) -> str:
    """The last lines of a log; empty if there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - LOG_BYTES, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(plain(text).rstrip().split("\n")[-LOG_LINES:])
