"""What a provider's error means: later (rate limit, overload, not to be reached), or failed, with what a person can do.

By its HTTP status where the agent tells it, else by its words; those of the agent's own errors only, never its model's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ticketd.agents.jsonlines import one_line

DONE = "done"
LATER = "later"
FAILED = "failed"

# 500 is not among them: it may well be this very request that the provider stumbles over, each time.
_LATER = {408, 429, 502, 503, 504, *range(520, 530)}
_DENIED = {401, 403}
_UNPAID = 402

_STATUS = re.compile(
    r"(?:\bstatus(?: code)?\W{1,3}|\berror\W{1,3}|\bcode\W{1,4}|\bHTTP\W)([45]\d\d)\b"
    r"|\b([45]\d\d)(?= (?:Too Many|Unauthorized|Forbidden|Payment|Internal|Bad Gateway|Service Un|Gateway|status|\{))"
    r"|^([45]\d\d)\b",
    re.IGNORECASE,
)
_NO_CREDIT = re.compile(r"credit balance|insufficient.quota|quota exceeded\. check your plan|payment required", re.I)
_NO_LOGIN = re.compile(
    r"api[ _]key not valid|(?:invalid|incorrect|missing|no) (?:x-)?api[ -_]key|not logged in|please run /login"
    r"|authentication|unauthorized|missing environment variable"
    r"|must specify the GEMINI_API_KEY|set an auth method|no auth type|log ?in to",
    re.I,
)
_BUSY = re.compile(
    r"rate.?limit|usage limit|hit your .{0,20}limit|too many requests|overloaded|high demand|resource.exhausted"
    r"|exhausted your (?:capacity|daily quota)|exceeded your current quota|at capacity",
    re.I,
)
_AWAY = re.compile(
    r"ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ConnectionRefused|FailedToOpenSocket|unable to connect"
    r"|connection error|fetch failed|error sending request|request timed out",
    re.I,
)

NO_CREDIT = "add credit to its account, or route tickets to another profile"
NO_LOGIN = "log in with the agent once, or name the variable with its key in the profile's `env`"


@dataclass(frozen=True, slots=True)
class Trouble:
    """`what`: in the agent's words; `status`: HTTP; `until`: when it may be asked again (epoch seconds)."""

    what: str
    status: int | None = None
    until: float | None = None


def status_in(text: str) -> int | None:
    found = _STATUS.search(text[:2000])
    return int(next(filter(None, found.groups()))) if found else None


@dataclass(frozen=True, slots=True)
class Meaning:
    """`recognised`: its words or its status are among those that are known here; `unusable`: until a person mends it,
    so is every run."""

    outcome: str
    detail: str
    recognised: bool = True
    unusable: bool = False


def meaning_of(trouble: Trouble) -> Meaning:
    text = trouble.what[:2000]
    status = trouble.status or status_in(text)
    said = one_line(text) or f"the provider answered with status {status}"
    if trouble.until is not None:
        return Meaning(LATER, said)
    if status == _UNPAID or _NO_CREDIT.search(text):
        return Meaning(FAILED, f"{said}; {NO_CREDIT}", unusable=True)
    if status in _LATER:
        return Meaning(LATER, said)
    if status in _DENIED or _NO_LOGIN.search(text):
        return Meaning(FAILED, f"{said}; {NO_LOGIN}", unusable=True)
    if _BUSY.search(text) or (status is None and _AWAY.search(text)):
        return Meaning(LATER, said)
    return Meaning(FAILED, said, recognised=False)
