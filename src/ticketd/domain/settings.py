"""`ticketd.toml` as values. Durations are seconds; an empty `remote` means the local branch is the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ticketd.domain.globs import NOTHING, PatternSet
from ticketd.domain.pricelist import KNOWN
from ticketd.domain.prices import Price, PriceList
from ticketd.domain.secrets import is_telling
from ticketd.domain.ticket import Gate, Priority, Size, Ticket

Argv = tuple[str, ...]


class Outside(StrEnum):
    """What becomes of an attempt that wrote outside its declared patterns."""

    EXTEND = "extend"
    WARN = "warn"
    FAIL = "fail"


class Backfill(StrEnum):
    """May a lower-ranked ticket pass a waiting one that it overlaps? `ESTIMATE`: if it is expected to be out of the way
    before the other could start."""

    STRICT = "strict"
    ESTIMATE = "estimate"


class Preempt(StrEnum):
    """Whether an attempt may be ended so that a critical ticket can run."""

    OFF = "off"
    CRITICAL = "critical"


class Shadow(StrEnum):
    """A policy that runs beside the live one, to see where it would decide otherwise."""

    OFF = "off"
    STRICT = "strict"
    ESTIMATE = "estimate"


class ReviewClaim(StrEnum):
    """Whether a ticket keeps its files while it waits for a person before it lands."""

    HOLD = "hold"
    RELEASE = "release"


class LandingMode(StrEnum):
    """What is done with verified work: pushed to the target; proposed to its forge as a pull request; or left as a
    branch of the remote."""

    PUSH = "push"
    PR = "pr"
    BRANCH = "branch"


class ForgeName(StrEnum):
    """The program by which pull requests are opened. `AUTO`: what the remote's host and the installed ones suggest."""

    AUTO = "auto"
    GH = "gh"
    GLAB = "glab"


class OnConflict(StrEnum):
    """What becomes of an attempt whose work would conflict with the target as it is now."""

    CONTINUE = "continue"
    NOTIFY = "notify"
    RESTART = "restart"


class Isolation(StrEnum):
    """What the tree of a slot is: a worktree linked to the control repository, or a clone that borrows its objects."""

    WORKTREE = "worktree"
    CLONE = "clone"


class SandboxMode(StrEnum):
    """Whether what agents write runs in a sandbox. `AUTO`: where bubblewrap works."""

    OFF = "off"
    BUBBLEWRAP = "bubblewrap"
    AUTO = "auto"


class SandboxHome(StrEnum):
    """What is seen as the home directory in the sandbox: one of each slot's own; the person's; or that, but not to be
    written."""

    PRIVATE = "private"
    SHARED = "shared"
    READ_ONLY = "read-only"


@dataclass(frozen=True, slots=True)
class TargetSettings:
    remote: str = "origin"
    branch: str = "main"
    poll_s: float = 10.0

    @property
    def name(self) -> str:
        """What people call it: `origin/main`, or `main` where there is no remote."""
        return f"{self.remote}/{self.branch}" if self.remote else self.branch


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """`aging_s`: a ticket that has waited this long ranks one priority higher, up to `high`; None: never."""

    backfill: Backfill = Backfill.STRICT
    preempt: Preempt = Preempt.OFF
    aging_s: float | None = 14400.0
    fair_share: bool = False
    shadow: Shadow = Shadow.OFF


@dataclass(frozen=True, slots=True)
class ReviewSettings:
    """`protect`: a ticket whose work touches these lands only after a person's word."""

    claim: ReviewClaim = ReviewClaim.HOLD
    protect: PatternSet = NOTHING


@dataclass(frozen=True, slots=True)
class Regenerate:
    """Files that `run` makes out of others: where two sides have changed them they are made anew, not merged."""

    paths: PatternSet
    run: Argv


@dataclass(frozen=True, slots=True)
class LandingSettings:
    """`memo`: what a verification has said of a tree counts for that tree. `reruns`: how often one that failed is run
    again on the same tree. `train`: how many candidates are verified and pushed together at most; `lanes`: how many
    verifications run side by side. `reverify`: how often work that has passed is verified anew because others moved the
    target meanwhile. `repairs`: how often an agent is given its own work back to mend it."""

    mode: LandingMode = LandingMode.PUSH
    forge: ForgeName = ForgeName.AUTO
    verify: tuple[Argv, ...] = ()
    verify_timeout_s: float = 1800.0
    patience_s: float = 600.0
    memo: bool = True
    reruns: int = 1
    train: int = 1
    lanes: int = 1
    reverify: int = 1
    repairs: int = 2
    regenerate: tuple[Regenerate, ...] = ()


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """`restart_within_s`: with `restart`, an attempt that has run for longer is told instead of ended."""

    on_conflict: OnConflict = OnConflict.NOTIFY
    restart_within_s: float = 120.0


@dataclass(frozen=True, slots=True)
class ClaimsSettings:
    outside: Outside = Outside.EXTEND
    shared: PatternSet = NOTHING


@dataclass(frozen=True, slots=True)
class WorktreeSettings:
    """`isolation` None: clones where the sandbox is on, else worktrees."""

    isolation: Isolation | None = None
    setup: tuple[Argv, ...] = ()
    setup_inputs: tuple[str, ...] = ()
    setup_timeout_s: float = 1800.0
    copy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """`read`, `write`: what is seen besides, absolute or from the home directory (`~/`)."""

    mode: SandboxMode = SandboxMode.OFF
    home: SandboxHome = SandboxHome.PRIVATE
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


class AgentHome(StrEnum):
    """Where an agent keeps its configuration and sessions: below the state directory, for each ticket; or where the
    person's are. `AUTO`: its own where the profile's environment has a key for it, else the person's, for a login is
    there."""

    AUTO = "auto"
    OWN = "own"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """`command`: of the preset `command`; of any other, what is run instead of its program. `args`: put behind all that
    ticketd gives it. `model`: in the agent's own words."""

    name: str
    preset: str = "command"
    command: Argv = ()
    args: Argv = ()
    model: str | None = None
    home: AgentHome = AgentHome.AUTO
    env: tuple[str, ...] = ()
    account: str | None = None
    max_slots: int | None = None

    @property
    def bills(self) -> str:
        """The account whose rate limits this profile shares; its own where none is named."""
        return self.account or self.name


@dataclass(frozen=True, slots=True)
class ScopeSettings:
    name: str
    paths: PatternSet | None = None
    env: tuple[str, ...] = ()
    max_slots: int | None = None
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """In USD, None for no limit: of all attempts of one ticket; of one day; of each scope on one day."""

    ticket: float | None = None
    day: float | None = None
    scope: float | None = None


@dataclass(frozen=True, slots=True)
class BriefSettings:
    """`template`: a file of the checkout in place of ours. `limit`: how many bytes a brief may have; the ticket's text
    and the rules are whole in any case. `wiki_content`: how many of those may be pages of the wiki."""

    template: str | None = None
    limit: int = 64_000
    wiki_content: int = 16_000


LARGEST_FILE = 100 * 10**6
"""What forges refuse to take; and who writes more has rarely meant to."""


@dataclass(frozen=True, slots=True)
class SecretSettings:
    """Beside the variables of profiles and scopes whose names tell: `env`, more variables; `files`, paths in the
    checkout; `exempt`, names that are none."""

    env: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """`stall_s`: an agent that shows no sign of progress for so long is ended; None: never. `same_failures`: so is one
    that has failed so often in a row at the same thing; 0: never. `grace_s` is what an agent gets between being
    asked to end and being ended. `largest_file`: in bytes, what more than that is in no commit of ticketd's.
    `disk`: how many bytes the state directory may take up; None: as many as there are. `keep_s`: for how long the
    records of what has landed are kept."""

    retries: int = 1
    stall_s: float | None = 900.0
    same_failures: int = 8
    grace_s: float = 10.0
    largest_file: int = LARGEST_FILE
    disk: int | None = None
    keep_s: float = 30 * 86400.0
    timeouts: Mapping[Size, float] = field(default_factory=lambda: {Size.S: 1800.0, Size.M: 3600.0, Size.L: 10800.0})


@dataclass(frozen=True, slots=True)
class Settings:
    slots: int = 8
    target: TargetSettings = TargetSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    landing: LandingSettings = LandingSettings()
    drift: DriftSettings = DriftSettings()
    claims: ClaimsSettings = ClaimsSettings()
    review: ReviewSettings = ReviewSettings()
    worktrees: WorktreeSettings = WorktreeSettings()
    sandbox: SandboxSettings = SandboxSettings()
    limits: Limits = field(default_factory=Limits)
    budget: BudgetSettings = BudgetSettings()
    prices: Mapping[str, Price] = field(default_factory=dict)
    secrets: SecretSettings = SecretSettings()
    brief: BriefSettings = BriefSettings()
    agents: Mapping[str, AgentProfile] = field(default_factory=dict)
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scopes: Mapping[str, ScopeSettings] = field(default_factory=dict)
    gates: Mapping[Priority, Gate] = field(default_factory=dict)

    def gate_of(self, ticket: Ticket, priority: Priority) -> Gate:
        return ticket.gate or self.gates.get(priority, Gate.NONE)

    def secret_variables(self) -> frozenset[str]:
        """Those whose values nobody may read: all that `[secrets]` names, and of what agents are given those whose
        names tell."""
        given = {name for env in self._given() for name in env}
        return frozenset({*self.secrets.env, *filter(is_telling, given)}) - {*self.secrets.exempt}

    def _given(self) -> Iterator[tuple[str, ...]]:
        yield from (profile.env for profile in self.agents.values())
        yield from (scope.env for scope in self.scopes.values())

    def timeout_of(self, ticket: Ticket) -> float:
        return ticket.timeout_s or self.limits.timeouts[ticket.size]

    def retries_of(self, ticket: Ticket) -> int:
        return self.limits.retries if ticket.retries is None else ticket.retries

    def budget_of(self, ticket: Ticket) -> float | None:
        return self.budget.ticket if ticket.budget_usd is None else ticket.budget_usd

    def scope_budget_of(self, scope: str) -> float | None:
        """What all tickets of a scope may cost on one day."""
        own = self.scopes[scope].budget_usd if scope in self.scopes else None
        return self.budget.scope if own is None else own

    @property
    def price_list(self) -> PriceList:
        return PriceList(self.prices, KNOWN)

    def route_of(self, ticket: Ticket) -> tuple[AgentProfile, ...]:
        """The profiles that may run it, the preferred one first: its own; else the route of its size in its scope, of
        its scope, of its size; else `default`; else the only one there is."""
        if ticket.agent:
            names: tuple[str, ...] = (ticket.agent,)
        else:
            keys = (f"{ticket.scope}.{ticket.size}", ticket.scope, ticket.size)
            names = next((self.routes[key] for key in keys if self.routes.get(key)), ("default",))
        route = tuple(self.agents[name] for name in names if name in self.agents)
        only = tuple(self.agents.values())
        return route or (only if len(only) == 1 and not ticket.agent else ())
