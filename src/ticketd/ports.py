"""What ticketd needs of the world, on one screen a port. Adapters satisfy these; nothing above names an adapter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ticketd.domain.attempt import Attempt, AttemptKey, Drift
from ticketd.domain.claims import Claim
from ticketd.domain.events import Event, EventKind
from ticketd.domain.globs import PatternSet
from ticketd.domain.landing import Landing
from ticketd.domain.pool import DaemonRecord, Pool, Stop, TargetRecord
from ticketd.domain.schedule import Start
from ticketd.domain.settings import AgentProfile, Settings
from ticketd.domain.settingsfile import ParsedSettings
from ticketd.domain.ticket import Priority, TicketRecord, TicketState
from ticketd.domain.ticketfile import Parsed
from ticketd.domain.verdict import Cancel, Fail, Requeue, Verdict

# --- time and waking ------------------------------------------------------------------------------------------------


class Clock(Protocol):
    def now(self) -> float:
        """Epoch seconds."""

    def monotonic(self) -> float: ...


class Bell(Protocol):
    """The doorbell: says "look again", never what has happened."""

    def ring(self) -> None: ...

    def wait(self, timeout_s: float | None) -> bool:
        """Until rung or timed out; True if rung. Rings that came before are answered at once, all together."""


# --- processes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One supervised process. `run_dir` is where it leaves its records; `mark` goes into its environment."""

    run_dir: Path
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    stdin: Path | None
    log: Path
    timeout_s: float | None
    grace_s: float = 5.0
    mark: str = ""
    doorbell: Path | None = None
    die_with_parent: bool = False
    log_limit: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Pulse:
    """A sign of life. Times are epoch seconds."""

    at: float
    log_bytes: int
    log_at: float | None
    cpu_s: float | None
    rss_bytes: int | None


@dataclass(frozen=True, slots=True)
class Alive:
    pid: int
    started_at: float
    pulse: Pulse | None


@dataclass(frozen=True, slots=True)
class Exited:
    """`reason`: exited, timeout, ended (asked to), log-limit or spawn-failed. `stragglers`: what it had left alive."""

    code: int | None
    signal: int | None
    reason: str
    detail: str
    started_at: float | None
    ended_at: float
    cpu_s: float | None
    max_rss_bytes: int | None
    stragglers: int


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """Nothing ran and nothing will."""


@dataclass(frozen=True, slots=True)
class LostRun:
    """It began, its supervisor is gone, and no exit was recorded."""

    detail: str


RunState = Alive | Exited | NeverStarted | LostRun


class Engine(Protocol):
    name: str

    def start(self, spec: RunSpec) -> Alive | Exited:
        """Returns once the process is under way (or over, or could not be begun)."""

    def look(self, run_dir: Path) -> RunState: ...

    def settle(self, run_dir: Path) -> RunState:
        """After a crash: like `look`, but a run that has not begun never will, and what a lost one left is ended."""

    def end(self, run_dir: Path, grace_s: float) -> None:
        """Asks for the end of the whole process tree; returns at once."""

    def wait(self, run_dir: Path, timeout_s: float | None) -> RunState:
        """Blocks until the run is over."""


# --- agents ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgentResult:
    """What an agent's run came to: `done`, `later` (rate limit, overload) or `failed`."""

    outcome: str
    detail: str = ""
    cost_usd: float | None = None


class Agent(Protocol):
    """One agent CLI."""

    def argv(self, profile: AgentProfile) -> tuple[str, ...]: ...

    def read_result(self, exited: Exited, log: Path) -> AgentResult: ...


# --- git ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a commit is by."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An attempt's work, safe under its ref. `changed`: paths that differ from the base. `nested`: repositories
    inside, whose content no commit holds."""

    tip: str
    changed: tuple[str, ...]
    nested: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rebased:
    """`commits` are the new ones, oldest first; `flattened`: merges were folded into one commit."""

    tip: str
    commits: tuple[str, ...]
    flattened: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """`paths` could not be merged; `commit` is the one that met them."""

    paths: tuple[str, ...]
    commit: str


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """All that the commits do is on the target already."""


@dataclass(frozen=True, slots=True)
class Pushed:
    pass


@dataclass(frozen=True, slots=True)
class LostRace:
    """The target has moved; begin again from the fetch."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The remote will not take it, however often it is tried (hook declined, protected branch)."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The remote did not answer as it should; nothing is known. Ask it before trying again."""

    detail: str


class Target(Protocol):
    """The branch that work lands on: a remote's, or the local one where there is no remote."""

    def tip(self) -> str | Unreachable:
        """The branch's commit as its owner says now, its objects brought into the control repository."""

    def push(self, candidate: str, onto: str) -> Pushed | LostRace | Refused | Unreachable:
        """Fast-forward from `onto` to `candidate`, or not at all. The answer is a hint: `tip` knows."""


class History(Protocol):
    """Questions about commits, and commits made without a working tree; all in the control repository."""

    def contains(self, tip: str, commit: str) -> bool:
        """Whether `commit` is an ancestor of (or is) `tip`."""

    def count(self, base: str, tip: str) -> int:
        """How many commits `tip` has that `base` has not."""

    def changed(self, base: str, tip: str) -> tuple[str, ...]:
        """Paths that differ between two commits."""

    def fork_point(self, tip: str, target: str) -> str | None:
        """The newest commit that both have; None if they share none."""

    def rebase(
        self, base: str, tip: str, onto: str, trailers: Sequence[tuple[str, str]]
    ) -> Rebased | Conflict | NothingLeft: ...

    def tree(self, commit: str) -> str: ...

    def read_ref(self, ref: str) -> str | None: ...

    def keep(self, ref: str, commit: str) -> None: ...

    def drop(self, ref: str) -> None: ...


class Worktrees(Protocol):
    """The pool of worktrees, linked to the control repository. A name is `1`, `2`, … or `lane`."""

    def path(self, name: str) -> Path: ...

    def prepare(self, name: str, commit: str, branch: str | None, keep_ignored: bool) -> bool:
        """The tree at exactly `commit` and clean; made if it is not there or broken. Whether it was made.

        Call only when its work is kept.
        """

    def leave_out(self, names: Sequence[str]) -> None:
        """Untracked files of these names are no work of any attempt."""

    def keep(self, name: str, key: AttemptKey, base: str, message: str, by: Identity) -> Kept:
        """Commit what is uncommitted (without the tree's own index), and point the attempt's ref at it all."""

    def trial(self, name: str, base: str, onto: str) -> tuple[Drift, tuple[str, ...]]:
        """What a rebase of the tree as it stands would meet, and where; the tree is not touched."""

    def sweep(self, known: Iterable[str]) -> tuple[str, ...]:
        """After a crash: mend half-made trees and stale locks. What was mended, in words."""


# --- ticket files and the store -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A ticket file as read. `stamp` changes whenever its content may have."""

    stamp: str
    parsed: Parsed


class TicketFiles(Protocol):
    """The ticket files and `ticketd.toml` of the user's checkout."""

    def stamps(self) -> Mapping[str, str]:
        """Path (relative to the root) to stamp, of every file under `tickets/` that ends in `.md`."""

    def read(self, path: str, stamp: str, settings: Settings) -> FoundFile: ...

    def settings(self) -> ParsedSettings:
        """What `ticketd.toml` says; the defaults where there is none."""

    def last_good_settings(self) -> Settings | None:
        """What `ticketd.toml` said when it last had no error."""


@dataclass(frozen=True, slots=True)
class Board:
    """All of the session that a screen or a decision needs, read at one moment."""

    tickets: Mapping[str, TicketRecord]
    attempts: tuple[Attempt, ...]
    claims: tuple[Claim, ...]
    landings: tuple[Landing, ...]
    pool: Pool
    daemon: DaemonRecord | None
    target: TargetRecord | None
    cost_usd: float


class Store(Protocol):
    """Where all commands meet. Each write is one transaction that holds the change and its event."""

    # reading
    def board(self) -> Board:
        """`attempts` are the live ones only."""

    def target(self) -> TargetRecord | None: ...

    def live_attempts(self) -> tuple[Attempt, ...]: ...

    def ticket(self, id_: str) -> TicketRecord | None: ...

    def attempts(self, ticket: str) -> tuple[Attempt, ...]: ...

    def attempt(self, key: AttemptKey) -> Attempt | None: ...

    def events(self, after: int = 0, ticket: str | None = None, limit: int = 1000) -> tuple[Event, ...]: ...

    def moves(self) -> int:
        """The number of the newest event that may change who can run; see `events.NO_MOVES`."""

    def landings(self) -> tuple[Landing, ...]:
        """What is in the lane, oldest first."""

    def pool(self) -> Pool: ...

    def files(self) -> Mapping[str, FoundFile]:
        """By path, as last read."""

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

    def skip(self, ticket: str, because: str, at: float) -> None: ...

    def approve(self, ticket: str, at: float) -> TicketState: ...

    def reject(self, ticket: str, reason: str, at: float) -> None: ...

    def pause(self, why: str, at: float) -> None: ...

    def resume(self, at: float) -> None: ...

    def set_slots(self, slots: int | None, at: float) -> None: ...

    def ask_stop(self, stop: Stop, at: float) -> None: ...

    # the daemon's own
    def daemon_started(self, record: DaemonRecord) -> None: ...

    def daemon_stopped(self, at: float) -> None: ...

    def set_target(self, target: TargetRecord, at: float) -> None: ...

    # attempts
    def dispatch(
        self, start: Start, record: TicketRecord, base: str, agent: str, shared: PatternSet, at: float
    ) -> AttemptKey | str:
        """Check and claim in one transaction: the new attempt, or why it may not start after all."""

    def attempt_started(self, key: AttemptKey, worktree: str, pid: int, at: float) -> None: ...

    def set_worktree(self, key: AttemptKey, worktree: str) -> None: ...

    def attempt_over(self, key: AttemptKey, exit_code: int | None, outcome: str, detail: str, at: float) -> None:
        """The process is gone: the slot is free, the work is yet to be kept."""

    def pulse(self, pulses: Mapping[AttemptKey, Pulse]) -> None: ...

    def set_drift(self, key: AttemptKey, behind: int, drift: Drift, paths: Sequence[str], at: float) -> None: ...

    def close_attempt(
        self, key: AttemptKey, kept: Kept | None, verdict: Verdict, cost_usd: float | None, at: float, *, retire: bool
    ) -> None:
        """The work is kept and the verdict known: the ticket goes on to landing, review, the queue or its end.

        `retire`: its worktree holds what no commit does, and leaves the pool for good.
        """

    # landing
    def set_phase(self, landing: Landing, at: float) -> None: ...

    def land(self, key: AttemptKey, commit: str, target: TargetRecord, detail: str, at: float) -> None:
        """The claim is released and the target moves in the same transaction."""

    def landing_failed(self, key: AttemptKey, verdict: Requeue | Fail | Cancel, at: float) -> None: ...

    # worktrees
    def worktree_setups(self) -> Mapping[str, str]:
        """Each worktree of the pool and what its setup was last made of."""

    def worktree_names(self) -> frozenset[str]:
        """All there have ever been, retired ones too: a name is not used twice."""

    def set_worktree_setup(self, name: str, setup_of: str) -> None: ...

    def note(self, kind: EventKind, at: float, key: AttemptKey | None = None, **data: object) -> None: ...
