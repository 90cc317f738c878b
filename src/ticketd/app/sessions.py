"""Which conversation an attempt goes on with, and the worktrees that are kept for those who find theirs in no other."""

from __future__ import annotations

from ticketd.app.homes import has_own
from ticketd.app.sandbox import is_on
from ticketd.app.session import Works
from ticketd.domain.attempt import Attempt
from ticketd.domain.sessions import held_by, kept_trees, session_of
from ticketd.domain.settings import AgentProfile, SandboxHome
from ticketd.ports import Agent


def session_for(works: Works, agent: Agent, attempt: Attempt, tree: str, own_home: bool) -> str | None:
    """That which `attempt` finds in `tree`."""
    home = works.session.places.agent_home(attempt.key.ticket, attempt.agent)
    if not agent.resumes or (own_home and not home.exists()):
        return None
    anywhere = _finds_it_anywhere(works, agent, own_home)
    return session_of(works.session.store.attempts(attempt.key.ticket), attempt, None if anywhere else tree)


def own_tree(works: Works, attempt: Attempt) -> str | None:
    """The only worktree in which it finds its conversation, if there is such a one."""
    profile = works.settings().agents.get(attempt.agent)
    if attempt.resumes is None or profile is None or not _is_bound(works, profile):
        return None
    held = held_by(works.session.store.attempts(attempt.key.ticket), attempt)
    return held.worktree if held else None


def kept(works: Works) -> tuple[str, ...]:
    """The worktrees in which tickets that are to go on will look for their conversation, the longest kept first."""
    bound = {name for name, profile in works.settings().agents.items() if _is_bound(works, profile)}
    return kept_trees(works.session.store.attempts_to_go_on_with(), bound) if bound else ()


def _is_bound(works: Works, profile: AgentProfile) -> bool:
    agent = works.agent_of(profile)
    passed = {name: works.environ[name] for name in profile.env if name in works.environ}
    return agent.resumes and not _finds_it_anywhere(works, agent, has_own(profile, agent, passed))


def _finds_it_anywhere(works: Works, agent: Agent, own_home: bool) -> bool:
    """In the sandbox each worktree has a home directory of its own: what is kept there is found in no other."""
    settings = works.settings()
    private = is_on(settings, works.session) and settings.sandbox.home is SandboxHome.PRIVATE
    return agent.resumes_elsewhere and (own_home or not private)
