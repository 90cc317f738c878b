"""Commands of the configuration, run one after the other under supervision: a worktree's setup, a landing's checks."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ticketd.app.environment import step_environment
from ticketd.app.leaks import redact_log
from ticketd.app.places import make_private
from ticketd.app.sandbox import enclosed
from ticketd.app.session import Works
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.settings import Argv, Settings
from ticketd.errors import StoreTrouble, TicketdError
from ticketd.ports import Alive, Exited, LostRun, NoCapacity, RunSpec, RunState

STEP_LOG_LIMIT = 64 * 2**20
LOOK_UP_S = 0.5
END_LIMIT_S = 15.0
OUTPUT_IN = "; its output is in "
NOT_BEGUN = ("cannot-run", "spawn-failed")


class StepAbandoned(Exception):
    """A step was ended by a person, with the daemon or with the machine: it has come to no verdict."""


class StepRefused(Exception):
    """There was no capacity to start a step; it says why. Nothing has run."""


class SetupFailed(TicketdError):
    """A step of `[worktrees] setup` did not end in 0."""


@dataclass(frozen=True, slots=True)
class StepFailed:
    """`how`: its exit in words; `log`: where all of its output is; `begun`: whether there was such a program;
    `lasting`: whether it has ended by itself, and so would end like that again."""

    argv: Argv
    how: str
    log: Path
    begun: bool = True
    lasting: bool = True

    def __str__(self) -> str:
        return f"`{' '.join(self.argv)}` failed: {self.how}{OUTPUT_IN}{self.log}"


def failure_of(words: str) -> tuple[str, str]:
    """What has failed, and where its output is, of the words for a `StepFailed`: no more of one is remembered."""
    what, _, log = words.rpartition(OUTPUT_IN)
    return (what, log) if what else (words, "")


def run_steps(
    works: Works,
    steps: Sequence[Argv],
    what: str,
    key: AttemptKey,
    tree: Path,
    timeout_s: float,
    is_abandoned: Callable[[], bool],
) -> StepFailed | None:
    """Run all steps in `tree`, each at most `timeout_s` seconds; the first that fails, or None.

    Raises:
        StepAbandoned: a step was ended before it could tell.
        StepRefused: there was no capacity to start one.
    """
    for number, argv in enumerate(steps):
        log = works.session.places.log(key, what)
        over = _run(works, argv, f"{what}-{number}", key, tree, timeout_s, log, is_abandoned)
        if over.reason != "exited" or over.code != 0:
            lasting = over.reason == "exited" and over.signal is None
            return StepFailed(argv, exit_words(over), log, begun=over.reason not in NOT_BEGUN, lasting=lasting)
    return None


def _run(
    works: Works,
    argv: Argv,
    what: str,
    key: AttemptKey,
    tree: Path,
    timeout_s: float,
    log: Path,
    is_abandoned: Callable[[], bool],
) -> Exited:
    # A step may run again for the same attempt; a run directory serves one run only.
    stamp = int(works.session.clock.now() * 1e6)
    run_dir = works.session.places.side_run_dir(key, f"{what}-{stamp}")
    make_private(log.parent)
    begun = works.engine.start(
        RunSpec(
            run_dir=run_dir,
            argv=enclosed(works, works.settings(), tree.name, argv),
            cwd=tree,
            env=step_environment(works.environ),
            stdin=None,
            log=log,
            timeout_s=timeout_s,
            mark=f"{works.session.places.state.name}/{key}/{what}-{stamp}",
            die_with_parent=True,
            log_limit=STEP_LOG_LIMIT,
        )
    )
    over = _wait(works, run_dir, is_abandoned) if isinstance(begun, Alive) else begun
    shutil.rmtree(run_dir, ignore_errors=True)  # its output stays in the log
    redact_log(works.session.secrets(), log)
    if isinstance(over, NoCapacity):
        raise StepRefused(over.detail)
    if not isinstance(over, Exited) or over.reason == "ended":
        raise StepAbandoned
    return over


def _wait(works: Works, run_dir: Path, is_abandoned: Callable[[], bool]) -> RunState:
    """Until it is over; it is ended once nobody wants to know any more, or nobody can be asked: in its tree the next is
    to run."""
    trouble: Exception | None = None
    while isinstance(state := works.engine.wait(run_dir, LOOK_UP_S), Alive):
        try:
            unwanted = trouble is not None or is_abandoned()
        except StoreTrouble as error:
            unwanted, trouble = True, error
        if unwanted:
            works.engine.end(run_dir, works.settings().limits.grace_s)
    if trouble is not None:
        raise trouble
    return works.engine.settle(run_dir) if isinstance(state, LostRun) else state


def end_left(works: Works) -> None:
    """Steps end with the daemon that began them, but not at the same moment. Before their trees are used again."""
    run_dirs = works.session.places.side_run_dirs()
    for run_dir in run_dirs:
        works.engine.end(run_dir, 0)
    for run_dir in run_dirs:
        works.engine.wait(run_dir, END_LIMIT_S)
        if not isinstance(works.engine.settle(run_dir), Alive):
            shutil.rmtree(run_dir, ignore_errors=True)


def is_unwanted(works: Works, key: AttemptKey) -> bool:
    """Whether all stops now, or the ticket is cancelled."""
    record = works.session.store.ticket(key.ticket)
    return works.is_stopping() or (record is not None and record.cancel_requested)


def exit_words(state: RunState) -> str:
    """How a process ended, as a person would say it."""
    match state:
        case Exited(reason="exited", signal=None, code=code):
            return f"exit code {code}"
        case Exited(reason="exited", signal=signal):
            return f"ended by signal {signal}"
        case Exited(reason="timeout"):
            return "it ran into its time limit"
        case Exited(detail=detail, reason=reason):
            return detail or reason
        case _:
            return "it was lost"


def make_ready(works: Works, name: str, commit: str, branch: str | None, settings: Settings) -> None:
    """A worktree at `commit`. What setup has made is kept in one that is reused, and forgotten with one made anew."""
    made = works.worktrees.prepare(name, commit, branch, keep_ignored=bool(settings.worktrees.setup))
    if made and works.session.store.worktree_setups().get(name):
        works.session.store.set_worktree_setup(name, "")


def set_up(works: Works, name: str, key: AttemptKey, settings: Settings, is_abandoned: Callable[[], bool]) -> None:
    """Run `[worktrees] setup` in a worktree unless it was last made of the same commands and inputs.

    Raises:
        SetupFailed: a step did.
    """
    tree = works.worktrees.path(name)
    made_of = _digest(tree, settings.worktrees.setup, settings.worktrees.setup_inputs)
    if works.session.store.worktree_setups().get(name, "") == made_of:
        return
    # A setup that is broken off leaves neither what was there before nor what it was to make.
    works.session.store.set_worktree_setup(name, "")
    timeout_s = settings.worktrees.setup_timeout_s
    failed = run_steps(works, settings.worktrees.setup, "setup", key, tree, timeout_s, is_abandoned)
    if failed:
        raise SetupFailed(f"worktree setup {failed}")
    works.session.store.set_worktree_setup(name, made_of)


def _digest(tree: Path, setup: tuple[Argv, ...], inputs: tuple[str, ...]) -> str:
    """Of what a setup is made of; empty where there is none."""
    if not setup:
        return ""
    return hashlib.sha256(b"\0".join((repr(setup).encode(), *_contents(tree, inputs)))).hexdigest()


def _contents(tree: Path, inputs: tuple[str, ...]) -> Iterator[bytes]:
    for name in inputs:
        path = tree / name
        yield name.encode()
        yield path.read_bytes() if path.is_file() and not path.is_symlink() else b"\0absent"
