"""Where the target is protected: verified work goes to a branch of its own, and people merge it by a pull request.

Every step is stored before it is taken, and what has come of it is asked of its owner: the branch of its remote, the
pull request of its forge, what has landed of the target. So however often a daemon is killed in between, there is one
pull request for a landing, and it is not forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import assert_never

from ticketd.app.session import Works
from ticketd.app.tracker import Tracker
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.landing import Landed, Landing, Phase, Proposal
from ticketd.domain.settings import LandingMode
from ticketd.domain.ticket import Reason, TicketRecord
from ticketd.domain.verdict import Cancel, Fail, Requeue
from ticketd.errors import GitFailed
from ticketd.ports import Forge, LostRace, Pull, PullState, Pushed, Refused, Unreachable

REST_S = 1.0
LONGEST_TITLE = 200
LONGEST_BRIEF = 20_000


@dataclass(frozen=True, slots=True)
class Proposed:
    """Its pull request is open, and that is stored."""


def branch_of(ticket: str) -> str:
    return f"ticketd/{ticket}"


def publish(works: Works, landing: Landing, record: TicketRecord) -> Pushed | Proposed | Refused | Unreachable:
    """Bring a verified candidate to where people take it from. `Pushed`: with `mode = "branch"` that is all. The
    landing is one in phase `pushing`; what is stored of it afterwards is newer."""
    if works.settings().landing.mode is LandingMode.BRANCH:
        return _push(works, landing)
    forge, onto = works.forge(), works.settings().target.branch
    if isinstance(forge, Refused):
        return forge
    pulls = forge.pulls(branch_of(record.id), onto)
    if isinstance(pulls, Refused | Unreachable):
        return pulls
    landing = _intend(works, landing, pulls)
    pushed = _push(works, landing)
    if not isinstance(pushed, Pushed):
        return pushed
    opened = _own(landing, pulls) or _open(forge, landing, record, onto)
    if isinstance(opened, Refused | Unreachable):
        return opened
    _propose(works, landing, opened)
    return Proposed()


def is_settled(works: Works, landing: Landing) -> bool | Refused | Unreachable:
    """Before one that was proposed is rebased once more: whether people have merged or closed it while nobody looked.
    Then it waits as proposed for the follower; squashed, it could even meet itself as a conflict."""
    if landing.proposal is None or works.settings().landing.mode is not LandingMode.PR:
        return False
    pulls = _pulls(works, landing)
    if isinstance(pulls, Refused | Unreachable):
        return pulls
    own = _own(landing, pulls)
    if own is None or own.state is PullState.OPEN:
        return False
    _propose(works, landing, own)
    return True


def _pulls(works: Works, landing: Landing) -> tuple[Pull, ...] | Refused | Unreachable:
    forge, branch = works.forge(), branch_of(landing.key.ticket)
    return forge if isinstance(forge, Refused) else forge.pulls(branch, works.settings().target.branch)


def _propose(works: Works, landing: Landing, pull: Pull) -> None:
    assert landing.proposal is not None
    proposal = replace(landing.proposal, number=pull.number, url=pull.url)
    waits = replace(landing, phase=Phase.PROPOSED, proposal=proposal, trouble="", trouble_since=None, not_before=None)
    works.session.store.set_phases([waits], works.session.clock.now())


def _push(works: Works, landing: Landing) -> Pushed | Refused | Unreachable:
    assert landing.candidate is not None
    branch = branch_of(landing.key.ticket)
    match works.target.publish(branch, landing.candidate):
        case LostRace(detail=detail):
            return Refused(f"{detail or f'{branch} has moved'}; it is left as it is: take it away, or land by hand")
        case answer:
            return answer


def _intend(works: Works, landing: Landing, pulls: Iterable[Pull]) -> Landing:
    """Which pull request it will be, stored before it is asked for."""
    if landing.proposal is not None:
        return landing
    landing = replace(landing, proposal=Proposal(after=max((pull.number for pull in pulls), default=0)))
    works.session.store.set_phases([landing], works.session.clock.now())
    return landing


def _own(landing: Landing, pulls: Iterable[Pull]) -> Pull | None:
    """The newest that was opened for it; or the open one, of an earlier attempt or by a person's hand: a forge has but
    one from a branch onto another."""
    proposal = landing.proposal
    assert proposal is not None
    if proposal.number:
        return next((pull for pull in pulls if pull.number == proposal.number), None)
    found = (pull for pull in pulls if pull.number > proposal.after or pull.state is PullState.OPEN)
    return max(found, key=lambda pull: pull.number, default=None)


def _open(forge: Forge, landing: Landing, record: TicketRecord, onto: str) -> Pull | Refused | Unreachable:
    branch = branch_of(record.id)
    answer = forge.open(branch, onto, _title(record), _body(landing.key, record))
    pulls = forge.pulls(branch, onto)
    if isinstance(pulls, Refused | Unreachable):
        return pulls
    return _own(landing, pulls) or answer or Unreachable("the pull request was asked for, and is not there yet")


def _title(record: TicketRecord) -> str:
    return "".join(character if character.isprintable() else " " for character in record.ticket.title)[:LONGEST_TITLE]


def _body(key: AttemptKey, record: TicketRecord) -> str:
    """The brief is quoted as code: as text, a line like `/merge` or `closes #1` would be an order to the forge."""
    brief = (record.ticket.body or record.ticket.title)[:LONGEST_BRIEF]
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", brief)), default=0))
    made = f"Ticket `{key.ticket}`, attempt {key.number}. Verified by ticketd, which rebases it if need be."
    return f"{made}\n\n{fence}\n{brief}\n{fence}\n"


@dataclass(slots=True)
class Follower:
    """Looks after the pull requests that are open. Each is asked for every `every_s` seconds, and when the target has
    moved: a merge moves it."""

    works: Works
    tracker: Tracker
    every_s: float
    _seen: dict[AttemptKey, tuple[float, str | None]] = field(default_factory=dict)
    _at: AttemptKey | None = None

    def step(self) -> float:
        """Look at all whose time has come. How long to rest (seconds)."""
        waiting = self._waiting()
        self._seen = {landing.key: self._seen[landing.key] for landing in waiting if landing.key in self._seen}
        for landing in waiting:
            if self._is_due(landing):
                self._at = landing.key
                self._seen[landing.key] = (self.works.session.clock.monotonic() + self.every_s, self._target())
                try:
                    self.follow(landing)
                except GitFailed as error:
                    self._trouble(landing, str(error))
                finally:
                    self._at = None
                self.works.bell.ring()
        return REST_S

    def is_behind(self) -> bool:
        """Whether one has not been looked at since this daemon began, or is just now: it may have been merged long
        ago."""
        return any(landing.key not in self._seen for landing in self._waiting()) or self._at is not None

    def follow(self, landing: Landing) -> None:
        """Ask after one, and do what follows from the answer."""
        pulls = _pulls(self.works, landing)
        if isinstance(pulls, Refused | Unreachable):
            self._stays(landing, pulls.detail)
            return
        own = _own(landing, pulls)
        if own is None:
            self._back(landing, Fail(Reason.REJECTED, f"its pull request {_url(landing)} is not there any more"))
            return
        match own.state:
            case PullState.MERGED:
                self._merged(landing, own)
            case PullState.CLOSED:
                self._closed(landing, own)
            case PullState.OPEN:
                self._open(landing, own)
            case _:
                assert_never(own.state)

    def _merged(self, landing: Landing, pull: Pull) -> None:
        """The forge says by which commit; that it has landed is the target's word."""
        with self.tracker.alone():
            tip = self.tracker.ask()
            if isinstance(tip, Unreachable):
                self._trouble(landing, tip.detail)
                return
            commit = next((each for each in pull.merged_as if self.works.history.contains(tip, each)), None)
            if commit is not None:
                target, now = self.tracker.record(tip), self.works.session.clock.now()
                self.works.session.store.land([Landed(landing.key, commit, f"merged by {pull.url}")], target, now)
                return
        self._not_there(landing, f"{pull.url} was merged, and {self.works.settings().target.branch} does not have it")

    def _closed(self, landing: Landing, pull: Pull) -> None:
        """That one is over: should its work be landed after all, it gets another."""
        over = replace(landing, proposal=Proposal(after=pull.number))
        self.works.session.store.set_phases([over], self.works.session.clock.now())
        self._back(over, Fail(Reason.REJECTED, f"its pull request {pull.url} was closed without a merge"))

    def _not_there(self, landing: Landing, trouble: str) -> None:
        """A merge is on the target a moment later; one that somebody has taken off again never will be."""
        now = self.works.session.clock.now()
        if now - (landing.trouble_since or now) > self.works.settings().landing.patience_s:
            self._back(landing, Fail(Reason.PUSH_REJECTED, trouble))
        else:
            self._trouble(landing, trouble)

    def _open(self, landing: Landing, pull: Pull) -> None:
        """It goes through the lane again only where it could not be merged as it is: each new push makes people look
        anew. What somebody else has pushed to its branch is theirs to bring on."""
        target = self._target()
        if pull.is_stuck and pull.head == landing.candidate and target not in (None, landing.onto):
            del self._seen[landing.key]  # when it is proposed once more, that is to be looked at
            again = replace(landing, phase=Phase.QUEUED, trouble="", trouble_since=None)
            self.works.session.store.set_phases([again], self.works.session.clock.now())
        else:
            self._stays(landing, "")

    def _stays(self, landing: Landing, trouble: str) -> None:
        if self._is_cancelled(landing):
            self._back(landing, Cancel(f"cancelled; its work is kept, and {_url(landing)} is left to you"))
        else:
            self._trouble(landing, trouble)

    def _trouble(self, landing: Landing, trouble: str) -> None:
        if trouble != landing.trouble:
            since = (landing.trouble_since or self.works.session.clock.now()) if trouble else None
            told = replace(landing, trouble=trouble, trouble_since=since)
            self.works.session.store.set_phases([told], self.works.session.clock.now())

    def _back(self, landing: Landing, verdict: Requeue | Fail | Cancel) -> None:
        self.works.session.store.landing_failed(landing.key, verdict, self.works.session.clock.now())

    def _waiting(self) -> list[Landing]:
        return [landing for landing in self.works.session.store.landings() if landing.waits_for_people]

    def _is_due(self, landing: Landing) -> bool:
        due, target = self._seen.get(landing.key, (0.0, None))
        return self.works.session.clock.monotonic() >= due or target != self._target() or self._is_cancelled(landing)

    def _is_cancelled(self, landing: Landing) -> bool:
        record = self.works.session.store.ticket(landing.key.ticket)
        return record is not None and record.cancel_requested

    def _target(self) -> str | None:
        target = self.works.session.store.target()
        return target.sha if target else None


def _url(landing: Landing) -> str:
    return landing.proposal.url if landing.proposal else ""
