"""One attempt from dispatch to the verdict on its work: a worktree, an agent in it, and what it leaves."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ticketd import failpoints
from ticketd.app.brief import brief_of
from ticketd.app.environment import agent_environment
from ticketd.app.guard import Guard
from ticketd.app.leaks import redact_log
from ticketd.app.places import make_private
from ticketd.app.removal import remove_below
from ticketd.app.repairs import judge
from ticketd.app.sandbox import enclosed
from ticketd.app.session import Works
from ticketd.app.spending import Spending
from ticketd.app.steps import SetupFailed, StepAbandoned, StepRefused, exit_words, is_unwanted, make_ready, set_up
from ticketd.app.trees import Trees
from ticketd.domain.attempt import Attempt, AttemptKey, AttemptState
from ticketd.domain.budget import within_budget
from ticketd.domain.events import EventKind
from ticketd.domain.globs import matches
from ticketd.domain.report import NOTHING_REPORTED, Report
from ticketd.domain.settings import AgentProfile, Settings
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
    wants_word_to_run,
)
from ticketd.errors import BadInput, GitFailed, TicketdError
from ticketd.ports import AgentResult, Alive, Exited, Kept, LostRun, NeverStarted, NoCapacity, RunSpec, RunState, Task

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
            conflicts = self._ready(tree, attempt, self.works.settings())
            if self.works.is_stopping() or self._record(key).cancel_requested:
                raise StepAbandoned
            spec = self._spec(record, attempt, tree, conflicts)
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
        tree = self.trees.take(attempt.resumes or attempt.base, self._earlier_tree(attempt))
        try:
            self.works.session.store.set_worktree(attempt.key, tree)
        except Exception:
            self.trees.give_back(tree)
            raise
        return tree

    def _earlier_tree(self, attempt: Attempt) -> str | None:
        """Where the work lay that it goes on from: some agents find their session again only in the same directory."""
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
        match self.works.engine.settle(self.works.session.places.run_dir(key), self._mark(key)):
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
        finish, report = self._finish(attempt, self.works.engine.settle(self.works.session.places.run_dir(key)))
        if attempt.worktree is None:
            self._close(key, None, finish, report)
            return
        self.guard.ended(key)
        kept = self._keep(attempt, record)
        if kept is None:
            where = self.works.worktrees.path(attempt.worktree)
            detail = f"its work could not be kept as a commit; it stands in {where}"
            self._store_verdict(key, None, Fail(Reason.LOST, detail), report, True, self._learned(finish))
            self.trees.forget(attempt.worktree)
        else:
            finish = self._judged(attempt, record, kept, finish)
            self._close(key, kept, finish, report)
            self._hand_back(attempt.worktree, kept)
        self.works.bell.ring()

    def _hand_back(self, tree: str, kept: Kept) -> None:
        """To the pool; only once the store has the work, and never with a repository inside that no commit holds."""
        if not kept.is_whole:
            self.trees.forget(tree)
        else:
            self.trees.give_back(tree)

    def _judged(self, attempt: Attempt, record: TicketRecord, kept: Kept, finish: Finish) -> Finish:
        changed = self._own_changes(attempt, record, kept)
        unmended = judge(self.works, record, attempt, kept, changed) if finish.outcome == "done" else None
        told = replace(finish, changed=changed, nested=kept.nested, too_large=kept.too_large, unread=kept.unread)
        return replace(told, unmended=unmended)

    def _own_changes(self, attempt: Attempt, record: TicketRecord, kept: Kept) -> tuple[str, ...]:
        """What the attempt itself changed: an agent that rebased onto a newer target brings others' changes along, and
        one that gave up a merge has not even its own base's."""
        mends = attempt.mends is not None
        if not mends and all(matches(record.ticket.touches, path) for path in kept.changed):
            return kept.changed
        # As last seen, for agents see no newer one; asking a remote that stalls would keep the claim from being let go.
        known = self.works.session.store.target()
        tip = (known and known.sha) or attempt.base
        if tip == attempt.base and not mends:
            return kept.changed
        fork = self.works.history.fork_point(kept.tip, tip)
        return kept.changed if fork in (None, attempt.base) else self.works.history.changed(fork or "", kept.tip)

    def _close(self, key: AttemptKey, kept: Kept | None, finish: Finish, report: Report) -> None:
        record, settings = self._record(key), self.works.settings()
        verdict = after_attempt(record, finish, settings, self.works.session.clock.now())
        verdict = within_budget(verdict, record, report.cost_usd, settings)
        self._store_verdict(key, kept, verdict, report, bool(kept and not kept.is_whole), self._learned(finish))

    def _learned(self, finish: Finish) -> Capacity | None:
        settings = self.works.settings()
        slots = self.works.session.store.pool().slots or settings.slots
        return learned(finish, _profile(settings, finish.agent), settings, slots)

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

    def _finish(self, attempt: Attempt, state: RunState) -> tuple[Finish, Report]:
        how = attempt.outcome or "lost"
        if how != "exited" or not isinstance(state, Exited):
            finish = Finish(how, "failed", attempt.detail, agent=attempt.agent)
            report = Spending(self.works).report(attempt, AgentResult("failed"))
            return replace(finish, preempted=attempt.preempted, restarted=attempt.restarted), report
        profile = _profile(self.works.settings(), attempt.agent)
        log = self.works.session.places.log(attempt.key)
        home = self.works.session.places.agent_home(attempt.key.ticket, profile.name)
        result = self.works.agent_of(profile).read_result(state, log, home)
        detail = result.detail or attempt.detail
        return Finish(how, result.outcome, detail, agent=attempt.agent, until=result.until), Spending(
            self.works
        ).report(attempt, result)

    def _ready(self, tree: str, attempt: Attempt, settings: Settings) -> tuple[str, ...]:
        """Setup comes before a merge: it is made for files without conflict markers. The paths in conflict."""
        branch = f"ticketd/{attempt.key.ticket}/{attempt.key.number}"
        self.works.worktrees.leave_out(settings.worktrees.copy)  # a clone is given a copy of what is left out
        make_ready(self.works, tree, attempt.resumes or attempt.base, branch, settings)
        path = self.works.worktrees.path(tree)
        copy_files(self.works.session.root, path, settings.worktrees.copy)
        set_up(self.works, tree, attempt.key, settings, lambda: is_unwanted(self.works, attempt.key))
        return self.works.worktrees.begin_merge(tree, attempt.merges) if attempt.merges else ()

    def _spec(self, record: TicketRecord, attempt: Attempt, tree: str, conflicts: Sequence[str]) -> RunSpec:
        places, key, settings = self.works.session.places, attempt.key, self.works.settings()
        profile = settings.agents.get(attempt.agent)
        if profile is None:
            raise BadInput(f"the agent profile `{attempt.agent}` has gone from ticketd.toml")
        run_dir = places.run_dir(key)
        make_private(run_dir)
        failpoints.hit("run/directory")
        brief = places.brief(key)
        for told in (places.notes(key), brief):
            told.touch(mode=0o600)
        brief.write_text(brief_of(self.works, record, attempt, conflicts), encoding="utf-8", errors="replace")
        failpoints.hit("run/brief")
        log = places.log(key)
        make_private(log.parent)
        env = agent_environment(self.works, record.ticket, attempt, profile)
        home = places.agent_home(record.id, profile.name)
        launch = self.works.agent_of(profile).launch(Task(profile, brief, home, own_home=True, environ=env))
        return RunSpec(
            run_dir=run_dir,
            argv=enclosed(self.works, settings, tree, launch.argv, brief, places.notes(key)),
            cwd=self.works.worktrees.path(tree),
            env={**env, **launch.env},
            stdin=brief,
            log=log,
            timeout_s=settings.timeout_of(record.ticket),
            grace_s=settings.limits.grace_s,
            mark=self._mark(key),
            doorbell=self.works.doorbell,
        )

    def _mark(self, key: AttemptKey) -> str:
        return f"{self.works.session.places.state.name}/{key}"

    def _give_up(self, key: AttemptKey, record: TicketRecord, error: Exception) -> None:
        """The agent was never begun: not the ticket's fault, unless its worktree can never be made ready. A merge that
        never comes about is no way to mend anything."""
        now, attempt = self.works.session.clock.now(), self._attempt(key)
        tree = attempt.worktree
        if isinstance(error, SetupFailed) and record.deferrals >= 2:
            self._store_verdict(key, None, Fail(Reason.AGENT_FAILED, str(error)), NOTHING_REPORTED)
        elif attempt.merges and record.deferrals >= 2:
            verdict = after_failure(record, self.works.settings(), Reason.CONFLICT, str(error))
            self._store_verdict(key, None, verdict, NOTHING_REPORTED)
        else:
            verdict = Requeue(str(error), deferred=True, not_before=now + backoff(record.deferrals + 1))
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


def _profile(settings: Settings, name: str) -> AgentProfile:
    """One that has gone from ticketd.toml meanwhile still has an exit code that counts."""
    return settings.agents.get(name, AgentProfile(name))


def copy_files(root: Path, tree: Path, names: tuple[str, ...]) -> None:
    """Give a worktree untracked files of the checkout. Never written through a link that a tree may hold."""
    for name in names:
        source = root / name
        if not source.is_file():
            continue
        destination = tree / name
        if any(parent.is_symlink() for parent in destination.parents if tree in parent.parents):
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.is_dir() and not destination.is_symlink():
            shutil.rmtree(destination)
        elif not destination.is_file() or destination.is_symlink():  # an earlier agent's, which git does not mind
            destination.unlink(missing_ok=True)
        shutil.copyfile(source, destination)
        destination.chmod(stat.S_IMODE(source.stat().st_mode))
