"""What a tree holds, as a commit: taken with an index of our own, so that an agent's is neither needed nor touched."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ticketd.domain.attempt import AttemptKey
from ticketd.domain.settings import LARGEST_FILE
from ticketd.errors import GitFailed
from ticketd.git.commits import resolve
from ticketd.git.control import Control
from ticketd.git.door import Git
from ticketd.git.exactness import GITLINK, Change, changes, untouched
from ticketd.git.index import is_plain
from ticketd.git.objects import quoted
from ticketd.git.tree import Tree, clear_hiding_bits
from ticketd.ports import Identity

_SHA = re.compile(r"\b[0-9a-f]{40}(?:[0-9a-f]{24})?\b")
NOTED = "clone-noted"
"""All that a tree's own clone has mentioned of commits (`ingest.py`), a name a line."""
# Where git notes commits that HEAD has left or was to come to.
_NOTES = (NOTED, "logs/HEAD", "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REBASE_HEAD", "BISECT_START")
_REBASE_NOTES = ("rebase-merge/orig-head", "rebase-apply/orig-head", "rebase-merge/stopped-sha")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a tree stands: HEAD's commit (that of the tree's branch where HEAD is unborn, damaged or gone; the base if
    neither is there), its tree object, that of the base, the branch's commit, whether git can work with the tree's
    git directory, the commits of a merge that is under way, and what the agent has pushed."""

    head: str
    content: str
    base_content: str
    branch: str | None
    usable: bool
    merging: tuple[str, ...] = ()
    pushed: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A tree object, what it changes of the base's, and the paths whose content could not be put into it, or was not
    since there is too much of it. `amends`: it takes back what HEAD's commits had changed without having touched it."""

    tree: str
    changes: tuple[Change, ...]
    left_out: tuple[str, ...] = ()
    too_large: tuple[str, ...] = ()
    amends: bool = False


def look(control: Control, tree: Tree, base: str, kept: str = "") -> Standing:
    """All that is asked of the refs, in one process as long as the git directory is sound. `kept` is the attempt's own
    ref, if it is asked for.

    Raises:
        GitFailed: the base is missing.
    """
    names = [f"{base}^{{tree}}", "HEAD^{commit}", "HEAD^{tree}"]
    if tree.branch:
        names += [f"refs/heads/{tree.branch}^{{{kind}}}" for kind in ("commit", "tree")]
    names += [f"{kept}^{{commit}}"] * bool(kept)
    noted = [f"{sha}^{{commit}}" for sha in _merge_heads(tree)]
    found = resolve(tree.git(control), [*names, *noted]) if tree.has_admin else None
    usable = found is not None
    if found is None:
        # The control repository's own HEAD is on a branch that never exists.
        found = resolve(control.git, [*names, *noted])
    if found is None or found[0] is None:
        raise GitFailed(f"commit {base} is missing")
    branch, branch_content = found[3:5] if tree.branch else (None, None)
    pushed = found[len(names) - 1] if kept else None
    merging = tuple(sha for sha in found[len(names) :] if sha)
    for head, content in ((found[1], found[2]), (branch, branch_content)):
        if head and content:
            return Standing(head, content, found[0], branch, usable, merging, pushed)
    return Standing(base, found[0], found[0], branch, usable, pushed=pushed)


def _merge_heads(tree: Tree) -> list[str]:
    """What is being merged: an agent that may not write git's own files leaves its merge to be committed for it."""
    note = tree.admin / "MERGE_HEAD"
    return _SHA.findall(note.read_text(errors="replace")) if note.is_file() else []


def take(
    control: Control,
    tree: Tree,
    at: Standing,
    env: Mapping[str, str] | None = None,
    largest: int = LARGEST_FILE,
    deletions: bool = True,
) -> Snapshot:
    """The content of the working tree as a tree object; ignored files stay out, conflicted ones come as they are, and
    files that are what a checkout writes are unchanged, whatever `add` makes of them.

    `env` can send the objects elsewhere. Without `deletions` files that are gone are as HEAD has them. A
    tree without its git directory is read by way of the control repository's.

    Raises:
        GitFailed: git could not read it.
    """
    git = tree.git(control, env) if at.usable else tree.git(control, {"GIT_DIR": str(control.own), **(env or {})})
    with tempfile.TemporaryDirectory(prefix="index-", dir=control.state) as scratch:
        index = Path(scratch) / "index"
        own = {"GIT_INDEX_FILE": str(index)}
        if at.usable:
            _copy_index(tree.admin / "index", index)
        plain = is_plain(index, len(at.head) // 2)
        if not (plain or (index.exists() and clear_hiding_bits(git, tree.path, own, sparse=True))):
            index.unlink(missing_ok=True)
            git.run("read-tree", at.head, env=own)
        large = _larger(git, tree.path, own, largest)
        left_out = _add(git, own, () if plain else _nested(git, own), large, "-A" if deletions else "--ignore-removal")
        taken = _exact(git, tree.path, at, own, largest)
        return replace(taken, left_out=left_out, too_large=tuple(dict.fromkeys((*large, *taken.too_large))))


def _larger(git: Git, root: Path, own: Mapping[str, str], largest: int) -> tuple[str, ...]:
    """Files that the index does not know, found before `add` would fill the disk with them. One that it knows shows
    when it has been added."""
    found = git.ask("ls-files", "-z", "--others", "--exclude-standard", env=own).split0()
    return tuple(path for path in found if _size(root / path) > largest)


def _size(path: Path) -> int:
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _exact(git: Git, root: Path, at: Standing, own: Mapping[str, str], largest: int) -> Snapshot:
    """What `add` has put into the index, less what is as it was: in HEAD's commit, or even in the base, where the
    agent's own `add -A` has fallen for it. But one that changes attributes may well mean what follows from them."""
    content = git.run("write-tree", env=own)
    of_head = changes(git, at.content, content, own)
    of_base = of_head if at.content == at.base_content else changes(git, at.base_content, content, own)
    meant = any(PurePosixPath(change.path).name == ".gitattributes" for change in of_base)
    none = untouched(git, root, of_head if meant else tuple(dict.fromkeys((*of_head, *of_base))), own)
    large = tuple(change for change in of_base if change.new != change.old and _size(root / change.path) > largest)
    none += tuple(change for change in large if change not in none)
    if not none:
        return Snapshot(content, of_base)
    # Where a file is as it was in both, the base's entry comes last and stays.
    lines = "".join(f"{_mode(change)} {change.old}\t{change.path}\0" for change in none)
    git.run("update-index", "-z", "--index-info", stdin=os.fsencode(lines), env=own)
    content = git.run("write-tree", env=own)
    amends = not set(none) <= set(of_head)
    too_large = tuple(change.path for change in large)
    return Snapshot(content, changes(git, at.base_content, content, own), too_large=too_large, amends=amends)


def _mode(change: Change) -> str:
    """0 takes it out of the index, as it was not there before."""
    return change.new_mode if change.old.strip("0") else "0"


def _copy_index(source: Path, target: Path) -> None:
    """With its time: git takes files as new as the index for suspect, and would trust them under a younger one. A link
    could lead to a file without an end."""
    try:
        if not source.is_symlink():
            shutil.copy2(source, target)
    except OSError:
        target.unlink(missing_ok=True)


def _add(
    git: Git, own: Mapping[str, str], nested: Sequence[str], large: Sequence[str], how: str = "-A"
) -> tuple[str, ...]:
    """Add everything; where git refuses (a repository without a commit inside, a file nobody may read), everything
    else. The paths that stayed out.

    Of the `nested` repositories only HEAD is read: `add` would have each of them asked for changes, by a git that runs
    what its configuration names (measured: a filter; no option and no setting of ours keeps it from that)."""
    if nested:
        given = os.fsencode("".join(f"{path}\0" for path in nested))
        git.ask("update-index", "--remove", "-z", "--stdin", stdin=given, env=own)
    if git.ask("add", how, "--", ".", *_but([*nested, *large]), env=own).ok:
        return ()
    inner = [path.rstrip("/") for path in _untracked(git, own) if path.endswith("/")]
    git.ask("add", how, "--ignore-errors", "--", ".", *_but([*nested, *large, *inner]), env=own)
    return tuple(path.rstrip("/") for path in _untracked(git, own) if path not in large)


def _but(paths: Sequence[str]) -> Iterator[str]:
    return (f":(exclude,top,literal){path}" for path in paths)


def _nested(git: Git, own: Mapping[str, str]) -> tuple[str, ...]:
    """The repositories inside that the index knows."""
    entries = git.ask("ls-files", "--stage", "-z", env=own).split0()
    return tuple(dict.fromkeys(entry.partition("\t")[2] for entry in entries if entry.startswith(GITLINK)))


def _untracked(git: Git, own: Mapping[str, str]) -> tuple[str, ...]:
    return git.ask("ls-files", "-z", "--others", "--modified", "--exclude-standard", env=own).split0()


def commit_taken(git: Git, taken: Snapshot, at: Standing, base: str, message: str, by: Identity) -> str:
    """What is taken as a commit on top of HEAD's, if that has it not. One that amends is a merge with the base: then it
    all lands as one commit, and what was taken back meets nobody else's work. A merge that was left uncommitted is one
    too, so that the conflicts it has solved do not come up again."""
    if taken.tree == at.content and not at.merging:
        return at.head
    parents = tuple(dict.fromkeys((at.head, *at.merging, *((base,) if taken.amends else ()))))
    return commit_snapshot(git, taken.tree, parents, message, by)


def commit_snapshot(git: Git, tree: str, parents: Sequence[str], message: str, by: Identity) -> str:
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", by.name), ("EMAIL", by.email))
    }
    text = message.encode(errors="surrogateescape")
    plain = git.with_config("i18n.commitEncoding=UTF-8")
    options = [option for parent in parents for option in ("-p", parent)]
    return plain.run("commit-tree", tree, *options, "-F", "-", stdin=text, env=who)


def dropped(control: Control, tree: Tree, at: Standing, tip: str, base: str, key: AttemptKey) -> tuple[str, ...]:
    """Commits that were made in the tree and that neither `tip` nor a kept attempt or the target has: amended, reset
    away, on another branch, or of an unfinished rebase. Only the newest of each line. The attempt's own ref, which a
    push has set, keeps nothing: it is about to move."""
    seen = set(noted_commits(tree))
    seen.update(sha for sha in (at.branch, at.pushed) if sha)
    wanted = sorted(seen - {tip, at.head, base})
    if not wanted:
        return ()
    given = "".join(f"{sha}\n" for sha in (*wanted, f"^{tip}", f"^{base}")).encode()
    others = (f"--exclude={key.ref}", "--glob=refs/ticketd/*")
    kept = ("--not", "--glob=refs/target/*", *others, "--glob=refs/ticketd-extra/*")
    answer = control.git.ask("rev-list", "--ignore-missing", "--parents", "--stdin", *kept, stdin=given)
    lines = [line.split() for line in answer.out.splitlines()]
    parents = {parent for line in lines for parent in line[1:]}
    return tuple(line[0] for line in lines if line[0] not in parents)


def noted_commits(tree: Tree) -> Iterator[str]:
    """What its git directory says that HEAD has been at, or was to come to."""
    for note in (tree.admin / name for name in _NOTES + _REBASE_NOTES):
        if note.is_file():
            for line in note.read_text(errors="replace").splitlines():
                yield from (sha for sha in _SHA.findall(line.partition("\t")[0]) if sha.strip("0"))


def render_refs(key: AttemptKey, tip: str, extra: Sequence[str], taken: int) -> list[str]:
    """Lines for `update-ref --stdin`: the attempt's ref, and one for each commit that it has dropped."""
    aside = [f"update {extra_ref(key)}/{taken + n} {sha}" for n, sha in enumerate(extra, start=1)]
    return [f"update {key.ref} {tip}", *aside]


def extra_ref(key: AttemptKey) -> str:
    return f"refs/ticketd-extra/{key.ticket}/{key.number}"


@contextmanager
def throw_away_objects(control: Control) -> Iterator[dict[str, str]]:
    """Variables that send new objects to a directory which goes at the end: a trial leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="trial-", dir=control.state) as scratch:
        yield {
            "GIT_OBJECT_DIRECTORY": os.fspath(scratch),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": quoted(control.path / "objects"),
            # Nobody needs them after a crash: waiting for the disk takes most of the time where there are thousands.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "core.fsync",
            "GIT_CONFIG_VALUE_0": "none",
        }
