"""Races for the target, and what work that has passed is worth once others were faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ticketd.app.candidates import Candidate, Candidates
from ticketd.app.pushing import Pushing
from ticketd.app.session import Works
from ticketd.app.stack import Stack
from ticketd.app.tracker import Tracker
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.landing import Landing, Phase
from ticketd.domain.ticket import Reason
from ticketd.domain.train import Result, meets
from ticketd.domain.verdict import Fail, backoff

RACES_BEFORE_BACKOFF = 10
MOST_RACES = 8
"""How often work that has passed may meet commits of others in its own files before a person is asked."""


@dataclass(slots=True)
class Races:
    """Remembers, as long as the daemon runs, who has passed together with whom."""

    works: Works
    tracker: Tracker
    candidates: Candidates
    pushing: Pushing
    stack: Stack
    _passed_with: dict[AttemptKey, tuple[AttemptKey, ...]] = field(default_factory=dict)

    def forget(self, tickets: set[str] | None = None) -> None:
        """What has passed together with one of these counts no more; None: whatever has passed."""
        stays = {
            together
            for together in self._passed_with.values()
            if tickets is not None and all(each.ticket not in tickets for each in together)
        }
        self._passed_with = {key: together for key, together in self._passed_with.items() if together in stays}

    def follow(self, tip: str) -> bool:
        """Others have moved the target. A stack on which verifications were spent begins again on it, but only so
        often: after that it is brought to a verdict where it stands. Whether anything was lost."""
        spent = self.stack.spent()
        if tip == self.stack.on or (spent and spent[0].landing.races_lost >= self.works.settings().landing.reverify):
            return False
        self._lose(spent, None)
        self.stack.begin(tip)
        return bool(spent)

    def _lose(self, candidates: Sequence[Candidate], passed_on: str | None) -> None:
        """`passed_on`: the target's commit that they have passed on."""
        lost = []
        for each in candidates:
            races = each.landing.races_lost + 1
            pause = None if races % RACES_BEFORE_BACKOFF else backoff(races // RACES_BEFORE_BACKOFF)
            not_before = None if pause is None else self.works.session.clock.now() + pause
            again = replace(each.landing, phase=Phase.QUEUED, onto=None, candidate=None, trouble_since=None)
            passed = passed_on or each.landing.passed_on
            lost.append(replace(again, races_lost=races, passed_on=passed, not_before=not_before))
        self.pushing.set_phases(lost)

    def has_credit(self, landing: Landing) -> bool:
        """Whether it has passed, on a target that has moved too often since to verify it once more."""
        return landing.passed_on is not None and landing.races_lost > self.works.settings().landing.reverify

    def trust(self, candidate: Candidate) -> None:
        """It has passed on a target that has moved since, too often to begin again, and what has moved is none of its
        files: then it has passed. Verified again and again it would never land."""
        train = self._as_it_passed(candidate)
        if not train or candidate.landing.passed_on is None or not self.has_credit(train[0].landing):
            return
        if not self._is_met(train, candidate.landing.passed_on):
            self.stack.of(candidate.commit).result = Result.PASSED
            for each in train:
                self.stack.of(each.commit).trusted = True

    def _as_it_passed(self, candidate: Candidate) -> list[Candidate]:
        """The candidates that it has passed with, if they stand below it again, and below them none but trusted ones.
        What has passed together says nothing of its parts: one may pass only because another is there."""
        together = self._passed_with.get(candidate.key, ())
        at = len(self.stack.candidates) - len(together)
        train = self.stack.candidates[max(0, at) :]
        below = (self.stack.of(each.commit) for each in self.stack.candidates[: max(0, at)])
        same = tuple(each.key for each in train) == together
        return train if same and all(known.trusted for known in below) else []

    def _is_met(self, train: Sequence[Candidate], passed_on: str) -> bool:
        """Whether anything that has come below them since touches a file of theirs, by its old name or its new one."""
        pairs = [(passed_on, train[0].onto), *((each.onto, each.commit) for each in train)]
        moved, *made = self.works.history.changed_in(pairs)
        return meets(moved, frozenset().union(*made, *self.candidates.paths([each.landing for each in train])))

    def noted(self, candidate: Candidate) -> Candidate:
        """With what is to be said of one that lands on trust."""
        if not self.stack.of(candidate.commit).trusted:
            return candidate
        on = (candidate.landing.passed_on or "")[:12]
        return replace(candidate, note=f"verified on {on}; what others have landed since touches none of its files")

    def passed_too_late(self, candidates: Sequence[Candidate]) -> None:
        """They have passed where the target is no more. To be stacked anew, with what they have passed remembered."""
        above = self.stack.spent()[len(candidates) :]
        verified = not self.stack.of(candidates[-1].commit).trusted
        if verified:
            together = tuple(each.key for each in candidates)
            self._passed_with |= dict.fromkeys(together, together)
        self._lose(candidates, self.stack.on if verified else None)
        self._lose(above, None)
        if verified:
            self._give_up([each.landing for each in candidates])
        self.stack.cut(0)

    def _give_up(self, landings: Sequence[Landing]) -> None:
        """Of those whose own files others have changed once more, the ones that this has happened to too often."""
        most, known = self.works.settings().landing.reverify + MOST_RACES, self.tracker.known()
        weary = [each for each in landings if each.races_lost >= most]
        if not weary or known is None or known.sha is None or self.stack.on is None:
            return
        (moved,) = self.works.history.changed_in([(self.stack.on, known.sha)])
        for landing, own in zip(weary, self.candidates.paths(weary), strict=True):
            if meets(moved, own):
                detail = f"it has passed, but {self.works.settings().target.name} moved in its files each time"
                mend = f"`ticketd land {landing.key.ticket}` lands the kept work when that is quiet"
                self.pushing.back(landing, Fail(Reason.PUSH_REJECTED, f"{detail}; {mend}"))
