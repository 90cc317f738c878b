"""Room for one more: in a scope, in the budgets of the day, and among the agent profiles of a route. Tickets of one
scope and route share a lane of the queue: either all of them have room or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ticketd.domain.budget import today
from ticketd.domain.scheduler.schedule import Snapshot
from ticketd.domain.scheduler.waits import WaitKind, WaitsOn
from ticketd.domain.settings import AgentProfile, Settings
from ticketd.domain.throttle import Throttle, choose
from ticketd.domain.ticket import Size, Ticket


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What decides whether there is room for a ticket. `scope` is None where the scope does not matter."""

    scope: str | None
    route: tuple[AgentProfile, ...]


class Kinds:
    """The kind of each ticket; as many as there are different scopes and routes in use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[tuple[str | None, tuple[str, ...]], Kind] = {}
        self._known: dict[tuple[str, str | None, Size], Kind] = {}

    def of(self, ticket: Ticket) -> Kind:
        said = (ticket.scope, ticket.agent, ticket.size)
        if said not in self._known:
            self._known[said] = self._kind(ticket)
        return self._known[said]

    def _kind(self, ticket: Ticket) -> Kind:
        settings = self._settings
        scope = settings.scopes.get(ticket.scope)
        capped = scope is not None and scope.max_slots is not None
        capped = capped or settings.scope_budget_of(ticket.scope) is not None
        name = ticket.scope if capped or settings.scheduler.fair_share else None
        route = settings.route_of(ticket)
        key = (name, tuple(profile.name for profile in route))
        if key not in self._made:
            self._made[key] = Kind(name, route)
        return self._made[key]


class Room:
    """Who runs where now, and what that leaves."""

    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self._settings = snapshot.settings
        self._throttles: Mapping[str, Throttle] = snapshot.throttles
        self._now = now
        self._today = today(snapshot.spent, snapshot.attempts, snapshot.tickets, now)
        running = [attempt for attempt in snapshot.busy.values() if attempt.key.ticket in snapshot.tickets]
        self.in_scope = Counter(snapshot.tickets[attempt.key.ticket].ticket.scope for attempt in running)
        self.in_profile = Counter(attempt.agent for attempt in running)

    def take(self, ticket: Ticket, agent: str) -> None:
        self.in_scope[ticket.scope] += 1
        self.in_profile[agent] += 1

    def of(self, kind: Kind) -> AgentProfile | WaitsOn:
        """The profile that would run one more of this kind, or why none may."""
        scope = self._settings.scopes.get(kind.scope or "")
        if scope is not None and scope.max_slots is not None and self.in_scope[scope.name] >= scope.max_slots:
            return WaitsOn(WaitKind.SCOPE_CAP, detail=f"scope {scope.name} runs {scope.max_slots} at a time")
        if why := self._today.why_not(kind.scope or "", self._settings):
            return WaitsOn(WaitKind.BUDGET, detail=why, until=self._today.day.end)
        found = choose(kind.route, self._throttles, self.in_profile, self._now)
        if isinstance(found, AgentProfile):
            return found
        return WaitsOn(WaitKind.SLOT if found.full else WaitKind.BACKOFF, detail=found.detail, until=found.until)

    def open(self, kinds: Iterable[Kind]) -> set[Kind]:
        return {kind for kind in kinds if isinstance(self.of(kind), AgentProfile)}
