"""One attempt from dispatch to the verdict on its work: a worktree, an agent in it, and what it leaves."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from ticketd.app.collecting import finish_of, judged, profile_of
from ticketd.app.guard import Guard
from ticketd.app.launching import MergeFailed, mark_of, ready, spec_of
from ticketd.app.leaks import redact_log
from ticketd.app.removal import remove_below
from ticketd.app.session import Works
from ticketd.app.sessions import own_tree
from ticketd.app.steps import SetupFailed, StepAbandoned, StepRefused, exit_words
from ticketd.app.trees import Trees
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.budget import within_budget
from ticketd.domain.events import EventKind
from ticketd.domain.report import NOTHING_REPORTED, Report
from ticketd.domain.throttle import Capacity, learned
from ticketd.domain.ticket import Reason, TicketRecord
from ticketd.domain.verdict import (
    Fail,
    Finish,
    Requeue,
    Verdict,
    after_attempt,
    after_failure,
    backoff,
    has_fallback,
    wants_word_to_run,
)
from ticketd.errors import GitFailed, TicketdError
from ticketd.ports import Alive, Exited, Kept, LostRun, NeverStarted, NoCapacity, RunState

KEEP_PATIENCE_S = 600.0
"""A disk without room passes, and nobody waits for the slot: it is free already."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Launches and collects attempts. Every method may block on git and setup; none runs on the daemon's loop.

    `_unkept_since`: since when this daemon tries to keep what an attempt left, on the clock that nobody sets.
    """

    works: Works
    trees: Trees
    guard: Guard
    _unkept_since: dict[AttemptKey, float] = field(default_factory=dict)

    def launch(self, key: AttemptKey) -> None:
        """Ready a worktree at the attempt's base and start the agent in it."""
        attempt, record = self.works.session.store.attempt(key), self._record(key)
        if attempt is None or attempt.state is not AttemptState.PREPARING:
            return  # a refused start is no attempt any more
        if self.works.session.places.run_dir(key).exists():
            self._take_up(attempt)
            return
        try:
            if wants_word_to_run(record, self.works.settings()):  # edited since a person approved it
                raise StepAbandoned
            self.guard.begins(key)
            tree = attempt.worktree or self._take_tree(attempt)
            conflicts = ready(self.works, tree, attempt, self.works.settings())
            if self.works.is_stopping() or self._record(key).cancel_requested:
                raise StepAbandoned
            spec = spec_of(self.works, record, attempt, tree, conflicts)
        except StepAbandoned:
            self.over(key, NeverStarted())
            return
        except StepRefused as refusal:
            self._refused(attempt, tree, str(refusal))
            return
        except (TicketdError, OSError) as error:
            self._give_up(key, record, error)
            return
        # Not in the try: if this fails the agent may run all the same, and the next look at its run directory tells.
        match self.works.engine.start(spec):
            case NoCapacity(detail):
                self._refused(attempt, tree, detail)
            case state:
                self._begun(key, tree, state)
        self.works.bell.ring()

    def _refused(self, attempt: Attempt, tree: str, detail: str) -> None:
        """As if it had never been dispatched. Its number will be given again, so first all that goes by that number
        goes: should the daemon be killed in between, the attempt is launched anew."""
        run_dir = self.works.session.places.run_dir(attempt.key)
        with suppress(OSError):
            remove_below(run_dir.parent, run_dir.name)
        self.works.worktrees.leave(tree, attempt.base)
        self.works.session.store.start_refused(attempt.key, detail, self.works.session.clock.now())
        self.trees.give_back(tree, attempt.base)

    def _take_tree(self, attempt: Attempt) -> str:
        tree = self.trees.take(
            attempt.resumes or attempt.base, self._earlier_tree(attempt), own_tree(self.works, attempt)
        )
        try:
            self.works.session.store.set_worktree(attempt.key, tree)
        except Exception:
            self.trees.give_back(tree)
            raise
        return tree

    def _earlier_tree(self, attempt: Attempt) -> str | None:
        """Where the work lay that it goes on from."""
        if attempt.resumes is None:
            return None
        trees = [each.worktree for each in self.works.session.store.attempts(attempt.key.ticket) if each.worktree]
        return trees[-1] if trees else None

    def _take_up(self, attempt: Attempt) -> None:
        """An earlier daemon died while it launched this one: take it as it is, or see to it that it never begins."""
        state = self.works.engine.settle(self.works.session.places.run_dir(attempt.key))
        self._begun(attempt.key, attempt.worktree or "", state)

    def _begun(self, key: AttemptKey, tree: str, state: RunState) -> None:
        match state:
            case Alive(pid=pid, started_at=at):
                self.works.session.store.attempt_started(key, tree, pid, at)
            case LostRun(left=left) if left:
                self.works.session.store.held_up(key, f"cannot be ended: {left}")
            case Exited() | LostRun() | NeverStarted():
                self.over(key, state)

    def lost(self, key: AttemptKey) -> None:
        """Its supervisor is gone without a word. The slot is free once nothing of the run is left, not before: the next
        look asks again."""
        match self.works.engine.settle(self.works.session.places.run_dir(key), mark_of(self.works, key)):
            case Alive():
                pass
            case LostRun(left=left) if left:
                self.works.session.store.held_up(key, f"cannot be ended: {left}")
            case Exited() | LostRun() | NeverStarted() as state:
                self.over(key, state)

    def over(self, key: AttemptKey, state: Exited | LostRun | NeverStarted) -> None:
        """Note that the process is gone, which frees the slot; the work is kept afterwards."""
        now = self.works.session.clock.now()
        match state:
            case Exited(code=code, reason=reason, detail=detail):
                self.works.session.store.attempt_over(key, code, reason, detail or exit_words(state), now)
            case LostRun(detail=detail, with_machine=with_machine):
                how = "lost-with-machine" if with_machine else "lost"
                self.works.session.store.attempt_over(key, None, how, detail, now)
            case NeverStarted():
                self.works.session.store.attempt_over(key, None, "never-started", "it had not begun", now)

    def collect(self, key: AttemptKey) -> None:
        """Keep what the attempt left, decide what follows, and give the worktree back to the pool."""
        attempt, record = self._attempt(key), self._record(key)
        if attempt.state is not AttemptState.COLLECTING:
            return
        redact_log(self.works.session.secrets(), self.works.session.places.log(key))
        state = self.works.engine.settle(self.works.session.places.run_dir(key))
        finish, report = finish_of(self.works, attempt, state)
        if attempt.worktree is None:
            self._close(key, None, finish, report)
            return
        self.guard.ended(key)
        kept = self._keep(attempt, record)
        if kept is None:
            where = self.works.worktrees.path(attempt.worktree)
            detail = f"its work could not be kept as a commit; it stands in {where}"
            self._store_verdict(key, None, Fail(Reason.LOST, detail), report, True, self._learned(record, finish))
            self.trees.forget(attempt.worktree)
        else:
            finish = judged(self.works, attempt, record, kept, finish)
            self._close(key, kept, finish, report)
            self._hand_back(attempt.worktree, kept)
        self.works.bell.ring()

    def _hand_back(self, tree: str, kept: Kept) -> None:
        """To the pool; only once the store has the work, and never with a repository inside that no commit holds."""
        if not kept.is_whole:
            self.trees.forget(tree)
        else:
            self.trees.give_back(tree)

    def _close(self, key: AttemptKey, kept: Kept | None, finish: Finish, report: Report) -> None:
        record, settings = self._record(key), self.works.settings()
        verdict = after_attempt(record, finish, settings, self.works.session.clock.now())
        verdict = within_budget(verdict, record, report.cost_usd, settings)
        self._store_verdict(key, kept, verdict, report, bool(kept and not kept.is_whole), self._learned(record, finish))

    def _learned(self, record: TicketRecord, finish: Finish) -> Capacity | None:
        settings = self.works.settings()
        slots = self.works.session.store.pool().slots or settings.slots
        profile = profile_of(settings, finish.agent)
        return learned(finish, profile, settings, slots, has_fallback(record, finish.agent, settings))

    def _store_verdict(
        self,
        key: AttemptKey,
        kept: Kept | None,
        verdict: Verdict,
        report: Report,
        retire: bool = False,
        capacity: Capacity | None = None,
    ) -> None:
        now = self.works.session.clock.now()
        self.works.session.store.close_attempt(key, kept, verdict, report, now, retire=retire, capacity=capacity)
        with suppress(OSError):  # what is kept clear does it later
            self.works.engine.forget(self.works.session.places.run_dir(key))

    def _keep(self, attempt: Attempt, record: TicketRecord) -> Kept | None:
        """None if it has been tried for long enough.

        Raises:
            GitFailed, OSError: not now; the chore is taken up again.
        """
        assert attempt.worktree is not None
        message = f"{record.ticket.title}\n\nWhat the agent left uncommitted."
        largest = self.works.settings().limits.largest_file
        try:
            return self.works.worktrees.keep(
                attempt.worktree, attempt.key, attempt.base, message, self.works.identity, largest
            )
        except (GitFailed, OSError) as error:
            clock = self.works.session.clock
            self.works.session.store.note(EventKind.RECOVERED, clock.now(), attempt.key, keep_failed=str(error))
            since = self._unkept_since.setdefault(attempt.key, clock.monotonic())
            if clock.monotonic() - since < KEEP_PATIENCE_S:
                raise
            return None

    def _give_up(self, key: AttemptKey, record: TicketRecord, error: Exception) -> None:
        """The agent was never begun: not the ticket's fault, unless its worktree can never be made ready. A merge that
        never comes about is no way to mend anything."""
        now, tree = self.works.session.clock.now(), self._attempt(key).worktree
        why = "; ".join(line.strip() for line in str(error).splitlines())
        verdict: Verdict = Requeue(why, deferred=True, not_before=now + backoff(record.deferrals + 1))
        if isinstance(error, SetupFailed) and record.deferrals >= 2:
            verdict = Fail(Reason.AGENT_FAILED, why)
        elif isinstance(error, MergeFailed) and record.deferrals >= 2:
            verdict = after_failure(record, self.works.settings(), Reason.CONFLICT, why)
        self._store_verdict(key, None, verdict, NOTHING_REPORTED)
        if tree is not None:
            self.trees.give_back(tree)
        self.works.bell.ring()

    def _attempt(self, key: AttemptKey) -> Attempt:
        attempt = self.works.session.store.attempt(key)
        assert attempt is not None, key
        return attempt

    def _record(self, key: AttemptKey) -> TicketRecord:
        record = self.works.session.store.ticket(key.ticket)
        assert record is not None, key
        return record
