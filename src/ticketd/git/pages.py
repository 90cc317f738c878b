"""What briefs tell of commits: pages of the wiki, read from git and not from anybody's checkout, and subjects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from ticketd.domain.pages import Page, in_order
from ticketd.errors import GitFailed
from ticketd.git.commits import parse_commit
from ticketd.git.door import Git
from ticketd.git.objects import Objects, ask_objects

SUFFIXES = (".md", ".markdown", ".txt", ".rst", ".adoc")
ORDINARY = ("100644", "100755")
MOST_PAGES = 1000
MOST_BYTES, LONGEST = 2**21, 256 * 2**10
"""Of all pages that are read, and of one: a longer one does not get into a brief, and is named without its heading."""


def read_pages(git: Git, commit: str, folders: Sequence[str]) -> tuple[Page, ...]:
    """In the order in which they matter. Two processes; none where the same was asked for lately, as it is by all that
    begin at one commit.

    Raises:
        GitFailed: the commit is missing, or git broke.
    """
    return _read(git.cwd, git.config, tuple(sorted(git.env.items())), commit, tuple(folders))


@lru_cache(maxsize=16)
def _read(
    cwd: Path, config: tuple[str, ...], env: tuple[tuple[str, str], ...], commit: str, folders: tuple[str, ...]
) -> tuple[Page, ...]:
    git = Git(cwd, config, dict(env))
    names = {page: sha for sha, page in _listed(git, commit, folders)}
    pages = in_order(tuple(names), folders)[:MOST_PAGES]
    wanted = [names[page] for page in _worth_reading(pages)]
    contents = dict(zip(wanted, ask_objects(git, wanted), strict=True)) if wanted else {}
    return tuple(_with_text(pages, [contents.get(names[page]) for page in pages]))


def _worth_reading(pages: Sequence[Page]) -> Iterator[Page]:
    room = MOST_BYTES
    for page in pages:
        if page.size <= min(room, LONGEST):
            room -= page.size
            yield page


def _listed(git: Git, commit: str, folders: Sequence[str]) -> Iterator[tuple[str, Page]]:
    """Only ordinary files: a link may lead anywhere, and a submodule is somebody else's."""
    answer = git.ask("ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--", *folders)
    if not answer.ok:
        raise GitFailed(f"cannot list the wiki of {commit}", stderr=answer.err)
    for line in answer.split0():
        about, _, path = line.partition("\t")
        mode, kind, sha, size = about.split()
        if mode in ORDINARY and kind == "blob" and path.lower().endswith(SUFFIXES):
            yield sha, Page(path, int(size))


def _with_text(pages: Sequence[Page], contents: Sequence[tuple[str, bytes] | None]) -> Iterator[Page]:
    for page, read in zip(pages, contents, strict=True):
        if read is None:
            yield page
        elif b"\0" not in read[1]:
            yield Page(page.path, page.size, read[1].decode("utf-8", "replace"))


def read_subjects(objects: Objects, base: str, tip: str, most: int) -> tuple[str, ...]:
    """Commits of attempts are loose as a rule: no process then."""
    return tuple(_subjects(objects, base, tip, most))


def _subjects(objects: Objects, base: str, tip: str, most: int) -> Iterator[str]:
    at = tip
    for _ in range(most):
        (content,) = objects.load([at]) if at != base else (None,)
        if content is None:
            return
        commit = parse_commit(at, content)
        yield commit.message.decode("utf-8", "replace").partition("\n")[0]
        if not commit.parents:
            return
        at = commit.parents[0]
