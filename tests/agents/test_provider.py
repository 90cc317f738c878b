"""What a provider's error means, by its status or by the agent's own words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketd.agents.provider import Trouble, meaning_of

LATER = (
    "API Error: Request rejected (429) · fake rate_limit_error",
    "exceeded retry limit, last status: 429 Too Many Requests",
    "unexpected status 529 <unknown status code>: overloaded",
    "unexpected status 503 Service Unavailable: {}",
    '[API Error: {"error":{"code":429,"message":"Resource has been exhausted","status":"RESOURCE_EXHAUSTED"}}]',
    "You exceeded your current quota, please check your plan and billing details.",
    "You’ve hit your usage limit. Upgrade to Pro, or try again at 4:44 AM.",
    "You've hit your 5-hour limit · resets 4:43am (UTC)",
    "We’re currently experiencing high demand, which may cause temporary errors.",
    "API Error: Unable to connect to API (ConnectionRefused)",
    "connect ECONNREFUSED 127.0.0.1:8411",
)
UNUSABLE = (
    "unexpected status 401 Unauthorized: Incorrect API key provided",
    '[API Error: {"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}]',
    "Not logged in · Please run /login",
    "Missing environment variable: `OPENAI_API_KEY`.",
    "Credit balance is too low",
    "Quota exceeded. Check your plan and billing details.",
    "429 You exceeded your current quota (insufficient_quota)",
)
FAILED = (
    "unexpected status 500 Internal Server Error: fake",
    "API Error: 400 messages: text content blocks must be non-empty",
    "stream disconnected before completion: stream closed before response.completed",
    "the file has 429 lines",
    "",
)


@pytest.mark.parametrize("text", LATER)
def test_a_limit_passes(text: str) -> None:
    meaning = meaning_of(Trouble(text))
    assert (meaning.outcome, meaning.unusable) == ("later", False)


@pytest.mark.parametrize("text", UNUSABLE)
def test_a_key_or_a_credit_is_mended_by_a_person_who_is_told_how(text: str) -> None:
    meaning = meaning_of(Trouble(text))
    assert (meaning.outcome, meaning.unusable) == ("failed", True)
    assert "log in" in meaning.detail or "credit" in meaning.detail


@pytest.mark.parametrize("text", FAILED)
def test_anything_else_is_a_failure_of_this_run(text: str) -> None:
    meaning = meaning_of(Trouble(text))
    assert (meaning.outcome, meaning.unusable, meaning.recognised) == ("failed", False, False)


@pytest.mark.parametrize(
    ("status", "outcome"), [(429, "later"), (529, "later"), (503, "later"), (500, "failed"), (401, "failed")]
)
def test_a_status_that_is_told_says_more_than_words(status: int, outcome: str) -> None:
    assert meaning_of(Trouble("something went wrong", status)).outcome == outcome


def test_a_limit_with_an_end_is_later_whatever_else_is_said() -> None:
    assert meaning_of(Trouble("anything", 401, until=1795236216.0)).outcome == "later"


@given(st.text(), st.none() | st.integers(0, 999))
def test_every_trouble_means_something(text: str, status: int | None) -> None:
    meaning = meaning_of(Trouble(text, status))
    assert meaning.outcome in ("later", "failed")
    assert meaning.detail
    assert "\n" not in meaning.detail
