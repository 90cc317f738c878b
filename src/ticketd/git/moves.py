"""What the target has that a commit has not: asked of many commits at once, for each running attempt has its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ticketd.errors import GitFailed
from ticketd.git.door import Git
from ticketd.git.exactness import PLAIN
from ticketd.ports import Moved

NOT_THERE = "000000"


def read_moves(git: Git, commits: Collection[str], tip: str) -> dict[str, Moved]:
    """Raises:
    GitFailed: one of them is missing.
    """
    others = sorted(set(commits) - {tip})
    paths, behind = (_paths(git, others, tip), _behind(git, others, tip)) if others else ({}, {})
    return {commit: Moved(behind.get(commit, 0), paths.get(commit, {})) for commit in commits}


def _paths(git: Git, commits: Collection[str], tip: str) -> dict[str, dict[str, bool]]:
    """`diff-tree --stdin` names the first of two commits and takes the second for its parent: so what it calls new is
    what the commit has, and old what the target has."""
    given = "".join(f"{commit} {tip}\n" for commit in commits).encode()
    options = ("-r", "-z", "--raw", "--no-abbrev", *PLAIN, "--always")
    answer = git.ask("diff-tree", "--stdin", *options, stdin=given)
    found: dict[str, dict[str, bool]] = {}
    fields, commit = iter(answer.out.split("\0")), ""
    for field in fields:
        if field.startswith(":"):
            found[commit][next(fields)] = field.split(" ")[1] != NOT_THERE
        elif field:
            commit = field
            found[commit] = {}
    if not answer.ok or found.keys() != set(commits):
        raise GitFailed(f"cannot compare with {tip}", stderr=answer.err)
    return found


def _behind(git: Git, commits: Collection[str], tip: str) -> Mapping[str, int]:
    """Counted on the part of the history above what they all have; two processes instead of one for each commit."""
    if len(commits) == 1:
        return {commit: int(git.run("rev-list", "--count", f"{commit}..{tip}")) for commit in commits}
    below = git.ask("merge-base", "--octopus", *commits).line
    given = "".join(f"{commit}\n" for commit in (tip, *commits, *([f"^{below}"] if below else []))).encode()
    lines = (line.split() for line in git.run("rev-list", "--parents", "--stdin", stdin=given).splitlines())
    parents = {commit: above for commit, *above in lines}
    of_tip = _reach(parents, tip)
    return {commit: len(of_tip - _reach(parents, commit)) for commit in commits}


def _reach(parents: Mapping[str, Collection[str]], start: str) -> set[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        commit = ahead.pop()
        if commit in parents and commit not in seen:
            seen.add(commit)
            ahead += parents[commit]
    return seen
