"""What processes that ticketd starts find in their environment: an allow-list, never the whole of the daemon's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ticketd.app.session import Works
from ticketd.domain.attempt import Attempt
from ticketd.domain.settings import AgentProfile
from ticketd.domain.ticket import Ticket
from ticketd.ports import Identity

ALLOWED = ("PATH", "HOME", "LANG", "TERM", "TMPDIR")
# A prompt nobody answers would hold a slot for ever; maintenance beside seven others makes their `git add` fail.
QUIET_GIT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "gc.auto",
    "GIT_CONFIG_VALUE_0": "0",
    "GIT_CONFIG_KEY_1": "maintenance.auto",
    "GIT_CONFIG_VALUE_1": "false",
}


def _allowed(environ: Mapping[str, str], also: Iterable[str]) -> dict[str, str]:
    names = {*ALLOWED, *also}
    return {name: value for name, value in environ.items() if name in names or name.startswith("LC_")}


def step_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """For `[worktrees] setup` and `[landing] verify`: no credential of any agent."""
    return {**_allowed(environ, ()), **QUIET_GIT}


def _signature(identity: Identity) -> dict[str, str]:
    return {
        "GIT_AUTHOR_NAME": identity.name,
        "GIT_AUTHOR_EMAIL": identity.email,
        "GIT_COMMITTER_NAME": identity.name,
        "GIT_COMMITTER_EMAIL": identity.email,
    }


def agent_environment(works: Works, ticket: Ticket, attempt: Attempt, profile: AgentProfile) -> dict[str, str]:
    places, scope = works.session.places, works.settings().scopes.get(ticket.scope)
    return {
        **_allowed(works.environ, (*profile.env, *(scope.env if scope else ()))),
        **QUIET_GIT,
        **_signature(works.identity),
        "TICKETD_TICKET": ticket.id,
        "TICKETD_ATTEMPT": str(attempt.key.number),
        "TICKETD_BASE": attempt.base,
        "TICKETD_BRIEF": str(places.brief(attempt.key)),
        "TICKETD_NOTES": str(places.notes(attempt.key)),
        "TICKETD_REPO": str(works.session.root),
    }
