"""Whether a running agent gets anywhere: how long it has been still, and whether it fails at the same thing again and
again. Pure; times are of the clock that nobody sets."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

LONGEST_GAP_S = 30.0
"""More than that between two looks counts as this: the machine slept, or had no time for us either."""
WINDOW_S = 30.0
BUSY = 0.05
"""What part of a processor is work. Less than that a program uses that only waits, as long as it is looked at for
`WINDOW_S`: a server's pings have to be read, too."""
SAID_AFTER = 1 / 3
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Signs:
    """What is seen of an attempt at one moment. `log_bytes`: of output so far; `cpu_s`: of its whole process tree;
    `files`: changes with any file of its worktree."""

    at: float
    log_bytes: int
    cpu_s: float | None = None
    files: int = 0


@dataclass(frozen=True, slots=True)
class Stillness:
    """`still_s`: for how long nothing has been seen; `last`: the signs of the last look; `since`, `cpu_s`: where the
    window began by which CPU is judged."""

    still_s: float
    last: Signs
    since: float
    cpu_s: float | None

    @classmethod
    def begun(cls, signs: Signs) -> Stillness:
        return cls(0.0, signs, signs.at, signs.cpu_s)


def looked(before: Stillness, now: Signs, stall_s: float) -> Stillness:
    """What follows from one more look."""
    passed = min(max(now.at - before.last.at, 0.0), LONGEST_GAP_S)
    spoke = (now.log_bytes, now.files) != (before.last.log_bytes, before.last.files)
    window = now.at - before.since
    is_full = window >= min(WINDOW_S, stall_s / 5)
    spent = 0.0 if now.cpu_s is None or before.cpu_s is None else now.cpu_s - before.cpu_s
    worked = is_full and spent >= BUSY * window
    after = replace(before, still_s=0.0 if spoke or worked else before.still_s + passed, last=now)
    return replace(after, since=now.at, cpu_s=now.cpu_s) if is_full or before.cpu_s is None else after


def span(seconds: float) -> str:
    """`45s`, `5m`, `2h 5m`."""
    minutes = int(seconds) // 60
    if minutes < 2:
        return f"{seconds:.0f}s"
    return f"{minutes}m" if minutes < 120 else f"{minutes // 60}h {minutes % 60}m"


def still_words(still_s: float, stall_s: float) -> str:
    """What people are told; nothing for the first third."""
    return f"no sign of progress for {span(still_s)}" if still_s >= SAID_AFTER * stall_s else ""


def stall_words(stall_s: float, held_up: str) -> str:
    """Why it was ended. `held_up`: what kept it from going on, as far as that is known."""
    why = f" ({held_up})" if held_up else ""
    return f"no sign of progress for {span(stall_s)}: no output, no change to a file, no CPU{why}"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that an agent did, and what came of it."""

    action: str
    result: str


@dataclass(frozen=True, slots=True)
class Habit:
    """`times`: how often in a row the same step has failed. `open`: what it does just now, oldest first: agents do
    several things at once, and their results come in that order."""

    step: Step | None = None
    times: int = 0
    open: tuple[str, ...] = ()


MOST_OPEN = 64
_SHELL = re.compile(r"\S*sh -l?c (['\"])(?P<command>.*)\1", re.DOTALL)
_COMMENT = re.compile(r"\s+#[^'\"`\n]*\Z")


def acted(habit: Habit, action: str) -> Habit:
    return replace(habit, open=(*habit.open, action)[-MOST_OPEN:])


def came_of_it(habit: Habit, result: str, failed: bool) -> Habit:
    action, left = (habit.open[0], habit.open[1:]) if habit.open else ("", ())
    if not failed:
        return Habit(open=left)
    step = Step(_bare(action), result)
    return Habit(step, habit.times + 1 if step == habit.step else 1, left)


def _bare(action: str) -> str:
    """Without the shell that some put around a command, and without a comment behind it: some number their attempts
    there, and do the same."""
    inside = _SHELL.fullmatch(action)
    return _COMMENT.sub("", inside["command"] if inside else action)


def loop_words(habit: Habit) -> str:
    """Why it was ended, with what it did."""
    assert habit.step is not None
    did, result = (_cut(text) for text in (habit.step.action or "the same action", habit.step.result))
    return f"it has failed at the same thing {habit.times} times in a row: {did}" + (f": {result}" if result else "")


def _cut(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= SHOWN else f"{words[:SHOWN]}…"
