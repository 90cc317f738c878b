"""What processes that ticketd starts find in their environment: an allow-list, never the whole of the daemon's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ticketd.app.session import Works
from ticketd.domain.attempt import Attempt
from ticketd.domain.settings import AgentProfile
from ticketd.domain.ticket import Ticket
from ticketd.ports import Identity

ALLOWED = ("PATH", "HOME", "LANG", "TERM", "TMPDIR")
# Maintenance beside seven others makes their `git add` fail.
QUIET = (("gc.auto", "0"), ("maintenance.auto", "false"))
# An empty helper forgets those that the person's own configuration names: what they would hand out is not for agents.
NO_CREDENTIALS = (("credential.helper", ""), ("core.askPass", ""))


def _allowed(environ: Mapping[str, str], also: Iterable[str]) -> dict[str, str]:
    names = {*ALLOWED, *also}
    return {name: value for name, value in environ.items() if name in names or name.startswith("LC_")}


def _git(*settings: tuple[str, str]) -> dict[str, str]:
    """For every git below; a prompt that nobody answers would hold a slot for ever. Nothing that names a remote: it
    would hold in the repositories, too, that a project's tests make."""
    keys = {f"GIT_CONFIG_KEY_{number}": key for number, (key, _) in enumerate(settings)}
    values = {f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in enumerate(settings)}
    return {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_COUNT": str(len(settings)), **keys, **values}


def step_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """For `[worktrees] setup` and `[landing] verify`: no credential of any agent."""
    return {**_allowed(environ, ()), **_git(*QUIET)}


def _signature(identity: Identity) -> dict[str, str]:
    return {
        "GIT_AUTHOR_NAME": identity.name,
        "GIT_AUTHOR_EMAIL": identity.email,
        "GIT_COMMITTER_NAME": identity.name,
        "GIT_COMMITTER_EMAIL": identity.email,
    }


def agent_environment(works: Works, ticket: Ticket, attempt: Attempt, profile: AgentProfile) -> dict[str, str]:
    places, settings = works.session.places, works.settings()
    scope = settings.scopes.get(ticket.scope)
    branch = f"branch.ticketd/{attempt.key}"  # so that `git status` and `git pull --rebase` know what to compare with
    follows = ((f"{branch}.remote", "origin"), (f"{branch}.merge", f"refs/heads/{settings.target.branch}"))
    return {
        **_allowed(works.environ, (*profile.env, *(scope.env if scope else ()))),
        **_git(*QUIET, *NO_CREDENTIALS, *follows),
        **_signature(works.identity),
        "TICKETD_TICKET": ticket.id,
        "TICKETD_ATTEMPT": str(attempt.key.number),
        "TICKETD_BASE": attempt.base,
        "TICKETD_BRIEF": str(places.brief(attempt.key)),
        "TICKETD_NOTES": str(places.notes(attempt.key)),
        "TICKETD_REPO": str(works.session.root),
        **({"TICKETD_REPAIR": attempt.mends} if attempt.mends else {}),
    }
