"""Steps of a real history, read from git: what each changes, and what that means for tickets."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ticketd.domain.globs import fault, literal
from ticketd.domain.ticketfile import MAX_BYTES
from ticketd.domain.values import slug

Entry = tuple[str, str]
"""Mode and object; a mode of zeros where there is nothing."""

NOTHING, GITLINK = "000000", "160000"
UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
LONG_THINK = 10.0
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Change:
    """`was` is what the parent has at `path`; `before` what the replay has there, which is less a left-out gitlink."""

    path: str
    was: Entry
    before: Entry
    after: Entry


@dataclass(frozen=True, slots=True)
class Step:
    """`text` is the commit object from its author on."""

    commit: str
    parent: str
    changes: tuple[Change, ...]
    text: bytes = b""
    id: str = ""
    think: float = 0.0

    @property
    def subject(self) -> str:
        message = self.text.partition(b"\n\n")[2].strip().partition(b"\n")[0].decode(errors="replace")
        return " ".join(UNSPEAKABLE.sub(" ", message).split())[:100] or "(no message)"


@dataclass(frozen=True, slots=True)
class History:
    """`steps` in order, `start` the commit before the first. `left_out` paths are submodules that came within these
    steps: ticketd lands none, so they are no part of the replay."""

    start: str
    end: str
    steps: tuple[Step, ...]
    empty: int
    only_gitlinks: int
    left_out: frozenset[str]


def git(repo: Path, *args: str, given: bytes = b"") -> bytes:
    env = {**os.environ, "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(["git", *args], cwd=repo, input=given, env=env, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {args[0]} in {repo}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def load_history(repo: Path, end: str, wanted: int, think: float, seed: int) -> History:
    """The newest `wanted` steps up to `end` that change something, oldest first; fewer if there are not so many."""
    tip = git(repo, "rev-parse", "--verify", "--end-of-options", f"{end}^{{commit}}").decode().strip()
    found: list[Step] = []
    looked_at, start = 0, tip
    for commit, parent in _first_parents(repo, tip, wanted):
        found.append(Step(commit, parent, ()))
        found, looked_at, start = found, looked_at + 1, parent
        if len(found) % CHUNK == 0 or len(found) >= wanted:
            found = _with_changes(repo, found)
        if len(found) >= wanted and all(step.changes for step in found):
            break
    found = _with_changes(repo, found)
    steps, left_out = without_new_gitlinks(reversed(found))
    named = _named(_with_texts(repo, steps), think, random.Random(seed))
    return History(start, tip, named, looked_at - len(found), len(found) - len(steps), frozenset(left_out))
