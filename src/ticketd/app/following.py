"""What running agents say, as far as it can be read from their logs: what they have used so far, and what they do.

Kept in memory only: a daemon that takes up a running attempt reads its log from the beginning.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

from ticketd.app.collecting import profile_of
from ticketd.app.session import Works
from ticketd.app.spending import Spending
from ticketd.domain.attempt import Attempt, AttemptKey
from ticketd.domain.liveness import Habit, acted, came_of_it
from ticketd.domain.report import Usage, added
from ticketd.ports import Agent, Said, SaidKind

log = logging.getLogger("ticketd")

MOST_AT_ONCE = 2**20
"""Bytes that are read of one log in one look: an agent that floods it keeps nobody from being looked at."""
LONGEST_LINE = 2**23
"""Of a line that is longer nothing is read: no agent says so much at once."""

LATE_EVERY_S, LATE_SHARE = 10.0, 0.05
"""How often what an agent has used is asked of files beside its log, which are read from the beginning each time; and
what part of the time that may take."""

MOST_ANSWERS = 64
"""How many answers are kept apart, in case that more is told of one."""


@dataclass(slots=True)
class Followed:
    """`offset`: what has been read of the log; `rest`: the beginning of a line that has no end yet; `skips`: that line
    is too long. `used`: by model, but for the last `answers`, by their names: of those more may be told. `habit`:
    what it fails at, and `worst`: the same when it had gone furthest since the last look; `is_mute`: its adapter
    cannot read it. `late_at`: when it is next asked what is not in the log, on the clock that nobody sets."""

    offset: int = 0
    rest: bytes = b""
    skips: bool = False
    used: tuple[Usage, ...] = ()
    answers: dict[str, Usage] = field(default_factory=dict)
    habit: Habit = field(default_factory=Habit)
    worst: Habit = field(default_factory=Habit)
    is_mute: bool = False
    late_at: float = 0.0

    @property
    def usage(self) -> tuple[Usage, ...]:
        """What it has used so far, by model."""
        return reduce(added, self.answers.values(), self.used)


class Following:
    """Not for several threads."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._followed: dict[AttemptKey, Followed] = {}

    def look(self, attempts: Iterable[Attempt]) -> dict[AttemptKey, Followed]:
        """All that these have said by now; of others all is forgotten."""
        self._followed = {each.key: self._followed.get(each.key) or Followed() for each in attempts}
        for attempt in attempts:
            self._follow(attempt, self._followed[attempt.key])
        return self._followed

    def _follow(self, attempt: Attempt, followed: Followed) -> None:
        agent = self._works.agent_of(profile_of(self._works.settings(), attempt.agent))
        if followed.is_mute:
            return
        followed.worst = followed.habit
        try:
            log_file = self._works.session.places.log(attempt.key)
            for line in _new_lines(log_file, followed) if agent.reads_lines else ():
                _take(followed, agent, line)
            if not agent.tells_usage:
                self._use_late(attempt, followed, agent)
        except Exception:  # whatever an adapter meets, the others are to be followed
            log.exception("what %s says cannot be read", attempt.key)
            followed.is_mute = True

    def _use_late(self, attempt: Attempt, followed: Followed, agent: Agent) -> None:
        monotonic, places = self._works.session.clock.monotonic, self._works.session.places
        if (began := monotonic()) < followed.late_at:
            return
        home = places.agent_home(attempt.key.ticket, attempt.agent)
        result = agent.read_result(None, places.log(attempt.key), home)
        followed.used = Spending(self._works).report(attempt, result).usage
        followed.late_at = began + max(LATE_EVERY_S, (monotonic() - began) / LATE_SHARE)


def _take(followed: Followed, agent: Agent, line: str) -> None:
    for said in agent.read(line):
        _note(followed, said)


def _note(followed: Followed, said: Said) -> None:
    if said.usage is not None:
        _use(followed, said.text, said.usage)
    if said.kind is SaidKind.ACTION:
        followed.habit = acted(followed.habit, said.text)
    elif said.kind is SaidKind.RESULT:
        followed.habit = came_of_it(followed.habit, said.text, said.failed)
    if followed.habit.times > followed.worst.times:
        followed.worst = followed.habit


def _use(followed: Followed, answer: str, usage: Usage) -> None:
    """Some agents tell of one answer several times; what was told last of it counts."""
    if not answer:
        followed.used = added(followed.used, usage)
        return
    followed.answers.pop(answer, None)
    followed.answers[answer] = usage
    if len(followed.answers) > MOST_ANSWERS:
        oldest = next(iter(followed.answers))
        followed.used = added(followed.used, followed.answers.pop(oldest))


def _new_lines(path: Path, followed: Followed) -> Iterator[str]:
    read = _read(path, followed.offset)
    followed.offset += len(read)
    *lines, rest = (followed.rest + read).split(b"\n")
    for line in lines:
        if not followed.skips:
            yield line.decode("utf-8", "replace")
        followed.skips = False
    followed.skips = followed.skips or len(rest) > LONGEST_LINE
    followed.rest = b"" if followed.skips else rest


def _read(path: Path, offset: int) -> bytes:
    """Nothing where there is no log, or where a link or a pipe stands in its place."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, MOST_AT_ONCE, offset)
    except OSError:
        return b""
    finally:
        os.close(fd)
