"""What becomes of a person's push when the remote answers badly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from ticketd.app.pushed import TRIES, AtTarget, NotLanded, land_pushed
from ticketd.domain.secrets import NO_SECRETS
from ticketd.domain.settings import Settings
from ticketd.ports import LostRace, NothingLeft, Pushed, Rebased, Refused, Unreachable

Answer = Pushed | LostRace | Refused | Unreachable


@dataclass
class Remote:
    """Says the `tips` one after the other (the last again and again); its branch has what `holds` names."""

    tips: list[str | Unreachable]
    answer: Answer
    holds: tuple[str, ...] = ()
    pushed: list[tuple[str, str]] = field(default_factory=list)

    def tip(self) -> str | Unreachable:
        return self.tips.pop(0) if len(self.tips) > 1 else self.tips[0]

    def push(self, candidate: str, onto: str) -> Answer:
        self.pushed.append((candidate, onto))
        return self.answer

    def contains(self, tip: str, commit: str) -> bool:
        return commit in self.holds

    def fork_point(self, tip: str, target: str) -> str:
        return "base"

    def rebase(self, base: str, tip: str, onto: str, trailers: Sequence[tuple[str, str]]) -> Rebased | NothingLeft:
        return NothingLeft() if tip == "known" else Rebased(f"{tip} on {onto}", (tip,))


def land(remote: Remote, commit: str = "mine") -> AtTarget | NotLanded:
    session = SimpleNamespace(secrets=lambda: NO_SECRETS)
    works: Any = SimpleNamespace(target=remote, history=remote, settings=Settings, session=session)
    return land_pushed(works, commit, lambda line: None)


@pytest.mark.parametrize("answer", [Pushed(), Unreachable("killed half-way"), LostRace(), Refused("no")])
def test_what_the_remote_has_has_landed_whatever_the_push_said(answer: Answer) -> None:
    remote = Remote(["old"], answer, holds=("mine on old",))
    assert land(remote) == AtTarget("old", "mine on old")
    assert remote.pushed == [("mine on old", "old")]


@pytest.mark.parametrize("answer", [LostRace("faster"), Pushed()])
def test_a_race_is_run_again_but_not_for_ever(answer: Answer) -> None:
    remote = Remote([f"{number}" for number in range(99)], answer)
    assert land(remote) == NotLanded(f"origin/main moved during each of {TRIES} tries; push again")
    assert [onto for _, onto in remote.pushed] == ["0", "2", "4", "6", "8"]


def test_a_remote_that_falls_silent_after_the_push_may_have_it() -> None:
    outcome = land(Remote(["old", Unreachable("gone")], Pushed()))
    assert isinstance(outcome, NotLanded)
    assert outcome.why.startswith("it may have landed") and "git fetch" in outcome.why


@pytest.mark.parametrize(
    ("answer", "why"), [(Refused("protected"), "refuses it: protected"), (Unreachable("x"), "not pushed: x")]
)
def test_a_refusal_is_final_and_told(answer: Answer, why: str) -> None:
    remote = Remote(["old"], answer)
    outcome = land(remote)
    assert isinstance(outcome, NotLanded) and why in outcome.why
    assert len(remote.pushed) == 1


def test_what_the_target_has_is_not_pushed_again() -> None:
    for remote, commit in ((Remote(["old"], Pushed(), holds=("mine",)), "mine"), (Remote(["old"], Pushed()), "known")):
        assert land(remote, commit) == AtTarget("old", "old")
        assert remote.pushed == []


def test_a_remote_that_does_not_answer_gets_nothing() -> None:
    remote = Remote([Unreachable("no route")], Pushed())
    assert land(remote) == NotLanded("origin/main does not answer: no route")
    assert remote.pushed == []
