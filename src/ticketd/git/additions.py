"""What a range of commits brings into a repository, commit by commit: what a later one takes out again is there too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ticketd.errors import GitFailed
from ticketd.git.door import Git
from ticketd.git.exactness import PLAIN
from ticketd.git.objects import Objects
from ticketd.ports import Addition

LARGEST = 64 * 2**20
AT_ONCE = 64 * 2**20
SUBMODULE = "160000"


class _Change(NamedTuple):
    commit: str
    path: str
    old: str
    new: str


def read_additions(git: Git, objects: Objects, base: str, tip: str) -> Iterator[Addition]:
    """The messages, then the files. Four processes, however many commits.

    Raises:
        GitFailed: an object is missing or damaged, or git broke.
    """
    commits = git.run("rev-list", "--end-of-options", tip, f"^{base}").split()
    for commit, content in zip(commits, _load(objects, commits), strict=True):
        yield Addition(commit, "", content, b"")
    changes = list(_changes(git, commits))
    sizes = _sizes(git, {name for each in changes for name in (each.old, each.new) if name.strip("0")})
    for some in _in_portions(changes, sizes):
        small = [name for each in some for name in (each.old, each.new) if sizes.get(name, LARGEST + 1) <= LARGEST]
        found = dict(zip(small, _load(objects, small), strict=True))
        for each in some:
            yield Addition(each.commit, each.path, found.get(each.new), found.get(each.old, b""))


def _load(objects: Objects, names: Sequence[str]) -> list[bytes]:
    found = objects.load(names)
    if None in found:
        raise GitFailed(f"object {names[found.index(None)]} is missing")
    return [content for content in found if content is not None]


def _changes(git: Git, commits: Sequence[str]) -> Iterator[_Change]:
    """Of each file that a commit adds or changes; a commit without a parent adds all it has."""
    given = "".join(f"{commit}\n" for commit in commits).encode()
    options = ("--stdin", "-r", "-z", "-m", "--root", "--raw", "--no-abbrev", *PLAIN, "--diff-filter=d")
    answer = git.ask("diff-tree", *options, stdin=given)
    if not answer.ok:
        raise GitFailed("cannot tell what commits change", stderr=answer.err)
    fields, commit = iter(answer.split0()), ""
    for field in fields:
        if not field.startswith(":"):
            commit = field
            continue
        _, mode, old, new, _ = field.split(" ")
        path = next(fields)
        if mode != SUBMODULE:
            yield _Change(commit, path, old, new)


def _sizes(git: Git, names: set[str]) -> dict[str, int]:
    """Of each blob; a submodule's commit is none, and not here."""
    given = "".join(f"{name}\n" for name in sorted(names)).encode()
    answer = git.ask("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=given)
    if not answer.ok:
        raise GitFailed("cannot tell how large objects are", stderr=answer.err)
    told = (line.split(" ") for line in answer.out.splitlines())
    return {words[0]: int(words[2]) for words in told if len(words) == 3 and words[1] == "blob"}


def _in_portions(changes: Sequence[_Change], sizes: dict[str, int]) -> Iterator[list[_Change]]:
    """So that no more than a few files are in memory at a time."""
    portion: list[_Change] = []
    weight = 0
    for each in changes:
        size = sum(min(sizes.get(name, 0), LARGEST) for name in (each.old, each.new))
        if portion and weight + size > AT_ONCE:
            yield portion
            portion, weight = [], 0
        portion.append(each)
        weight += size
    if portion:
        yield portion
