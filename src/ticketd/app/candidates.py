"""From kept work to a candidate: rebased in memory onto what it is to stand on, approved, and only what it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ticketd.app.leaks import leak
from ticketd.app.session import Works
from ticketd.app.steps import StepFailed, is_unwanted, make_ready, run_steps
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.events import EventKind
from ticketd.domain.globs import PatternSet, matches
from ticketd.domain.landing import Landing
from ticketd.domain.merging import MergeRules
from ticketd.domain.repair import RepairKind
from ticketd.domain.settings import Settings
from ticketd.domain.ticket import TicketRecord
from ticketd.domain.verdict import why_review
from ticketd.ports import Conflict, NothingLeft, Rebased

TREE = "regenerate"
"""The worktree in which files are made anew."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The work of one attempt as `commit` on top of `onto`. `note`: what is to be said when it has landed."""

    landing: Landing
    onto: str
    commit: str
    note: str = ""

    @property
    def key(self) -> AttemptKey:
        return self.landing.key


@dataclass(frozen=True, slots=True)
class Unapproved:
    """A person must look at it before it lands; `why` says so."""

    why: str


@dataclass(frozen=True, slots=True)
class NotMade:
    """A command of `[[landing.regenerate]]` did not end well on the rebased tree, which is that of `commit`."""

    commit: str
    failed: StepFailed


@dataclass(frozen=True, slots=True)
class Leaks:
    """`commit` or one before it holds a secret, as `told` says: pushed once, it is known for good."""

    commit: str
    told: str


def rules_of(settings: Settings) -> MergeRules:
    """What may be done where a rebase would stop."""
    regenerate = either(rule.paths for rule in settings.landing.regenerate)
    return MergeRules(union=settings.claims.shared, regenerate=regenerate)


def either(sets: Iterable[PatternSet]) -> PatternSet:
    return PatternSet(tuple(pattern for each in sets for pattern in each.patterns))


@dataclass(slots=True)
class Candidates:
    """Makes them, and knows what each attempt in the lane has changed."""

    works: Works
    _paths: dict[AttemptKey, frozenset[str]] = field(default_factory=dict)

    def paths(self, landings: Sequence[Landing]) -> list[frozenset[str]]:
        """What each has changed of its base, in the same order."""
        self._compare(landings, ())
        return [self._paths[each.key] for each in landings]

    def _compare(self, landings: Sequence[Landing], pairs: Sequence[tuple[str, str]]) -> tuple[frozenset[str], ...]:
        """The paths that differ in each of `pairs`; and what is not known yet of the landings', in the same process."""
        unknown = [each for each in landings if each.key not in self._paths]
        found = self.works.history.changed_in([*pairs, *((each.base, each.tip) for each in unknown)])
        self._paths.update(zip((each.key for each in unknown), found[len(pairs) :], strict=True))
        return found[: len(pairs)]

    def keep(self, here: set[AttemptKey]) -> None:
        """Forget those that have left the lane, by whatever way."""
        self._paths = {key: paths for key, paths in self._paths.items() if key in here}

    def make(
        self, landing: Landing, record: TicketRecord, onto: str
    ) -> Candidate | Unapproved | NotMade | Leaks | Conflict | NothingLeft:
        """Rebase its work onto `onto`. What a person approves is the attempt's tip: rebased it is the same patch, so a
        target that moves voids nothing. What is judged is what would be pushed, by the settings as they are now.

        Raises:
            StepAbandoned: what has to be made anew was not, for the ticket is cancelled or all stops.
            StepRefused: nor was there room to make it.
        """
        trailers = (("Ticket", landing.key.ticket), ("Ticket-Attempt", str(landing.key.number)))
        rules, fold = rules_of(self.works.settings()), self._holds_what_failed(landing)
        made = self.works.history.rebase(landing.base, landing.tip, onto, trailers, rules, fold)
        if mixed := self._is_mixed(landing, onto, made):
            made = self.works.history.rebase(landing.base, landing.tip, onto, trailers, rules, fold=True)
        if not isinstance(made, Rebased):
            return made
        commit = self._regenerated(landing, made)
        if isinstance(commit, NotMade):
            return commit
        if made.regenerate and self.works.history.tree(commit) == self.works.history.tree(onto):
            return NothingLeft()
        if told := leak(self.works, onto, commit):
            return Leaks(commit, told)
        if why := self._why_not_approved(landing, record, onto, commit):
            return Unapproved(why)
        if (made.flattened or mixed) and landing.candidate is None:
            self._tell_flattened(landing, mixed)
        return Candidate(landing, onto, commit)

    def _holds_what_failed(self, landing: Landing) -> bool:
        """One that mends what failed has that below it: as a commit of its own it would break the target, if only until
        the next."""
        attempt = self.works.session.store.attempt(landing.key)
        return attempt is not None and attempt.mends is RepairKind.VERIFY

    def _is_mixed(self, landing: Landing, onto: str, made: Rebased | Conflict | NothingLeft) -> bool:
        """A commit of another's that lies in between may be anything, and nobody verifies it here."""
        if not isinstance(made, Rebased) or len(made.commits) < 2:
            return False
        return self.works.history.is_mixed(landing.base, landing.tip, onto, landing.key.ticket)

    def _regenerated(self, landing: Landing, made: Rebased) -> str | NotMade:
        """The candidate with those files that its commands make, made anew in a tree of all the others."""
        if not made.regenerate:
            return made.tip
        settings, key, tree = self.works.settings(), landing.key, self.works.worktrees.path(TREE)
        rules = [
            rule for rule in settings.landing.regenerate if any(matches(rule.paths, path) for path in made.regenerate)
        ]
        make_ready(self.works, TREE, made.tip, None, settings)
        timeout_s, commands = settings.landing.verify_timeout_s, [rule.run for rule in rules]
        failed = run_steps(
            self.works, commands, "regenerate", key, tree, timeout_s, lambda: is_unwanted(self.works, key)
        )
        if failed is not None:
            return NotMade(made.tip, failed)
        return self.works.worktrees.amend(TREE, made.tip, either(rule.paths for rule in rules))

    def _why_not_approved(self, landing: Landing, record: TicketRecord, onto: str, commit: str) -> str:
        if record.approved == landing.tip:
            return ""
        settings = self.works.settings()
        changed = self.works.history.changed(onto, commit) if settings.review.protect.patterns else ()
        why = why_review(record, changed, settings)
        return f"{why}; approved was {record.approved[:12]}, not this" if why and record.approved else why

    def _tell_flattened(self, landing: Landing, mixed: bool) -> None:
        clock = self.works.session.clock
        self.works.session.store.note(EventKind.FLATTENED, clock.now(), landing.key, tip=landing.tip, mixed=mixed)

    def breach(self, candidates: Sequence[Candidate]) -> tuple[Candidate, tuple[str, ...]] | None:
        """The first that changes a file which its ticket has not changed, with those files; a file that the target has
        renamed meanwhile is the same file. Asked before the push of the very commits that would land: a merge queue
        that took a wrong base undid others' work in 658 repositories, unnoticed for hours (GitHub, 2026-04-23)."""
        made = rules_of(self.works.settings()).regenerate
        landings = [each.landing for each in candidates]
        landed = self._compare(landings, [(each.onto, each.commit) for each in candidates])
        for candidate, own, paths in zip(candidates, self.paths(landings), landed, strict=True):
            foreign = frozenset(path for path in paths - own if not matches(made, path))
            if foreign:
                foreign -= self._renamed(candidate, own)
            if foreign:
                return candidate, tuple(sorted(foreign))
        return None

    def _renamed(self, candidate: Candidate, own: frozenset[str]) -> frozenset[str]:
        """New names, on the way from its base to what it stands on, of files that it has changed."""
        moved = self.works.history.renamed(candidate.landing.base, candidate.onto)
        return frozenset(new for old, new in moved if old in own)
