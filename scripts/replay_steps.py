"""Steps of a real history, read from git: what each changes, and what that means for tickets."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ticketd.domain.globs import fault, literal
from ticketd.domain.ticketfile import MAX_BYTES
from ticketd.domain.values import is_control, slug

Entry = tuple[str, str]
"""Mode and object; a mode of zeros where there is nothing."""

NOTHING, GITLINK = "000000", "160000"
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
        return " ".join(spoken(message, " ").split())[:100] or "(no message)"


@dataclass(frozen=True, slots=True)
class History:
    """`steps` in order, `start` the commit before the first. `left_out` paths of the end are no part of the replay:
    submodules that came within these steps, since ticketd lands none, and files that the repository lacks; `absent`
    are those that the start lacks already."""

    start: str
    end: str
    steps: tuple[Step, ...]
    empty: int
    only_gitlinks: int
    left_out: frozenset[str]
    absent: frozenset[str]


def git(repo: Path, *args: str, given: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    own = {**os.environ, "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0", **(env or {})}
    done = subprocess.run(["git", "-C", repo, *args], input=given, env=own, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {args[0]} in {repo}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def load_history(repo: Path, end: str, wanted: int, think: float, seed: int) -> History:
    """The newest `wanted` steps up to `end` that change something, oldest first; fewer if there are not so many."""
    tip = git(repo, "rev-parse", "--verify", "--end-of-options", f"{end}^{{commit}}").decode().strip()
    found: list[Step] = []
    empty = 0
    for step in _newest_first(repo, tip):
        empty += not step.changes
        found += [step] if step.changes else []
        if len(found) == wanted:
            break
    if not found:
        raise SystemExit(f"{repo} has no step up to {end} that changes something")
    start = found[-1].parent
    entries = entries_of(repo, f"{start}^{{tree}}")
    missing = _missing(repo, (*entries.values(), *(change.after for step in found for change in step.changes)))
    absent = {path for path, entry in entries.items() if entry[1] in missing}
    steps, left_out = without_what_cannot_be(reversed(found), missing, absent)
    named = _named(_with_texts(repo, steps), think, random.Random(seed))
    return History(start, tip, named, empty, len(found) - len(steps), frozenset(left_out), frozenset(absent))


def entries_of(repo: Path, tree: str) -> dict[str, tuple[str, str]]:
    """Mode and object of each path."""
    lines = (line.partition(b"\t") for line in git(repo, "ls-tree", "-r", "-z", tree).split(b"\0") if line)
    fields = {os.fsdecode(path): entry.decode().split() for entry, _, path in lines}
    return {path: (mode, sha) for path, (mode, _, sha) in fields.items()}


def _missing(repo: Path, entries: Iterable[tuple[str, str]]) -> set[str]:
    """Blobs that the repository names but lacks, as copies without their largest files do."""
    shas = {sha for mode, sha in entries if mode not in (NOTHING, GITLINK)}
    found = git(repo, "cat-file", "--batch-check", given="".join(f"{sha}\n" for sha in sorted(shas)).encode())
    return {line.split()[0] for line in found.decode().splitlines() if line.endswith(" missing")}


def _newest_first(repo: Path, tip: str) -> Iterator[Step]:
    """The first-parent steps, those that change nothing too; a commit without a parent is none."""
    order = ("rev-list", "--first-parent", "--parents", f"--max-count={CHUNK}")
    at, more = 0, True
    while more:
        lines = [line.split() for line in git(repo, *order, f"--skip={at}", tip).decode().splitlines()]
        pairs = [(line[0], line[1]) for line in lines if len(line) > 1]
        changes = _changes(repo, pairs)
        yield from (Step(commit, parent, changes.get(commit, ())) for commit, parent in pairs)
        at, more = at + CHUNK, len(lines) == CHUNK


def _changes(repo: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, tuple[Change, ...]]:
    """What each commit changes against its first parent; one process."""
    given = "".join(f"{commit} {parent}\n" for commit, parent in pairs).encode()
    command = ("diff-tree", "--stdin", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff")
    fields = iter(git(repo, *command, given=given).split(b"\0"))
    changes: dict[str, list[Change]] = {}
    commit = ""
    for head in fields:
        if head.startswith(b":"):
            old_mode, new_mode, old, new, _ = head.decode()[1:].split(" ")
            was = (old_mode, old)
            changes.setdefault(commit, []).append(Change(os.fsdecode(next(fields)), was, was, (new_mode, new)))
        elif head:
            commit = head.decode().strip()
    return {commit: tuple(found) for commit, found in changes.items()}


def without_what_cannot_be(steps: Iterable[Step], missing: set[str], absent: set[str]) -> tuple[list[Step], set[str]]:
    """The steps less every submodule that comes within them and every file that is missing, and the paths at which the
    end lacks one for that. `absent` are those of the start."""
    left_out = set(absent)
    kept = []
    for step in steps:
        changes = [change for change in (_settle(change, left_out, missing) for change in step.changes) if change]
        if changes:
            kept.append(replace(step, changes=tuple(changes)))
    return kept, left_out


def _settle(change: Change, left_out: set[str], missing: set[str]) -> Change | None:
    was_out = change.path in left_out
    stays = change.before[0] == GITLINK and not was_out
    before = (NOTHING, "0" * len(change.was[1])) if was_out else change.before
    after = change.after
    if (after[0] == GITLINK and not stays) or after[1] in missing:
        left_out.add(change.path)
        after = (NOTHING, "0" * len(after[1]))
    else:
        left_out.discard(change.path)
    return replace(change, before=before, after=after) if before != after else None


def _with_texts(repo: Path, steps: Sequence[Step]) -> Iterator[Step]:
    """With author, encoding and message; signatures would be of another commit."""
    out = git(repo, "cat-file", "--batch", given="".join(f"{step.commit}\n" for step in steps).encode())
    at = 0
    for step in steps:
        end = out.index(b"\n", at)
        size = int(out[at:end].rsplit(b" ", 1)[1])
        yield replace(step, text=_text(out[end + 1 : end + 1 + size]))
        at = end + size + 2


def _text(content: bytes) -> bytes:
    head, _, message = content.partition(b"\n\n")
    lines = [line for line in head.split(b"\n") if line.startswith((b"author ", b"committer ", b"encoding "))]
    return b"\n".join(lines) + b"\n\n" + message


def _named(steps: Iterable[Step], think: float, rng: random.Random) -> tuple[Step, ...]:
    """Ids in the order of the steps. Think time is skewed: its median is `think`, one in ten takes ten times that."""
    return tuple(
        replace(
            step,
            id=f"{number:05d}-{slug(step.subject)[:40].strip('-')}",
            think=round(think * (LONG_THINK if rng.random() < 0.1 else rng.uniform(0.5, 1.4)), 3),
        )
        for number, step in enumerate(steps, start=1)
    )


def touches(step: Step) -> list[str]:
    """Exactly the paths that the step changes; a character that no pattern may have is any character."""
    patterns = [_pattern(change.path) for change in step.changes]
    too_much = sum(len(pattern) + 16 for pattern in patterns) > MAX_BYTES // 2
    return ["**"] if too_much or any(map(fault, patterns)) else patterns


def _pattern(path: str) -> str:
    stand_in = "\ue000"
    return literal(spoken(path, stand_in)).replace(stand_in, "?")


def spoken(text: str, instead: str) -> str:
    """Without the characters that a ticket file may not have."""
    return "".join(instead if is_control(char) else char for char in text)


def longest_chain(steps: Sequence[Step], seconds: Mapping[str, float]) -> float:
    """The time that steps which overlap take one after the other. A path overlaps what is below it and above it."""
    at: dict[str, float] = {}
    below: dict[str, float] = {}
    for step in steps:
        paths = [change.path for change in step.changes]
        before = max((_ends(path, at, below) for path in paths), default=0.0)
        end = before + seconds.get(step.id, 0.0)
        for path in paths:
            at[path] = end
            for folder in _above(path):
                below[folder] = max(end, below.get(folder, 0.0))
    return max(at.values(), default=0.0)


def _ends(path: str, at: Mapping[str, float], below: Mapping[str, float]) -> float:
    return max(at.get(path, 0.0), below.get(path, 0.0), *(at.get(folder, 0.0) for folder in _above(path)))


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
