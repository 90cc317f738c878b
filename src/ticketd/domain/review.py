"""What a person approves: exactly what was shown. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from ticketd.domain.ticket import Ticket

SHORTEST_PREFIX = 7
BEFORE_IT_RUNS = "waits for a person before it runs"
BEFORE_IT_LANDS = "waits for a person before it lands"


@dataclass(frozen=True, slots=True)
class Stale:
    """A person's word is about `seen`, but `there` is what waits now. `named`: they gave it themselves."""

    seen: str
    there: str
    named: bool = False


def digest_of(ticket: Ticket) -> str:
    """What stands for a commit before a ticket has run: its content. Where its file lies does not count."""
    content = json.dumps(asdict(replace(ticket, path="")), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def check_approval(there: str, shown: str | None, named: str | None) -> Stale | None:
    """Whether a word counts for what is `there`: for the commit it names (its beginning will do), else for the one
    that was shown last, else for whatever is there."""
    if named is not None:
        counts = len(named) >= SHORTEST_PREFIX and there.startswith(named.lower())
        return None if counts else Stale(named, there, named=True)
    return None if shown in (None, there) else Stale(shown or "", there)
