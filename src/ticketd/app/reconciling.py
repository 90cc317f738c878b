"""Landings that an earlier daemon, or a push without an answer, has left: what the world says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ticketd.app.proposals import is_settled
from ticketd.app.pushing import Pushing, going_on
from ticketd.app.session import Works
from ticketd.app.stack import Stack
from ticketd.domain.landing import Landed, Landing, Phase
from ticketd.domain.ticket import Reason
from ticketd.domain.verdict import Fail
from ticketd.ports import Refused, Unreachable


@dataclass(frozen=True, slots=True)
class Reconciling:
    works: Works
    stack: Stack
    pushing: Pushing

    def end_waiting(self, landings: Sequence[Landing]) -> bool:
        """The target has answered, which ends the patience with it: also with those whose turn is far away, or the next
        time that it is away would be counted from this one on. Whether any had waited."""
        here, waited = self.stack.keys(), [each for each in landings if each.phase is Phase.WAITING]
        phases = (Phase.VERIFYING if each.key in here and each.candidate else Phase.QUEUED for each in waited)
        told = zip(waited, phases, strict=True)
        self.pushing.set_phases([replace(going_on(each), phase=phase) for each, phase in told])
        return bool(waited)

    def arrived(self, tip: str) -> bool:
        """Who has moved the target may have been ourselves: a push that nobody waited for any more comes in all the
        same. Whether any of the stack is there."""
        if tip == self.stack.on:
            return False
        there = []
        notes = {landing.key: landing.note for landing in self.works.session.store.landings()}
        for each in self.stack.candidates:
            if not self.works.history.contains(tip, each.commit):
                break
            there.append(Landed(each.key, each.commit, notes.get(each.key, "")))
        if there:
            self.stack.cut(0)
            self.pushing.landed(there, tip)
        return bool(there)

    def settle(self, landings: Sequence[Landing], tip: str) -> bool:
        """Candidates that are not of the stack are on the target, or to be made anew. Whether there were any."""
        here = self.stack.keys()
        known = [(each, each.candidate) for each in landings if each.candidate and each.key not in here]
        landed = [(each, commit) for each, commit in known if self.works.history.contains(tip, commit)]
        if landed:
            self.pushing.landed([Landed(each.key, commit, each.note) for each, commit in landed], tip)
        anew = [each for each, commit in known if (each, commit) not in landed and self._is_to_be_made(each)]
        self.pushing.set_phases([replace(each, phase=Phase.QUEUED, onto=None, candidate=None) for each in anew])
        return bool(known)

    def _is_to_be_made(self, landing: Landing) -> bool:
        """Unless people have merged or closed its pull request."""
        match is_settled(self.works, landing):
            case Refused(detail=detail):
                self.pushing.back(landing, Fail(Reason.PUSH_REJECTED, detail))
            case Unreachable(detail=detail):
                self.pushing.put_off([landing], Phase.BLOCKED, detail)
            case settled:
                return not settled
        return False
