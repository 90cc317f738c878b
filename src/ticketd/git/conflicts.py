"""Conflicts that an agent is to resolve: how they come into a worktree, and what of them is left when it has ended.

An agent's word that it has resolved something counts for nothing. A merge that goes on with its markers, or with a file
that nobody has decided about, would land as if it were somebody's work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ticketd.errors import GitFailed
from ticketd.git.door import Git
from ticketd.git.exactness import changes
from ticketd.git.index import is_plain
from ticketd.git.merging import MERGING
from ticketd.ports import Identity

# As a person without settings of their own would find it; what a merge in memory leaves alone, this one does too.
HOW = (MERGING, "merge.conflictStyle=merge", "merge.verifySignatures=false", "rerere.enabled=false")
QUIETLY = ("--quiet", "--no-stat", "--no-edit", "--no-log", "--no-autostash")
# Lines that only a merge writes; a setext heading of seven signs is why they are counted.
MARKERS = ("-e", "^(<{7,}|>{7,}|[|]{7,})( |$)", "-e", "^={7}[[:space:]]*$")
COUNTED = re.compile(r"([^\0]+)\0(\d+)\n")
MOST_PATHS = 1000
"""More are not given to git as arguments: then it looks at all there are."""


def begin_merge(git: Git, onto: str, by: Identity) -> tuple[str, ...]:
    """Merge `onto` into what the worktree stands at, and stop at the conflicts: their paths. A merge without conflicts
    is committed.

    Raises:
        GitFailed: there is no merge: a commit is missing, or the disk is full.
    """
    git.run("reset", "--hard", "--quiet")
    if not (answer := _merge(git, onto, by)):
        git.run("clean", "-ffd", "--quiet")  # what a setup has made may be in the way
        answer = _merge(git, onto, by)
    if not answer:
        raise GitFailed(f"{onto} could not be merged")
    return unmerged(git)


def _merge(git: Git, onto: str, by: Identity) -> bool:
    """Whether it is done or under way."""
    who = {"GIT_AUTHOR_NAME": by.name, "GIT_AUTHOR_EMAIL": by.email}
    who |= {"GIT_COMMITTER_NAME": by.name, "GIT_COMMITTER_EMAIL": by.email}
    message = f"Merge {onto}"
    answer = git.with_config(*HOW).ask(
        "merge", *QUIETLY, "--no-ff", "--allow-unrelated-histories", "-m", message, onto, env=who
    )
    return answer.ok or git.ask("rev-parse", "--quiet", "--verify", "MERGE_HEAD").ok


def unmerged(git: Git, index: Path | None = None, name_bytes: int = 20) -> tuple[str, ...]:
    """The paths that the index has as conflicts. Most often it has none, which its file tells without git."""
    if index is not None and is_plain(index, name_bytes):
        return ()
    entries = git.ask("ls-files", "--unmerged", "-z").split0()
    return tuple(sorted({entry.partition("\t")[2] for entry in entries}))


def marked(git: Git, tip: str, paths: Sequence[str], sides: Sequence[str]) -> tuple[str, ...]:
    """Those of `paths` that have more conflict markers at `tip` than in all `sides` together: some projects have files
    about them."""
    found = _markers(git, tip, paths)
    if not found:
        return ()
    known = [_markers(git, side, sorted(found)) for side in sides]
    return tuple(path for path in sorted(found) if found[path] > sum(side.get(path, 0) for side in known))


def _markers(git: Git, commit: str, paths: Sequence[str]) -> dict[str, int]:
    """How many lines of each file look like a marker; files without one are left out."""
    if not paths:
        return {}
    given = tuple(paths) if len(paths) <= MOST_PATHS else ()
    options = ("--literal-pathspecs", "grep", "-I", "-c", "-z", "-E", "--full-name", "--no-color", "--no-textconv")
    answer = git.ask(*options, *MARKERS, commit, "--", *given)
    if answer.code not in (0, 1):
        raise GitFailed(f"cannot look for conflict markers in {commit}", stderr=answer.err)
    counts = {path.removeprefix(f"{commit}:"): int(count) for path, count in COUNTED.findall(answer.out)}
    return {path: counts[path] for path in paths if path in counts}


def unresolved(
    git: Git, tip: str, undecided: Sequence[str], ours: str, theirs: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is left at `tip` of the conflicts between `ours` and `theirs`, and all of those. `undecided`: paths that the
    agent's index still has as conflicts.

    Left are paths with markers; paths without any (binary files, one side's deletion) that are still as git left them,
    and that nobody has called resolved; and files under the names that git gives to a side it has no place for.

    Raises:
        GitFailed: a commit is missing.
    """
    tree, begun = _merged(git, ours, theirs)
    concerned = sorted({*begun, *undecided})
    differing = {change.path for change in changes(git, tree, tip)}
    as_begun = {path for path in undecided if path in begun and path not in differing}
    aside = {path for path in undecided if path in differing and path.endswith(("~HEAD", f"~{theirs}"))}
    left = {*marked(git, tip, concerned, (ours, theirs)), *as_begun, *aside}
    return tuple(sorted(left)), tuple(concerned)


def _merged(git: Git, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
    """The tree as git leaves it, and the paths in conflict."""
    options = ("--write-tree", "-z", "--name-only", "--no-messages", "--allow-unrelated-histories")
    answer = git.with_config(MERGING).ask("merge-tree", *options, ours, theirs)
    if answer.code not in (0, 1):
        raise GitFailed("git merge-tree failed", stderr=answer.err)
    tree, *paths = answer.split0()
    return tree, tuple(sorted(set(paths)))
