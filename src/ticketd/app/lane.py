"""The landing lane: fetch, rebase, verify exactly that tree, fast-forward; one ticket at a time.

Every step is stored before it is taken. An exit code is only a hint: what has landed is what the target's owner says
its branch contains, so a push that was reported failed but went through lands its ticket once, not twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ticketd.app.session import Works
from ticketd.app.steps import SetupFailed, StepAbandoned, StepRefused, make_ready, run_steps, set_up
from ticketd.app.tracker import Tracker
from ticketd.domain.landing import Landing, Phase
from ticketd.domain.settings import ReviewClaim
from ticketd.domain.ticket import Reason, TicketRecord
from ticketd.domain.verdict import Cancel, Fail, Requeue, after_failure, backoff, is_due, why_review
from ticketd.errors import GitFailed
from ticketd.ports import Conflict, LostRace, NothingLeft, Pushed, Rebased, Refused, Unreachable

LANE_TREE = "lane"
RACES_BEFORE_BACKOFF = 10
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Lane:
    works: Works
    tracker: Tracker

    def next(self) -> Landing | None:
        """The oldest landing whose time has come."""
        now = self.works.session.clock.now()
        due = [each for each in self.works.session.store.landings() if is_due(each.not_before, now)]
        return due[0] if due else None

    def land(self, landing: Landing) -> None:
        """Take one landing as far as it goes: landed, sent back, or waiting for the remote.

        What git or the disk refuses here (no space, a damaged object) is put off like a remote that does not answer,
        so that it holds up no other ticket and ends after the same patience.
        """
        following: Landing | None = landing
        while following is not None:
            following = self._try(following)

    def _try(self, landing: Landing) -> Landing | None:
        try:
            return self._go(landing)
        except StepAbandoned:
            return self._abandoned(landing)
        except (GitFailed, OSError, StepRefused) as error:
            # As stored, not as it was when the step began: a candidate that may have been pushed is never forgotten.
            stored = self._stored(landing)
            return self._wait(stored, Phase.BLOCKED, str(error)) if stored else None

    def _go(self, landing: Landing) -> Landing | None:
        """One race for the target: the landing to try again with at once, or None when it is settled or waits."""
        if landing.candidate is None and (cancel := self._cancelled(landing)):
            return self._back(landing, cancel)
        tip = self.tracker.ask()
        if isinstance(tip, Unreachable):
            return self._wait(landing, Phase.WAITING, tip.detail)
        if landing.candidate and self.works.history.contains(tip, landing.candidate):
            return self._landed(landing, landing.candidate)
        if cancel := self._cancelled(landing):
            return self._back(landing, cancel)
        return self._rebase(landing, tip)

    def _rebase(self, landing: Landing, tip: str) -> Landing | None:
        record = self._record(landing)
        since = None if landing.phase is Phase.WAITING else landing.trouble_since
        landing = self._phase(replace(landing, phase=Phase.REBASING, onto=tip, candidate=None, trouble_since=since))
        trailers = (("Ticket", landing.key.ticket), ("Ticket-Attempt", str(landing.key.number)))
        match self.works.history.rebase(landing.base, landing.tip, tip, trailers):
            case Conflict(paths=paths):
                detail = f"conflicts with {self._branch()} in {', '.join(paths)}"
                return self._back(landing, after_failure(record, self.works.settings(), Reason.CONFLICT, detail))
            case NothingLeft():
                return self._landed(landing, tip, "all of its changes were on the target already")
            case Rebased(tip=candidate):
                if why := self._why_not_approved(landing, record, tip, candidate):
                    return self._ask_to_land(landing, why)
                return self._verify_and_push(replace(landing, candidate=candidate), record)

    def _why_not_approved(self, landing: Landing, record: TicketRecord, onto: str, candidate: str) -> str:
        """What is judged is what would be pushed, by the settings as they are now. A person approves an attempt's
        tip: rebased it is the same patch, so a target that moves voids nothing."""
        if record.approved == landing.tip:
            return ""
        settings = self.works.settings()
        changed = self.works.history.changed(onto, candidate) if settings.review.protect.patterns else ()
        why = why_review(record, changed, settings)
        return f"{why}; approved was {record.approved[:12]}, not this" if why and record.approved else why

    def _ask_to_land(self, landing: Landing, why: str) -> Landing | None:
        release = self.works.settings().review.claim is ReviewClaim.RELEASE
        self.works.session.store.ask_to_land(landing.key, why, release, self.works.session.clock.now())
        return None

    def _verify_and_push(self, landing: Landing, record: TicketRecord) -> Landing | None:
        assert landing.candidate is not None
        self.works.history.keep(f"refs/candidate/{landing.key.ticket}", landing.candidate)
        if failure := self._verify(self._phase(replace(landing, phase=Phase.VERIFYING)), record):
            return self._back(landing, failure)
        if self._cancelled(landing) or self.works.is_stopping():
            raise StepAbandoned
        return self._push(self._phase(replace(landing, phase=Phase.PUSHING)))

    def _abandoned(self, landing: Landing) -> Landing | None:
        """Its verification was ended, by a person or with the daemon: that says nothing about the work."""
        stored = self._stored(landing)
        if stored is None or self.works.is_stopping():
            return None
        if cancel := self._cancelled(stored):
            return self._back(stored, cancel)
        return self._wait(stored, Phase.BLOCKED, "its verification was ended from outside")

    def _verify(self, landing: Landing, record: TicketRecord) -> Requeue | Fail | None:
        settings = self.works.settings()
        steps = (*settings.landing.verify, *((record.ticket.verify,) if record.ticket.verify else ()))
        if not steps:
            return None
        assert landing.candidate is not None
        make_ready(self.works, LANE_TREE, landing.candidate, None, settings)
        try:
            set_up(self.works, LANE_TREE, landing.key, settings)
        except SetupFailed as error:
            return after_failure(record, settings, Reason.VERIFY_FAILED, str(error))
        tree = self.works.worktrees.path(LANE_TREE)
        timeout_s = settings.landing.verify_timeout_s
        failed = run_steps(self.works, steps, "verify", landing.key, tree, timeout_s)
        if failed is None:
            return None
        if not failed.begun:  # a command that is not there: another run of the agent would not mend that
            return Fail(Reason.VERIFY_FAILED, str(failed))
        return after_failure(record, settings, Reason.VERIFY_FAILED, str(failed))

    def _push(self, landing: Landing) -> Landing | None:
        assert landing.candidate is not None and landing.onto is not None
        with self.tracker.alone():
            answer = self.works.target.push(landing.candidate, landing.onto)
            tip = self.works.target.tip()
            if isinstance(tip, Unreachable):
                return self._wait(landing, Phase.WAITING, tip.detail)
            if self.works.history.contains(tip, landing.candidate):
                return self._landed(landing, landing.candidate, tip=tip)
        match answer:
            case Refused(detail=detail):
                return self._back(landing, Fail(Reason.PUSH_REJECTED, detail))
            case Unreachable(detail=detail):
                return self._wait(landing, Phase.BLOCKED, detail)
            case LostRace(detail=detail) if tip == landing.onto:
                return self._wait(landing, Phase.BLOCKED, detail or "the push was refused though nobody was faster")
            case Pushed() if tip == landing.onto:
                return self._wait(landing, Phase.BLOCKED, "the push went well but did not move the target")
            case LostRace() | Pushed():
                return self._lost_race(landing)

    def _lost_race(self, landing: Landing) -> Landing | None:
        again = replace(landing, phase=Phase.QUEUED, races_lost=landing.races_lost + 1, trouble_since=None)
        if again.races_lost % RACES_BEFORE_BACKOFF:
            return self._phase(again)
        pause = backoff(again.races_lost // RACES_BEFORE_BACKOFF)
        self._phase(replace(again, not_before=self.works.session.clock.now() + pause))
        return None

    def _landed(self, landing: Landing, commit: str, detail: str = "", tip: str | None = None) -> Landing | None:
        with self.tracker.alone():
            target = self.tracker.record(tip or self._known_tip())
            self.works.session.store.land(landing.key, commit, target, detail, self.works.session.clock.now())
        self.works.history.drop(f"refs/candidate/{landing.key.ticket}")
        return None

    def _known_tip(self) -> str | None:
        target = self.works.session.store.target()
        return target.sha if target else None

    def _back(self, landing: Landing, verdict: Requeue | Fail | Cancel) -> Landing | None:
        self.works.session.store.landing_failed(landing.key, verdict, self.works.session.clock.now())
        self.works.history.drop(f"refs/candidate/{landing.key.ticket}")
        return None

    def _wait(self, landing: Landing, phase: Phase, trouble: str) -> Landing | None:
        """Something outside gives no usable answer: nobody's fault, so the ticket stays in the lane, but not for ever.

        What it may have pushed stays with it, so that it is never landed a second time.
        """
        now = self.works.session.clock.now()
        since = landing.trouble_since or now
        if now - since > self.works.settings().landing.patience_s:
            detail = f"{trouble}; `ticketd retry {landing.key.ticket}` lands the kept work once that is mended"
            return self._back(landing, Fail(Reason.PUSH_REJECTED, detail))
        not_before = now + min(backoff(1 + int((now - since) // 10)), LONGEST_PAUSE_S)
        self._phase(replace(landing, phase=phase, trouble=trouble, trouble_since=since, not_before=not_before))
        return None

    def _phase(self, landing: Landing) -> Landing:
        if landing.phase not in (Phase.WAITING, Phase.BLOCKED, Phase.QUEUED):
            landing = replace(landing, trouble="", not_before=None)
        self.works.session.store.set_phase(landing, self.works.session.clock.now())
        return landing

    def _cancelled(self, landing: Landing) -> Cancel | None:
        asked = self._record(landing).cancel_requested
        return Cancel("cancelled before it landed; its work is kept") if asked else None

    def _stored(self, landing: Landing) -> Landing | None:
        return next((each for each in self.works.session.store.landings() if each.key == landing.key), None)

    def _record(self, landing: Landing) -> TicketRecord:
        record = self.works.session.store.ticket(landing.key.ticket)
        assert record is not None, landing.key
        return record

    def _branch(self) -> str:
        target = self.works.settings().target
        return f"{target.remote}/{target.branch}" if target.remote else target.branch
