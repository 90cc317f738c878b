"""A person's push at the gate: rebased onto the target, verified, landed; or why not. Their checkout is not touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ticketd.app.leaks import leak
from ticketd.app.session import Works
from ticketd.app.steps import SetupFailed, StepAbandoned, StepFailed, StepRefused, make_ready, run_steps, set_up
from ticketd.domain.attempt import AttemptKey
from ticketd.ports import Conflict, LostRace, NothingLeft, Pushed, Refused, Unreachable

TRIES = 5
TREE = "people"
# No ticket can be called that, so it meets no attempt's logs and no ticket's wish to be cancelled.
KEY = AttemptKey("_pushed", 0)
SHOWN_LINES = 20
MOST_PATHS = 5


@dataclass(frozen=True, slots=True)
class AtTarget:
    """The target has the work: it went from `old` to `new`; the same where it had it before."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class NotLanded:
    """Why not, and what to do, in one line."""

    why: str


def _never() -> bool:
    """A person's push has nothing to do with the pool: what stops that does not stop this."""
    return False


def land_pushed(works: Works, commit: str, say: Callable[[str], None]) -> AtTarget | NotLanded:
    """Land `commit` with all that the target has not. A race that is lost begins anew, a few times; `say` tells the
    person what takes its time.

    Raises:
        GitFailed: the control repository is broken, or has no such commit.
    """
    for _ in range(TRIES):
        outcome = _try(works, commit, say)
        if outcome is not None:
            return outcome
    return NotLanded(f"{works.settings().target.name} moved during each of {TRIES} tries; push again")


def _try(works: Works, commit: str, say: Callable[[str], None]) -> AtTarget | NotLanded | None:
    """None: somebody else was faster."""
    onto = works.target.tip()
    if isinstance(onto, Unreachable):
        return NotLanded(f"{works.settings().target.name} does not answer: {onto.detail}")
    candidate = _rebased(works, commit, onto)
    if isinstance(candidate, NotLanded):
        return candidate
    if candidate == onto:
        return AtTarget(onto, onto)
    if told := leak(works, onto, candidate):
        return NotLanded(told)
    if failed := _verify(works, candidate, say):
        return failed
    return _push(works, candidate, onto)


def _rebased(works: Works, commit: str, onto: str) -> str | NotLanded:
    """What to push; `onto` itself if the target has it all."""
    if works.history.contains(onto, commit):
        return onto
    base = works.history.fork_point(commit, onto)
    if base is None:
        return NotLanded(f"it has no history in common with {works.settings().target.name}")
    match works.history.rebase(base, commit, onto, ()):
        case NothingLeft():
            return onto
        case Conflict(paths=paths):
            return NotLanded(f"conflict with {works.settings().target.name} in {_shown(paths)}: run git pull --rebase")
        case rebased if rebased.flattened:
            return NotLanded("it contains merge commits; make it linear first: git pull --rebase")
        case rebased:
            return rebased.tip


def _push(works: Works, candidate: str, onto: str) -> AtTarget | NotLanded | None:
    """The target's own word decides, whatever the push said."""
    answer = works.target.push(candidate, onto)
    tip = works.target.tip()
    if isinstance(tip, Unreachable):
        return NotLanded(
            f"it may have landed, {works.settings().target.name} does not answer: {tip.detail}; run git fetch and look"
        )
    if works.history.contains(tip, candidate):
        return AtTarget(onto, candidate)
    match answer:
        case Refused(detail=detail):
            return NotLanded(f"{works.settings().target.name} refuses it: {detail}")
        case Unreachable(detail=detail):
            return NotLanded(f"it was not pushed: {detail}")
        case LostRace() | Pushed():
            return None


def _verify(works: Works, candidate: str, say: Callable[[str], None]) -> NotLanded | None:
    """`[landing] verify` in a clean tree of exactly what would be pushed."""
    settings = works.settings()
    if not settings.landing.verify:
        return None
    steps = ", ".join(" ".join(argv) for argv in settings.landing.verify)
    say(f"verifying {candidate[:7]}, rebased onto {works.settings().target.name}: {steps}")
    try:
        make_ready(works, TREE, candidate, None, settings)
        set_up(works, TREE, KEY, settings, _never)
        tree = works.worktrees.path(TREE)
        works.session.places.log(KEY, "verify").unlink(missing_ok=True)
        timeout_s = settings.landing.verify_timeout_s
        failed = run_steps(works, settings.landing.verify, "verify", KEY, tree, timeout_s, _never)
    except (SetupFailed, StepRefused) as error:
        return NotLanded(f"it could not be verified: {error}")
    except StepAbandoned:
        return NotLanded("the verification was ended before it came to a verdict; push again")
    return _told(failed, say) if failed else None


def _told(failed: StepFailed, say: Callable[[str], None]) -> NotLanded:
    for line in failed.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]:
        say(f"  {line}")
    return NotLanded(f"rebased onto the target it fails: {failed}")


def _shown(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - MOST_PATHS} more" if len(paths) > MOST_PATHS else ""
    return ", ".join(paths[:MOST_PATHS]) + more
