"""What the eyes see of a ticket whose pull request is open."""

from __future__ import annotations

from dataclasses import replace

from eyes_yard import NOW, Yard

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.landing import Phase, Proposal
from ticketd.domain.verdict import ToLanding

URL = "https://forge.test/pull/7"


def proposed(yard: Yard) -> AttemptKey:
    yard.ticket("door", touches=["door/**"])
    yard.ticket("lock", touches=["door/lock"])
    yard.sync()
    key = yard.start("door", 1)
    yard.finish(key, ToLanding())
    (landing,) = yard.session.store.landings()
    waits = replace(landing, phase=Phase.PROPOSED, onto="b" * 40, candidate="c" * 40, proposal=Proposal(6, 7, URL))
    yard.session.store.set_phases([waits], NOW + 70)
    return key


def test_status_names_the_pull_request_and_what_stands_still_for_it(yard: Yard) -> None:
    proposed(yard)
    with yard.daemon():
        document = yard.run("status", "--json").document()
        screen = yard.run("status").out
    (landing,) = document["landing"]
    assert (landing["phase"], landing["proposal"], landing["ahead"]) == ("proposed", URL, False)
    assert {each["ticket"] for each in document["stalled"]} == {"door", "lock"}
    assert all(URL in each["why"] and "merge it" in each["mend"] for each in document["stalled"])
    assert URL in screen


def test_explain_and_events_name_it(yard: Yard) -> None:
    proposed(yard)
    with yard.daemon():
        for id_ in ("door", "lock"):
            assert f"pull request {URL}" in yard.run("explain", id_).out
    assert f"door              waits for its pull request {URL}" in yard.run("events").out


def test_it_cannot_be_put_ahead_of_others(yard: Yard) -> None:
    proposed(yard)
    answer = yard.run("land", "door")
    assert answer.code == 2
    assert f"door waits for {URL}" in answer.err
