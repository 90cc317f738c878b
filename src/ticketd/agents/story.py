"""What the log of a run has told by its end, and what the run has come to by that and by its exit together."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from ticketd.agents.jsonlines import last_words, one_line, plain
from ticketd.agents.provider import DONE, FAILED, Meaning, Trouble, meaning_of
from ticketd.domain.report import Report, Usage
from ticketd.ports import AgentResult, Exited

LINES_KEPT = 20
DENIED = "it was allowed none of what it tried; look at its own settings, and at `args` of its profile"


@dataclass(slots=True)
class Story:
    """Gathered line by line. `finished`: a good final event was there; `denied`: it was not allowed to do something;
    `acted`: something that it did has succeeded; `trouble`: what kept it from one; `failure`: the
    same, where no provider is to blame; `aside`: the last lines that were not the agent's own format, where programs
    complain that cannot even begin. `whole_session`: the usage is of all runs of the session. `until`: when the account
    may be asked again, if that was told apart from what went wrong."""

    session: str | None = None
    said: str = ""
    cost_usd: float | None = None
    turns: int | None = None
    usage: dict[str, Usage] = field(default_factory=dict)
    whole_session: bool = False
    finished: bool = False
    denied: bool = False
    acted: bool = False
    until: float | None = None
    trouble: Trouble | None = None
    failure: str = ""
    aside: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))

    def add(self, usage: Usage) -> None:
        """One answer's, to those of its model."""
        self.usage[usage.model] = self.usage[usage.model].plus(usage) if usage.model in self.usage else usage

    def put_aside(self, line: str) -> None:
        if kept := plain(line[:1000]).strip():
            self.aside.append(kept)

    def result(self, exited: Exited | None, log: Path) -> AgentResult:
        came_to = self._meaning(exited)
        unknown = came_to.outcome != DONE and not came_to.recognised
        detail = f"{came_to.detail}; its output is in {log}" if unknown else came_to.detail
        until = self.trouble.until if self.trouble else None
        return AgentResult(came_to.outcome, detail, until, self.report(), self.whole_session, unusable=came_to.unusable)

    def report(self) -> Report:
        return Report(self.session, self.cost_usd, tuple(self.usage.values()), self.turns, last_words(self.said))

    def _meaning(self, exited: Exited | None) -> Meaning:
        if exited is None:
            return Meaning(FAILED, "nobody knows how the agent ended", recognised=False)
        if self.trouble is not None:
            return meaning_of(self.trouble)
        if self.failure:
            return Meaning(FAILED, self.failure)
        if exited.signal is not None or exited.code != 0:
            return self._complaint(exited)
        if not self.finished:
            return Meaning(FAILED, "the agent ended with exit code 0, in the middle of its work", recognised=False)
        if self.denied and not self.acted:
            return Meaning(FAILED, DENIED)
        return Meaning(DONE, "")

    def _complaint(self, exited: Exited) -> Meaning:
        """Of one that could not even begin: it says why in plain lines, the telling one among others."""
        if exited.signal is not None or not self.aside:
            return Meaning(FAILED, how(exited), recognised=False)
        meanings = [meaning_of(Trouble(line)) for line in reversed(self.aside)]
        telling = next((each for each in meanings if each.recognised), None)
        last = Meaning(FAILED, f"{how(exited)}: {one_line(self.aside[-1])}", recognised=False)
        return last if self.finished or telling is None else telling


def how(exited: Exited) -> str:
    return f"the agent ended with exit code {exited.code}" if exited.signal is None else f"signal {exited.signal}"
