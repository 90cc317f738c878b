"""What an attempt has come to: what its agent says of the run, and what it has really left."""

from __future__ import annotations

from dataclasses import replace

from ticketd.app.repairs import judge
from ticketd.app.session import Works
from ticketd.app.spending import Spending
from ticketd.domain.attempt import Attempt
from ticketd.domain.globs import matches
from ticketd.domain.report import NOTHING_REPORTED, Report
from ticketd.domain.settings import AgentProfile, Settings
from ticketd.domain.ticket import TicketRecord
from ticketd.domain.verdict import Finish
from ticketd.ports import AgentResult, Exited, Kept, RunState


def finish_of(works: Works, attempt: Attempt, state: RunState) -> tuple[Finish, Report]:
    """How it ended, and what was used; that also of one that was ended, or of which nobody knows how it ended."""
    how = attempt.outcome or "lost"
    exited = state if how == "exited" and isinstance(state, Exited) else None
    result = _result(works, attempt, exited)
    report = Spending(works).report(attempt, result) if result else NOTHING_REPORTED
    if exited is None or result is None:
        finish = Finish(how, "failed", attempt.detail, agent=attempt.agent, ended_for=attempt.ended_for)
        return replace(finish, preempted=attempt.preempted, restarted=attempt.restarted), report
    finish = Finish(how, result.outcome, result.detail or attempt.detail, agent=attempt.agent, until=result.until)
    return replace(finish, unusable=result.unusable), report


def _result(works: Works, attempt: Attempt, exited: Exited | None) -> AgentResult | None:
    """None: its agent has never run."""
    if attempt.started_at is None and exited is None:
        return None
    profile, places = profile_of(works.settings(), attempt.agent), works.session.places
    home = places.agent_home(attempt.key.ticket, profile.name)
    log = places.log(attempt.key)
    try:
        return works.agent_of(profile).read_result(exited, log, home)
    except OSError:
        raise
    except Exception as error:  # whatever an adapter meets in a log, its work is to be kept
        return AgentResult("failed", f"what it has said cannot be read ({error!r}); its output is in {log}")


def profile_of(settings: Settings, name: str) -> AgentProfile:
    """One that has gone from ticketd.toml meanwhile still has an exit code that counts."""
    return settings.agents.get(name, AgentProfile(name))


def judged(works: Works, attempt: Attempt, record: TicketRecord, kept: Kept, finish: Finish) -> Finish:
    changed = _own_changes(works, attempt, record, kept)
    unmended = judge(works, record, attempt, kept, changed) if finish.outcome == "done" else None
    told = replace(finish, changed=changed, nested=kept.nested, too_large=kept.too_large, unread=kept.unread)
    return replace(told, unmended=unmended)


def _own_changes(works: Works, attempt: Attempt, record: TicketRecord, kept: Kept) -> tuple[str, ...]:
    """What the attempt itself changed: an agent that rebased onto a newer target brings others' changes along, and
    one that gave up a merge has not even its own base's."""
    mends = attempt.mends is not None
    if not mends and all(matches(record.ticket.touches, path) for path in kept.changed):
        return kept.changed
    # As last seen, for agents see no newer one; asking a remote that stalls would keep the claim from being let go.
    known = works.session.store.target()
    tip = (known and known.sha) or attempt.base
    if tip == attempt.base and not mends:
        return kept.changed
    fork = works.history.fork_point(kept.tip, tip)
    return kept.changed if fork in (None, attempt.base) else works.history.changed(fork or "", kept.tip)
