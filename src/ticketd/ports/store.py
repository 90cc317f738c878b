"""The ticket files, and the store where all commands meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ticketd.domain.attempt import Attempt, AttemptKey, Drift, EndedFor
from ticketd.domain.budget import DaySpent
from ticketd.domain.claims import Claim
from ticketd.domain.estimates import Estimates, Sample
from ticketd.domain.events import Event, EventKind
from ticketd.domain.globs import PatternSet
from ticketd.domain.landing import Landed, Landing, Verification
from ticketd.domain.lint import Outline
from ticketd.domain.pool import DaemonRecord, Pool, Stop, TargetRecord
from ticketd.domain.problems import Problem
from ticketd.domain.recovery import Records
from ticketd.domain.report import Report
from ticketd.domain.review import Stale
from ticketd.domain.scheduler.schedule import Start
from ticketd.domain.settings import Settings
from ticketd.domain.settingsfile import ParsedSettings
from ticketd.domain.spending import Bill
from ticketd.domain.throttle import Capacity, Throttle
from ticketd.domain.ticket import Priority, Ticket, TicketRecord, TicketState
from ticketd.domain.ticketfile import Parsed
from ticketd.domain.verdict import Cancel, Fail, Requeue, Verdict
from ticketd.domain.widening import Collision
from ticketd.ports.processes import Pulse
from ticketd.ports.repository import Kept


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A ticket file as read. `stamp` changes whenever its content may have."""

    stamp: str
    parsed: Parsed


@dataclass(frozen=True, slots=True)
class InTheWay:
    """`ticket` holds a claim that overlaps on `path`."""

    ticket: str
    path: str


class TicketFiles(Protocol):
    """The ticket files and `ticketd.toml` of the user's checkout."""

    def is_there(self) -> bool:
        """Whether the checkout is; where it is not, no ticket is known to be gone."""

    def stamps(self) -> Mapping[str, str]:
        """Path (relative to the root) to stamp, of every file under `tickets/` that ends in `.md`."""

    def read(self, path: str, stamp: str, settings: Settings) -> FoundFile: ...

    def settings(self) -> ParsedSettings:
        """What `ticketd.toml` says; the defaults where there never was one."""

    def last_good_settings(self) -> Settings | None:
        """What `ticketd.toml` said when it last had no error."""

    def template(self, path: str) -> str:
        """The text of the file that `[brief] template` names.

        Raises:
            BadInput: it cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Board:
    """All of the session that a screen or a decision needs, read at one moment. Tickets are without their bodies.

    `spent`: on the newest day on which any attempt ended that has cost something. `newest`: the number of the newest
    event. `changed`: ids of the tickets that may differ from the board that this one was brought up from; None if all
    were read.
    """

    tickets: dict[str, TicketRecord]
    attempts: tuple[Attempt, ...]
    claims: tuple[Claim, ...]
    landings: tuple[Landing, ...]
    pool: Pool
    daemon: DaemonRecord | None
    target: TargetRecord | None
    cost_usd: float
    collisions: tuple[Collision, ...] = ()
    throttles: Mapping[str, Throttle] = field(default_factory=dict)
    estimates: Estimates = field(default_factory=Estimates)
    spent: DaySpent = field(default_factory=DaySpent)
    newest: int = 0
    changed: frozenset[str] | None = None

    @property
    def lane(self) -> tuple[Landing, ...]:
        """The landings that ticketd brings on; the others wait for people."""
        return tuple(landing for landing in self.landings if not landing.waits_for_people)


class Store(Protocol):
    """Where all commands meet. Each write is one transaction that holds the change and its event."""

    # reading
    def board(self, known: Board | None = None) -> Board:
        """`attempts` are the live ones only. Given `known`, only tickets that have events since are read, and put among
        its own: of 100,000 no copy is made, and `known` is used up."""

    def newest(self) -> int:
        """The number of the newest event."""

    def target(self) -> TargetRecord | None: ...

    def live_attempts(self) -> tuple[Attempt, ...]: ...

    def ticket(self, id_: str) -> TicketRecord | None:
        """With its body."""

    def attempts(self, ticket: str) -> tuple[Attempt, ...]: ...

    def attempts_to_go_on_with(self) -> tuple[Attempt, ...]:
        """All attempts of each ticket whose work is in the lane, waits to be gone on with, or is about to be: by an
        attempt that has no worktree yet. By ticket, oldest first."""

    def attempt(self, key: AttemptKey) -> Attempt | None: ...

    def events(self, after: int = 0, ticket: str | None = None, limit: int = 1000) -> tuple[Event, ...]: ...

    def moves(self) -> int:
        """The number of the newest event that may change who can run; see `events.NO_MOVES`."""

    def samples(self, limit: int) -> tuple[Sample, ...]:
        """Attempts that have landed, the newest first; at most `limit`."""

    def estimates(self) -> Estimates:
        """What is learned from those; learned anew only after another has landed."""

    def spent(self) -> DaySpent:
        """As the board tells it."""

    def bills(self, since: float, now: float) -> tuple[Bill, ...]:
        """Of the attempts that ended since then (epoch seconds), and of those under way as of `now`; the oldest
        first."""

    def landings(self) -> tuple[Landing, ...]:
        """What is in the lane, oldest first."""

    def collisions(self) -> tuple[Collision, ...]:
        """Paths that one attempt has written and another's claim covers, as long as both claims are held."""

    def claims(self) -> tuple[Claim, ...]:
        """Those that are held, by ticket."""

    def has_queued(self) -> bool:
        """Whether any ticket waits in the queue, startable or not."""

    def pool(self) -> Pool: ...

    def stamps(self) -> Mapping[str, str]:
        """Of every ticket file, by path, as last read."""

    def files_read(self) -> int:
        """The number of the event with which ticket files were last saved; 0 if none were."""

    def file(self, path: str) -> FoundFile | None:
        """As last read."""

    def outlines(self) -> Sequence[Outline]:
        """Of every ticket file, by path, as last read."""

    def file_problems(self) -> Sequence[Problem]:
        """All that single files are faulted for, by path."""

    def landed(self) -> frozenset[str]:
        """Ids of the tickets that have landed."""

    # ticket files
    def save_files(self, found: Sequence[FoundFile], gone: Sequence[str], at: float) -> bool:
        """New and changed tickets enter the queue; those whose file is gone leave it. Whether anything changed."""

    # what a person asks
    def hold(self, ticket: str, held: bool, at: float) -> None: ...

    def bump(self, ticket: str, priority: Priority, at: float) -> None: ...

    def cancel(self, ticket: str, at: float) -> TicketState:
        """Queued: at once. Running: asked for; the daemon ends the agent and keeps its work."""

    def retry(self, ticket: str, at: float) -> TicketState:
        """Back to the queue; to the lane where only the push was refused."""

    def ask_to_start(self, ticket: str, at: float) -> None:
        """Into review, before it runs."""

    def note_shown(self, ticket: str, commit: str, at: float) -> None:
        """A person has seen this commit (before it runs: `review.digest_of` the ticket); a word that names no commit
        is about it."""

    def skip(self, ticket: str, because: str, at: float) -> None: ...

    def approve(self, ticket: str, at: float, commit: str | None = None) -> TicketState | Stale:
        """Let it run, or let exactly this commit land: the one named, else the one shown last, else what is there."""

    def reject(self, ticket: str, reason: str, at: float) -> None: ...

    def pause(self, why: str, at: float) -> None: ...

    def resume(self, at: float) -> None:
        """No pause, no alarm and no throttle: a person says that all may be tried again."""

    def set_short(self, why: str, at: float, kept: Sequence[str] = ()) -> None:
        """Why nothing is started until there is room on the disk again; empty: there is. `kept`: what could not go,
        and why."""

    def set_slots(self, slots: int | None, at: float) -> None: ...

    def ask_stop(self, stop: Stop, at: float) -> None: ...

    # the daemon's own
    def daemon_started(self, record: DaemonRecord) -> None: ...

    def daemon_stopped(self, at: float) -> None: ...

    def set_target(self, target: TargetRecord, at: float) -> None: ...

    # attempts
    def dispatch(
        self, start: Start, record: TicketRecord, base: str, shared: PatternSet, at: float, batch: int = 0
    ) -> AttemptKey | str:
        """Check and claim in one transaction: the new attempt, or why it may not start after all. `batch`: a number
        that all starts of one tick share."""

    def start_refused(self, key: AttemptKey, detail: str, at: float) -> None:
        """There was no capacity to start it: as if it had never been dispatched, but for the profile's backoff."""

    # What is said of an attempt that is past that point, or no more, changes nothing.
    def preempt(self, key: AttemptKey, for_ticket: str, at: float) -> None:
        """Ask for the end of a running attempt, so that another ticket can have its slot."""

    def restart(self, key: AttemptKey, onto: str, paths: Sequence[str], at: float) -> None:
        """Ask for the end of a running attempt, so that its ticket begins anew on `onto`, which it conflicts with."""

    def end_for(self, key: AttemptKey, ended_for: EndedFor, why: str, at: float) -> None:
        """Ask for the end of a running attempt for good; `why` in words."""

    def attempt_started(self, key: AttemptKey, worktree: str, pid: int, at: float) -> None: ...

    def set_worktree(self, key: AttemptKey, worktree: str) -> None: ...

    def attempt_over(self, key: AttemptKey, exit_code: int | None, outcome: str, detail: str, at: float) -> None:
        """The process is gone: the slot is free, the work is yet to be kept."""

    def pulse(self, pulses: Mapping[AttemptKey, Pulse]) -> None: ...

    def seen_to_cost(self, spent: Mapping[AttemptKey, float]) -> None:
        """What attempts under way have cost so far, in USD: a sign of life, without an event."""

    def held_up(self, key: AttemptKey, why: str) -> None:
        """Why a run that is over does not free its slot."""

    def set_drift(self, key: AttemptKey, behind: int, drift: Drift, paths: Sequence[str], at: float) -> None: ...

    def extend_claim(self, key: AttemptKey, paths: Sequence[str], at: float) -> None:
        """What the attempt has really written joins its claim; what another claim covers is a collision. Each is told
        once."""

    def close_attempt(
        self,
        key: AttemptKey,
        kept: Kept | None,
        verdict: Verdict,
        report: Report,
        at: float,
        *,
        retire: bool,
        capacity: Capacity | None = None,
    ) -> None:
        """The work is kept and the verdict known: the ticket goes on to landing, review, the queue or its end.

        `retire`: its worktree holds what no commit does, and leaves the pool for good. `capacity`: what its end says
        of the account that it ran on.
        """

    # landing
    def set_phases(self, landings: Sequence[Landing], at: float) -> None: ...

    def land(self, landed: Sequence[Landed], target: TargetRecord, at: float) -> None:
        """The claims are released and the target moves in the same transaction."""

    def verification(self, tree: str, commands: str) -> Verification | None:
        """What these commands (a digest of them) have last said of this tree. What failed is forgotten when a person
        has a ticket tried again."""

    def has_passed(self, commands: str) -> bool:
        """Whether these commands have passed on any tree at all."""

    def forget_failures(self) -> None:
        """Verifications that have failed may run again."""

    def note_verification(
        self,
        tree: str,
        commands: tuple[str, str],
        said: Verification,
        of: Sequence[AttemptKey],
        seconds: float,
        at: float,
    ) -> None:
        """`commands`: all that have run, and those among them that have passed too where all have. `of`: the attempts
        whose work the tree holds beside the target's, the topmost last; none: the target's own. Passed after it has
        failed: it is told as flaky."""

    def back_up(self, at: float) -> None:
        """A copy beside it, unless nothing has happened since the last one; of what was written though the file may be
        gone."""

    def raise_alarm(self, why: str, at: float, key: AttemptKey | None = None) -> None:
        """Nothing lands until a person has looked and says `resume`."""

    def landed_as(self) -> Mapping[str, str]:
        """Each landed ticket, and the commit that it landed as."""

    def take_off(self, details: Mapping[str, str], why: str, at: float) -> None:
        """These have landed, and the target has them no longer: an alarm, and for each a word of what was done."""

    def landing_failed(self, key: AttemptKey, verdict: Requeue | Fail | Cancel, at: float) -> None: ...

    def ask_to_land(self, key: AttemptKey, detail: str, release: bool, at: float) -> None:
        """Out of the lane and into review. `release`: its claim is not held meanwhile."""

    # what a person brings into the lane
    def land_ahead(self, ticket: str, at: float, commit: str | None = None) -> TicketState | Stale | InTheWay:
        """To the front of the lane: what is in it, what waits for a person's word (given by this, as by `approve`),
        or kept work of a ticket that was given up. The state that it was in before.

        Raises:
            BadInput: there is nothing of it to land.
        """

    def enter(self, ticket: Ticket, base: str, tip: str, by: str, shared: PatternSet, at: float) -> bool:
        """A new ticket with work that no agent has made, straight into the lane; False if its id is taken. `by`: what
        stands for the agent."""

    # what there should be in the world
    def records(self) -> Records:
        """All attempts and worktrees that there have ever been."""

    def over(self) -> frozenset[str]:
        """Ids of the tickets that have landed or were cancelled, and have no attempt under way."""

    def landed_at(self) -> Mapping[str, float]:
        """When each ticket that has landed did (epoch seconds)."""

    # worktrees
    def worktree_setups(self) -> Mapping[str, str]:
        """Each worktree of the pool and what its setup was last made of."""

    def worktree_names(self) -> frozenset[str]:
        """All there have ever been, retired ones too: a name is not used twice."""

    def add_worktree(self, name: str) -> None:
        """Known before it is made, so that what is left of it after a crash is found."""

    def set_worktree_setup(self, name: str, setup_of: str) -> None: ...

    def note(self, kind: EventKind, at: float, key: AttemptKey | None = None, **data: object) -> None: ...
