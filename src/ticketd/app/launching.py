"""How an attempt is started: its worktree made ready, its agent's home, what the agent is told, and the command."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from ticketd import failpoints
from ticketd.app.brief import brief_of
from ticketd.app.environment import agent_environment
from ticketd.app.homes import has_own, make_home
from ticketd.app.places import make_private
from ticketd.app.sandbox import enclosed
from ticketd.app.session import Works
from ticketd.app.sessions import session_for
from ticketd.app.steps import is_unwanted, make_ready, set_up
from ticketd.domain.attempt import Attempt, AttemptKey
from ticketd.domain.settings import AgentProfile, Settings
from ticketd.domain.ticket import TicketRecord
from ticketd.errors import BadInput, GitFailed, TicketdError
from ticketd.ports import Agent, Launch, RunSpec, Task


class MergeFailed(TicketdError):
    """The merge that an agent is to finish has not come about."""


def ready(works: Works, tree: str, attempt: Attempt, settings: Settings) -> tuple[str, ...]:
    """Setup comes before a merge: it is made for files without conflict markers. The paths in conflict."""
    branch = f"ticketd/{attempt.key.ticket}/{attempt.key.number}"
    works.worktrees.leave_out(settings.worktrees.copy)  # a clone is given a copy of what is left out
    make_ready(works, tree, attempt.resumes or attempt.base, branch, settings)
    copy_files(works.session.root, works.worktrees.path(tree), settings.worktrees.copy)
    set_up(works, tree, attempt.key, settings, lambda: is_unwanted(works, attempt.key))
    return _begin_merge(works, tree, attempt.merges) if attempt.merges else ()


def _begin_merge(works: Works, tree: str, onto: str) -> tuple[str, ...]:
    try:
        return works.worktrees.begin_merge(tree, onto)
    except GitFailed as error:
        raise MergeFailed(f"the merge that its agent is to finish cannot be begun: {error}") from error


def spec_of(works: Works, record: TicketRecord, attempt: Attempt, tree: str, conflicts: Sequence[str]) -> RunSpec:
    """What the engine is to run; all that it needs is written.

    Raises:
        BadInput: it cannot be run with `ticketd.toml` as it is.
        OSError: something cannot be written.
    """
    places, key, settings = works.session.places, attempt.key, works.settings()
    profile = settings.agents.get(attempt.agent)
    if profile is None:
        raise BadInput(f"the agent profile `{attempt.agent}` has gone from ticketd.toml")
    run_dir, log = places.run_dir(key), places.log(key)
    for directory in (run_dir, log.parent):
        make_private(directory)
    failpoints.hit("run/directory")
    agent, env = works.agent_of(profile), agent_environment(works, record.ticket, attempt, profile)
    task = replace(_task(works, agent, profile, attempt, tree, env), budget_usd=_left_of_budget(settings, record))
    _tell(works, record, attempt, conflicts, follow_up=task.session is not None)
    launch = _launch(works, agent, task, key)
    shown = (task.home,) if task.home.exists() else ()
    return RunSpec(
        run_dir=run_dir,
        argv=enclosed(works, settings, tree, launch.argv, task.brief, places.notes(key), write=shown),
        cwd=works.worktrees.path(tree),
        env={**env, **launch.env},
        stdin=task.brief if launch.reads_brief else None,
        log=log,
        timeout_s=settings.timeout_of(record.ticket),
        grace_s=settings.limits.grace_s,
        mark=mark_of(works, key),
        doorbell=works.doorbell,
    )


def mark_of(works: Works, key: AttemptKey) -> str:
    return f"{works.session.places.state.name}/{key}"


def _task(works: Works, agent: Agent, profile: AgentProfile, attempt: Attempt, tree: str, env: dict[str, str]) -> Task:
    """`fresh` follows from the attempt, and is no other's: one that was refused a start has another time."""
    places, key = works.session.places, attempt.key
    own = has_own(profile, agent, env)
    return Task(
        profile=profile,
        brief=places.brief(key),
        home=places.agent_home(key.ticket, profile.name),
        own_home=own,
        environ=env,
        session=session_for(works, agent, attempt, tree, own),
        fresh=str(uuid5(NAMESPACE_URL, f"{mark_of(works, key)}/{attempt.dispatched_at}")),
    )


def _left_of_budget(settings: Settings, record: TicketRecord) -> float | None:
    """Some can be told to end by themselves; ticketd does not rely on that."""
    budget = settings.budget_of(record.ticket)
    return None if budget is None else max(budget - record.spent_usd, 0.0)


def _tell(works: Works, record: TicketRecord, attempt: Attempt, conflicts: Sequence[str], *, follow_up: bool) -> None:
    places, key = works.session.places, attempt.key
    for told in (places.notes(key), places.brief(key)):
        told.touch(mode=0o600)
    text = brief_of(works, record, attempt, conflicts, follow_up=follow_up)
    places.brief(key).write_text(text, encoding="utf-8", errors="replace")
    failpoints.hit("run/brief")


def _launch(works: Works, agent: Agent, task: Task, key: AttemptKey) -> Launch:
    """The agent's home is made for those that have one to speak of."""
    launch = agent.launch(task)
    if agent.program or launch.files:
        make_home(works.session.places, key.ticket, task.profile.name, launch.files)
    return launch


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
