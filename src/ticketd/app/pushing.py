"""What leaves the lane: pushed and confirmed, sent back, or put off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ticketd.app.candidates import Candidate
from ticketd.app.repairs import FailedCheck, send_back
from ticketd.app.session import Works
from ticketd.app.tracker import Tracker
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.landing import Landed, Landing, Phase, tried_since
from ticketd.domain.ticket import Reason, TicketRecord
from ticketd.domain.verdict import Cancel, Fail, Requeue
from ticketd.ports import LostRace, Pushed, Refused, Unreachable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
MOST_REFUSALS = 5
"""A remote that refuses may only have stumbled; one that has a rule against it says the same each time."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The target's owner says that all of it is on the target, whose commit is `tip` now."""

    tip: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """Nothing can be said; the target has to be asked before anything is tried again."""

    phase: Phase
    trouble: str


@dataclass(frozen=True, slots=True)
class Pushing:
    works: Works
    tracker: Tracker

    def push(self, candidates: Sequence[Candidate], on: str) -> Confirmed | LostRace | Refused | Unclear:
        """Fast-forward the target from `on` to the last of them. The intent is stored before; afterwards the target is
        asked, whatever the push has said."""
        last = candidates[-1].commit
        intents = (replace(going_on(c.landing), onto=c.onto, candidate=c.commit, note=c.note) for c in candidates)
        self.set_phases([replace(each, phase=Phase.PUSHING) for each in intents])
        with self.tracker.alone():
            answer = self.works.target.push(last, on)
            tip = self.works.target.tip()
            if isinstance(tip, Unreachable):
                return Unclear(Phase.WAITING, tip.detail)
            if self.works.history.contains(tip, last):
                landed = [Landed(c.key, c.commit, c.note) for c in candidates]
                self._land(landed, tip)
                return Confirmed(tip)
        match answer:
            case Unreachable(detail=detail):
                return Unclear(Phase.BLOCKED, detail)
            case LostRace(detail=detail) if tip == on:
                return Unclear(Phase.BLOCKED, detail or "the push was refused though nobody was faster")
            case Pushed() if tip == on:
                return Unclear(Phase.BLOCKED, "the push went well but did not move the target")
            case Pushed():
                return LostRace()
            case Refused() | LostRace():
                return answer

    def landed(self, landed: Sequence[Landed], tip: str) -> None:
        with self.tracker.alone():
            self._land(landed, tip)

    def _land(self, landed: Sequence[Landed], tip: str) -> None:
        now = self.works.session.clock.now()
        self.works.session.store.land(landed, self.tracker.record(tip), now)

    def back(self, landing: Landing, verdict: Requeue | Fail | Cancel) -> None:
        self.works.session.store.landing_failed(landing.key, verdict, self.works.session.clock.now())

    def set_phases(self, landings: Sequence[Landing]) -> None:
        if landings:
            self.works.session.store.set_phases(landings, self.works.session.clock.now())

    def put_off(self, landings: Sequence[Landing], phase: Phase, trouble: str) -> None:
        """Something outside gives no usable answer: nobody's fault, so the tickets stay in the lane, but not for ever.

        What they may have pushed stays with them, so that it is never landed a second time.
        """
        now, patience_s = self.works.session.clock.now(), self.works.settings().landing.patience_s
        waiting = []
        for landing in landings:
            since = tried_since(landing, now, patience_s)
            if now - since > patience_s:
                detail = f"{trouble}; `ticketd retry {landing.key.ticket}` lands the kept work once that is mended"
                self.back(landing, Fail(Reason.PUSH_REJECTED, detail))
                continue
            not_before = now + min(max(FIRST_PAUSE_S, now - since), LONGEST_PAUSE_S)
            waiting.append(replace(landing, phase=phase, trouble=trouble, trouble_since=since, not_before=not_before))
        self.set_phases(waiting)

    def breached(self, candidate: Candidate, paths: Sequence[str], record: TicketRecord) -> None:
        """It changes these, and its ticket did not. If its commits do so by themselves (an agent that has put its
        branch on other commits, or another that has), it is they that must not land, and the others go on."""
        landing, changed = candidate.landing, ", ".join(paths[:5])
        if not self.works.history.touched(candidate.onto, landing.tip).issuperset(paths):
            self._alarm(candidate.key, changed)
            return
        told = f"its commits undo or bring what is not its own: {changed}. Were they made on another branch?"
        self.back(landing, send_back(self.works, landing, record, FailedCheck(candidate.onto, candidate.commit, told)))

    def _alarm(self, key: AttemptKey, changed: str) -> None:
        """Nothing leaves the lane any more."""
        why = (
            f"{key} rebased changes what its ticket did not: {changed}. Nothing was pushed and nothing lands "
            f"until you have looked (`ticketd diff {key.ticket}`); `ticketd resume` goes on"
        )
        self.works.session.store.raise_alarm(why, self.works.session.clock.now(), key)

    def refused(self, landings: Sequence[Landing], detail: str) -> None:
        now, again = self.works.session.clock.now(), []
        for landing in landings:
            refusals = landing.refusals + 1
            if refusals >= MOST_REFUSALS:
                self.back(landing, Fail(Reason.PUSH_REJECTED, detail))
                continue
            not_before = now + FIRST_PAUSE_S * 2.0 ** (refusals - 1)
            trouble = f"the remote would not take it ({refusals} of {MOST_REFUSALS} times): {detail}"
            refused = replace(landing, phase=Phase.BLOCKED, refusals=refusals, trouble=trouble, not_before=not_before)
            again.append(refused)
        self.set_phases(again)


def going_on(landing: Landing) -> Landing:
    """A target that answers again ends the patience with it; a checkout in the way first has to let it pass."""
    if landing.phase is Phase.WAITING or landing.trouble_since is None:
        return replace(landing, trouble="", trouble_since=None, not_before=None)
    return replace(landing, trouble="")  # when it was due says how long nobody has tried
