"""What a ticket's waiting comes down to."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from queues import ticket

from ticketd.domain.scheduler.causes import Causes
from ticketd.domain.scheduler.waits import WaitKind, WaitsOn
from ticketd.domain.ticket import Reason, TicketState

NAMES = tuple("abcdefg")
OWN = (WaitsOn(WaitKind.HELD), WaitsOn(WaitKind.SLOT, detail="all slots are taken"))


@st.composite
def all_causes(draw: st.DrawFn) -> Causes:
    """Any graph at all: chains, diamonds, circles, tickets that are not there, and roots of both sorts."""
    states = {name: draw(st.sampled_from([*[TicketState.QUEUED] * 4, *TicketState])) for name in NAMES}
    edges = {name: draw(st.lists(st.sampled_from([*NAMES, "nowhere"]), max_size=3, unique=True)) for name in NAMES}
    tickets = {
        name: ticket(name, state=state, after=tuple(edges[name]), reason=Reason.TIMEOUT)
        for name, state in states.items()
    }
    waits = {
        name: (
            *(WaitsOn(WaitKind.DEPENDENCY, on) for on in edges[name]),
            *draw(st.lists(st.sampled_from(OWN), max_size=1)),
        )
        for name, state in states.items()
        if state is TicketState.QUEUED
    }
    return Causes(tickets, waits, {}, daemon=draw(st.booleans()))


@given(all_causes())
def test_the_main_cause_of_each_ticket_is_one_that_an_explanation_ends_in(causes: Causes) -> None:
    main = causes.main_roots()
    for name, record in causes.tickets.items():
        if record.state is TicketState.LANDED:
            continue
        roots = causes.roots(name) or (causes.root_of(record),)
        assert main[name].passes == roots[0].passes, "one that needs a person, if any does"
        assert main[name] in roots or main[name].what.startswith("`depends_on` goes round in a circle")


@given(all_causes())
def test_an_explanation_tells_what_each_ticket_waits_on_once_and_comes_to_an_end(causes: Causes) -> None:
    for name in causes.tickets:
        told = [(because.ticket, because.on) for because in causes.of(name)]
        assert len(told) == len(set(told))
        assert not causes.waits.get(name) or causes.roots(name), "every wait has an end"


def test_a_ticket_that_is_proposed_needs_people_and_so_does_what_waits_on_it() -> None:
    tickets = {"a": ticket("a", state=TicketState.LANDING), "b": ticket("b", state=TicketState.QUEUED)}
    waits = {"b": (WaitsOn(WaitKind.OVERLAP, "a", path="x"),)}
    causes = Causes(tickets, waits, {"a": "no answer"}, proposals={"a": "https://forge/7"})
    for root in causes.main_roots().values():
        assert root.what == "a waits for its pull request https://forge/7: no answer"
        assert not root.passes


def test_a_chain_of_fifty_thousand_is_followed_to_its_end() -> None:
    names = [f"t{number}" for number in range(50_000)]
    tickets = {name: ticket(name, state=TicketState.QUEUED) for name in names}
    waits = {name: (WaitsOn(WaitKind.DEPENDENCY, on),) for name, on in pairwise(names)}
    causes = Causes(tickets, waits | {names[-1]: (OWN[0],)}, {})
    assert [root.mend for root in causes.roots("t0")] == ["`ticketd unhold t49999`"]
    assert {root.mend for root in causes.main_roots().values()} == {"`ticketd unhold t49999`"}
