"""The lane: kept work is rebased, verified as exactly the tree that is pushed, and fast-forwarded.

`Lane.turn` is level-triggered, like the loop: it looks at what is in the store, at the target and at what verifications
have said, does all that can be done now, and returns. What follows from that is decided in `domain/train.py`. Every
step is stored before it is taken. An exit code is only a hint: what has landed is what the target's owner says its
branch contains, so a push that was reported failed but went through lands its tickets once, not twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, field, replace
from typing import assert_never

from ticketd.app.candidates import Candidate, Candidates, Leaks, NotMade, Unapproved
from ticketd.app.doubt import Doubt
from ticketd.app.proposals import Proposed, branch_of, publish
from ticketd.app.pushing import Confirmed, Pushing, Unclear, going_on
from ticketd.app.races import Races
from ticketd.app.reconciling import Reconciling
from ticketd.app.repairs import Conflicted, FailedCheck, Mishap, send_back
from ticketd.app.session import Works
from ticketd.app.stack import Stack
from ticketd.app.steps import StepAbandoned, StepRefused, is_unwanted
from ticketd.app.tracker import Tracker
from ticketd.app.verifications import Verifications
from ticketd.app.verifying import digest
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.landing import Landed, Landing, Phase
from ticketd.domain.pool import Stop
from ticketd.domain.settings import Argv, LandingMode, ReviewClaim, Settings
from ticketd.domain.ticket import Reason, TicketRecord
from ticketd.domain.train import (
    Abandon,
    Blame,
    Move,
    Push,
    Result,
    Verify,
    VerifyTarget,
    Wait,
    in_train_order,
    next_moves,
)
from ticketd.domain.verdict import Cancel, Fail, Requeue, is_due
from ticketd.errors import GitFailed
from ticketd.ports import Conflict, LostRace, NothingLeft, Pushed, Refused, Unreachable

MOST_UNVERIFIED = 16
APART_AFTER = 2  # refusals by the remote


@dataclass(slots=True)
class Lane:
    """`start` runs a verification beside the lane, which is to take another turn once it has ended."""

    works: Works
    tracker: Tracker
    start: InitVar[Callable[[Callable[[], None]], None]]
    candidates: Candidates = field(init=False)
    pushing: Pushing = field(init=False)
    races: Races = field(init=False)
    verifications: Verifications = field(init=False)
    doubt: Doubt = field(init=False)
    reconciling: Reconciling = field(init=False)
    stack: Stack = field(default_factory=Stack)
    _records: dict[str, TicketRecord] = field(default_factory=dict)
    _commands: str = ""
    _verifies: bool = False

    def __post_init__(self, start: Callable[[Callable[[], None]], None]) -> None:
        self.candidates = Candidates(self.works)
        self.pushing = Pushing(self.works, self.tracker)
        self.races = Races(self.works, self.tracker, self.candidates, self.pushing, self.stack)
        self.verifications = Verifications(self.works, self.stack, start)
        self.doubt = Doubt(self.works, self.stack, self.pushing, self.verifications)
        self.reconciling = Reconciling(self.works, self.stack, self.pushing)

    def turn(self) -> None:
        """All that can be done now without waiting for a verification.

        What git or the disk refuses here (no space, a damaged object) is put off like a remote that does not answer, so
        that it ends after the same patience.
        """
        try:
            while self._look():
                pass
        except Exception as error:
            here = list(self.stack.candidates)
            # Whoever stands in the stack is taken for not pushed yet, which only the target can tell now.
            self.stack.cut(0)
            if not isinstance(error, GitFailed | OSError):
                raise
            # As stored, not as it was when the step began: a candidate that may have been pushed is never forgotten.
            landings = self._stored(here) or self._due()
            self.pushing.put_off(landings, Phase.BLOCKED, str(error))

    def _look(self) -> bool:
        """Look at everything once and do what follows; whether to look again at once."""
        news = self._take_outcomes()
        pool = self.works.session.store.pool()
        landings = () if pool.stop is Stop.NOW or pool.alarm else self._due()
        self.stack.keep({each.key for each in landings})
        if not landings:
            self.stack.rest()
            return False
        self._take_in({each.key.ticket: self._read(each) for each in landings})
        own = any(record.ticket.verify for record in self._records.values())
        self._verifies = own or bool(self._settings.landing.verify)
        if self._send_back_cancelled(landings):
            return True
        tip = self._tip(landings, news)
        if isinstance(tip, Unreachable):
            self.pushing.put_off(landings, Phase.WAITING, tip.detail)
            return False
        if self.works.session.store.pool().alarm:  # the answer is that commits were taken off it
            return False
        if self.reconciling.end_waiting(landings) or self.reconciling.settle(landings, tip):
            return True
        if self.reconciling.arrived(tip) or self.races.follow(tip):
            return True
        if self.doubt.holds():
            return self.doubt.ask_again(landings)
        self._extend(landings, tip)
        return bool(self.stack.candidates) and self._move()

    def _take_in(self, records: dict[str, TicketRecord]) -> None:
        """The tickets as they are now. What other commands have said counts no more: neither of the settings before
        they were changed, nor of a ticket."""
        commands = digest(self._settings.landing.verify, self._settings)
        if self._commands not in ("", commands):
            self.stack.begin(self.stack.on)
            self.races.forget()
        known = ((ticket, self._records.get(ticket, record), record) for ticket, record in records.items())
        changed = {ticket for ticket, before, now in known if before.ticket.verify != now.ticket.verify}
        self.stack.keep({each.key for each in self.stack.candidates if each.key.ticket not in changed})
        self.races.forget(changed)
        self._commands, self._records = commands, records

    def _due(self) -> tuple[Landing, ...]:
        now = self.works.session.clock.now()
        lane = self.works.session.store.landings()
        self.candidates.keep({each.key for each in lane})
        return tuple(each for each in lane if not each.waits_for_people and is_due(each.not_before, now))

    def _tip(self, landings: Sequence[Landing], news: bool) -> str | Unreachable:
        """Asked for when something new begins, or may have been pushed already. In between the last answer will do, for
        a push goes through on top of that commit only."""
        known, here = self.tracker.known(), self.stack.keys()
        may_be_there = any(each.candidate and each.key not in here for each in landings)
        troubled = any(each.trouble_since is not None for each in landings)
        if known is None or known.sha is None or known.trouble or may_be_there or troubled or news or not here:
            return self.tracker.ask()
        return known.sha

    def _send_back_cancelled(self, landings: Sequence[Landing]) -> bool:
        """But not what may have been pushed: then the target is asked first."""
        here = self.stack.keys()
        safe = (each for each in landings if each.candidate is None or each.key in here)
        cancelled = [each for each in safe if self._record(each).cancel_requested]
        for each in cancelled:
            self._back(each, Cancel("cancelled before it landed; its work is kept"))
        return bool(cancelled)

    # --- the stack ---

    def _extend(self, landings: Sequence[Landing], tip: str) -> None:
        """Stack what has come in; not on a commit that the target has left."""
        here, (together, lanes) = self.stack.keys(), self._size()
        # What needs no verification any more is not put on top of what does.
        waiting = sorted(
            (each for each in landings if each.key not in here), key=lambda each: not self.races.has_credit(each)
        )
        if self.stack.on != tip or not waiting:
            return
        for at in self._order(waiting):
            if len(self.stack.candidates) >= together * lanes or self._is_alone(waiting[at]):
                return
            try:
                self._stack(waiting[at])
            except StepAbandoned:
                if is_unwanted(self.works, waiting[at].key):
                    return
                ended = "the command that makes its files was ended from outside"
                self.pushing.put_off([waiting[at]], Phase.BLOCKED, ended)
            except (GitFailed, OSError, StepRefused) as error:
                self.pushing.put_off([waiting[at]], Phase.BLOCKED, str(error))

    def _order(self, waiting: Sequence[Landing]) -> Sequence[int]:
        """Where one cannot be compared, in the order given: each by itself shows which one it is."""
        try:
            return in_train_order(self.candidates.paths(waiting)) if len(waiting) > 1 else (0,)
        except GitFailed:
            return range(len(waiting))

    def _is_alone(self, landing: Landing) -> bool:
        """Whether the stack ends here: one that was refused together with others has to show whom it is about."""
        apart = any(each.landing.refusals >= APART_AFTER for each in self.stack.candidates)
        return bool(self.stack.candidates) and (apart or landing.refusals >= APART_AFTER)

    def _size(self) -> tuple[int, int]:
        """How many are verified and pushed together, and how many such trains at once. Where there is nothing to
        verify, together is as good as one by one. A pull request is about one ticket."""
        landing = self._settings.landing
        if landing.mode is not LandingMode.PUSH:
            return 1, 1
        return (landing.train, landing.lanes) if self._verifies else (MOST_UNVERIFIED, 1)

    def _stack(self, landing: Landing) -> None:
        assert self.stack.on is not None and self.stack.top is not None
        record = self._record(landing)
        if self.stack.has_no_room_for(landing.key):
            return
        made = self.candidates.make(landing, record, self.stack.top)
        if isinstance(made, Conflict | NothingLeft | NotMade | Leaks) and self.stack.candidates:
            # It meets those below, who may never land: what counts is how it stands with the target.
            made = self.candidates.make(landing, record, self.stack.on)
            if isinstance(made, Candidate):
                self.stack.note_no_room(landing.key)
                return
        match made:
            case Candidate():
                self.stack.put(made)
                if self._steps(self.stack.candidates):
                    self.races.trust(made)
                else:
                    self.stack.of(made.commit).result = Result.PASSED
            case Unapproved(why=why):
                release = self._settings.review.claim is ReviewClaim.RELEASE
                self.works.session.store.ask_to_land(landing.key, why, release, self.works.session.clock.now())
            case NothingLeft():
                there = Landed(landing.key, self.stack.on, "all of its changes were on the target already")
                self.pushing.landed([there], self.stack.on)
            case NotMade(commit=commit, failed=failed):
                self._send_back(landing, record, FailedCheck(self.stack.on, commit, str(failed)))
            case Leaks(commit=commit, told=told):
                self._send_back(landing, record, FailedCheck(self.stack.on, commit, told))
            case Conflict(paths=paths, messages=messages):
                self._send_back(landing, record, Conflicted(self.stack.on, paths, messages))
            case _:
                assert_never(made)

    # --- what is decided ---

    def _move(self) -> bool:
        train = self.stack.as_train(self._settings.landing.reruns, self.works.session.clock.now())
        moves = next_moves(train, *self._size())
        assert moves or self.verifications.running, "the lane waits for nothing"
        done = [self._do(move) for move in moves]
        return any(done)

    def _do(self, move: Move) -> bool:
        """Whether something has come of it already."""
        match move:
            case Push(count):
                return self._push(self.stack.candidates[:count])
            case Verify(place):
                return self._verify(self.stack.candidates[: place + 1])
            case VerifyTarget():
                return self._begin(self.stack.on or "", (), self.stack.candidates[0].key)
            case Abandon(place):
                self.stack.abandon(self.stack.candidates[place].commit)
                return False
            case Blame():
                self._blame(self.stack.candidates[0])
                return True
            case Wait():
                return self._await_target()
            case _:
                assert_never(move)

    def _blame(self, candidate: Candidate) -> None:
        known, record = self.stack.of(candidate.commit), self._record(candidate.landing)
        if not known.begun:  # a command that is not there: another run of the agent would not mend that
            self._back(candidate.landing, Fail(Reason.VERIFY_FAILED, known.detail))
        else:
            mishap = FailedCheck(candidate.onto, candidate.commit, known.detail)
            self._send_back(candidate.landing, record, mishap)

    def _await_target(self) -> bool:
        """It fails by itself. One that has passed before will be mended; commands that never have need a person, and no
        agent can do anything about either."""
        on, settings = self.stack.on or "", self._settings
        trouble = f"{self._branch} itself fails verification at {on[:12]}: {self.stack.of(on).detail}"
        if self.works.session.store.has_passed(digest(settings.landing.verify, settings)):
            self.doubt.cast(self._due(), trouble)
            return False
        landing = self.stack.candidates[0].landing
        mend = f"`ticketd land {landing.key.ticket}` lands the kept work once that is mended"
        self._back(landing, Fail(Reason.VERIFY_FAILED, f"{trouble}; these commands have never passed here; {mend}"))
        return True

    # --- verifying ---

    def _steps(self, candidates: Sequence[Candidate]) -> tuple[Argv, ...]:
        """The project's commands, then those of each ticket that is in it."""
        own = (self._record(each.landing).ticket.verify for each in candidates)
        return (*self._settings.landing.verify, *dict.fromkeys(argv for argv in own if argv))

    def _verify(self, candidates: Sequence[Candidate]) -> bool:
        stored = {each.key: each.candidate for each in self._stored(candidates)}
        fresh = [each for each in candidates if stored[each.key] != each.commit]
        made = (replace(going_on(c.landing), onto=c.onto, candidate=c.commit) for c in fresh)
        self.pushing.set_phases([replace(each, phase=Phase.VERIFYING) for each in made])
        return self._begin(candidates[-1].commit, candidates, candidates[-1].key)

    def _begin(self, commit: str, of: Sequence[Candidate], by: AttemptKey) -> bool:
        return self.verifications.begin(commit, of, by, self._steps(of))

    def _take_outcomes(self) -> bool:
        """Whether there were any."""
        found = False
        while self.verifications.have_ended():  # one by one: the store may refuse what follows from the first
            found = True
            undecided = self.verifications.learn()
            if undecided is not None:
                keys = (*undecided.order.of, undecided.order.key)
                of = [each for each in self.stack.candidates if each.key in keys]
                # Of a target in doubt nobody stands in the stack, and all wait for it.
                self.pushing.put_off(self._stored(of) or self._due(), Phase.BLOCKED, undecided.trouble)
        return found

    # --- pushing ---

    def _push(self, candidates: Sequence[Candidate]) -> bool:
        on, known = self.stack.on, self.tracker.known()
        assert on is not None
        if known is not None and known.sha != on:
            self.races.passed_too_late(candidates)
            return True
        if (breach := self.candidates.breach(candidates)) is not None:
            self.pushing.breached(*breach, self._record(breach[0].landing))
            return True
        if self._settings.landing.mode is not LandingMode.PUSH:
            self.stack.cut(1)  # of a train that passed before the mode was another: by itself it has passed nothing
            if len(candidates) == 1:
                self._publish(candidates[0], on)
            return True
        match self.pushing.push([self.races.noted(each) for each in candidates], on):
            case Confirmed():
                self.stack.land(len(candidates))
                return True
            case Unclear(phase=phase, trouble=trouble):
                self.stack.cut(0)  # they may be on the target, below what others have pushed since
                self.pushing.put_off(self._stored(candidates), phase, trouble)
                return False
            case LostRace():
                if isinstance(self.tracker.ask(), Unreachable):
                    return False
                self.races.passed_too_late(candidates)
                return True
            case Refused(detail=detail):
                self.pushing.refused(self._stored(candidates), detail)
                return True

    def _publish(self, candidate: Candidate, on: str) -> None:
        """To a branch of its own, where people take it from."""
        intent = replace(going_on(candidate.landing), onto=candidate.onto, candidate=candidate.commit)
        intent = replace(intent, phase=Phase.PUSHING)
        self.pushing.set_phases([intent])
        self.stack.cut(0)
        match publish(self.works, intent, self._record(intent)):
            case Proposed():
                pass
            case Pushed():
                detail = f"pushed as branch {branch_of(intent.key.ticket)}, not to {self._branch}"
                self.pushing.landed([Landed(intent.key, candidate.commit, detail)], on)
            case Refused(detail=detail):
                self._back(intent, Fail(Reason.PUSH_REJECTED, detail))
            case Unreachable(detail=detail):
                self.pushing.put_off(self._stored([candidate]), Phase.BLOCKED, detail)

    # --- short words ---

    def _back(self, landing: Landing, verdict: Requeue | Fail | Cancel) -> None:
        self.pushing.back(landing, verdict)

    def _send_back(self, landing: Landing, record: TicketRecord, mishap: Mishap) -> None:
        self._back(landing, send_back(self.works, landing, record, mishap))

    def _stored(self, candidates: Sequence[Candidate]) -> list[Landing]:
        keys = {each.key for each in candidates}
        return [each for each in self.works.session.store.landings() if each.key in keys]

    def _record(self, landing: Landing) -> TicketRecord:
        """As it was at the last look."""
        return self._records.get(landing.key.ticket) or self._read(landing)

    def _read(self, landing: Landing) -> TicketRecord:
        record = self.works.session.store.ticket(landing.key.ticket)
        assert record is not None, landing.key
        return record

    @property
    def _settings(self) -> Settings:
        return self.works.settings()

    @property
    def _branch(self) -> str:
        return self.works.settings().target.name
