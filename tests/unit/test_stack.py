"""What the lane makes of what it knows of a target that others have to stand on."""

from __future__ import annotations

import pytest

from ticketd.app.candidates import Candidate
from ticketd.app.stack import Stack
from ticketd.domain.attempt import AttemptKey
from ticketd.domain.landing import Landing
from ticketd.domain.train import Result


@pytest.mark.parametrize(
    ("queued_at", "result"),
    [(40.0, Result.PASSED), (55.0, None), (100.0, Result.PASSED)],
    ids=["before that", "after that", "on a clock that was set back since"],
)
def test_what_the_target_has_passed_is_worth_something_for_whoever_was_there(
    queued_at: float, result: Result | None
) -> None:
    stack = Stack(on="target")
    stack.put(Candidate(Landing(AttemptKey("a", 1), "base", "tip", queued_at), "target", "commit"))
    known = stack.of("target")
    known.result, known.at = Result.PASSED, 50.0
    assert stack.as_train(reruns=0, now=60.0).target is result
