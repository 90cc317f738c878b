"""What a person's word is about."""

from __future__ import annotations

from dataclasses import replace

import pytest
from queues import ticket

from ticketd.domain.review import Stale, check_approval, digest_of

SHA, OTHER = "a1" * 20, "b2" * 20


@pytest.mark.parametrize(
    ("shown", "named", "answer"),
    [
        (None, None, None),
        (SHA, None, None),
        (OTHER, None, Stale(OTHER, SHA)),
        (OTHER, SHA, None),
        (OTHER, SHA[:7].upper(), None),
        (SHA, SHA[:6], Stale(SHA[:6], SHA, named=True)),
        (SHA, OTHER, Stale(OTHER, SHA, named=True)),
        (SHA, "", Stale("", SHA, named=True)),
    ],
)
def test_a_word_counts_for_what_was_named_else_shown_else_for_what_is_there(
    shown: str | None, named: str | None, answer: Stale | None
) -> None:
    assert check_approval(SHA, shown, named) == answer


def test_a_digest_is_of_what_a_ticket_says_and_not_of_where_it_lies() -> None:
    said = ticket("t", touches=["/src/"]).ticket
    assert digest_of(said) == digest_of(replace(said, path="tickets/elsewhere/t.md"))
    assert digest_of(said) != digest_of(replace(said, body="more"))
    assert digest_of(said) != digest_of(replace(said, retries=3))
