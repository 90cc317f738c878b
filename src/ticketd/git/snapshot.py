"""What a tree holds, as a commit: taken with an index of our own, so that an agent's is neither needed nor touched."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ticketd.domain.attempt import AttemptKey
from ticketd.errors import GitFailed
from ticketd.git.control import Control
from ticketd.git.door import Git
from ticketd.git.tree import Tree, clear_hiding_bits
from ticketd.ports import Identity

_SHA = re.compile(r"\b[0-9a-f]{40}(?:[0-9a-f]{24})?\b")
# Where git notes commits that HEAD has left or was to come to.
_NOTES = ("logs/HEAD", "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REBASE_HEAD", "BISECT_START")
_REBASE_NOTES = ("rebase-merge/orig-head", "rebase-apply/orig-head", "rebase-merge/stopped-sha")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A tree object, and the paths whose content could not be put into it."""

    tree: str
    left_out: tuple[str, ...] = ()


def head_commit(control: Control, tree: Tree) -> str | None:
    """HEAD's commit; that of the tree's branch where HEAD is unborn, damaged or gone; None if neither is there."""
    if tree.has_admin:
        answer = tree.git(control).ask("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
        if answer.ok:
            return answer.line
    return control.read_ref(f"refs/heads/{tree.branch}") if tree.branch else None


def take(control: Control, tree: Tree, head: str, env: Mapping[str, str] | None = None) -> Snapshot:
    """The content of the working tree as a tree object; ignored files stay out, conflicted ones come as they are.

    `env` can send the objects elsewhere. A tree without its git directory is read by way of the control repository's.

    Raises:
        GitFailed: git could not read it.
    """
    usable = tree.has_admin and tree.git(control).ask("rev-parse", "--git-dir").ok
    git = tree.git(control, env) if usable else tree.git(control, {"GIT_DIR": str(control.path), **(env or {})})
    with tempfile.TemporaryDirectory(prefix="index-", dir=control.state) as scratch:
        index = Path(scratch) / "index"
        own = {"GIT_INDEX_FILE": str(index)}
        if usable:
            _copy_index(tree.admin / "index", index)
        if not index.exists() or not clear_hiding_bits(git, tree.path, own, sparse=True):
            index.unlink(missing_ok=True)
            git.run("read-tree", head, env=own)
        left_out = _add(git, own)
        return Snapshot(git.run("write-tree", env=own), left_out)


def _copy_index(source: Path, target: Path) -> None:
    """With its time: git takes files as new as the index for suspect, and would trust them under a younger one."""
    try:
        shutil.copy2(source, target)
    except OSError:
        target.unlink(missing_ok=True)


def _add(git: Git, own: Mapping[str, str]) -> tuple[str, ...]:
    """Add everything; where git refuses (a repository without a commit inside, a file nobody may read), everything
    else. The paths that stayed out."""
    if git.ask("add", "-A", env=own).ok:
        return ()
    inner = [path.rstrip("/") for path in _untracked(git, own) if path.endswith("/")]
    git.ask("add", "-A", "--ignore-errors", "--", ".", *(f":(exclude,top,literal){path}" for path in inner), env=own)
    return tuple(path.rstrip("/") for path in _untracked(git, own))


def _untracked(git: Git, own: Mapping[str, str]) -> tuple[str, ...]:
    return git.ask("ls-files", "-z", "--others", "--modified", "--exclude-standard", env=own).split0()


def commit_snapshot(git: Git, tree: str, parent: str, message: str, by: Identity) -> str:
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", by.name), ("EMAIL", by.email))
    }
    text = message.encode(errors="surrogateescape")
    plain = git.with_config("i18n.commitEncoding=UTF-8")
    return plain.run("commit-tree", tree, "-p", parent, "-F", "-", stdin=text, env=who)


def dropped(control: Control, tree: Tree, tip: str, base: str) -> tuple[str, ...]:
    """Commits that were made in the tree and that neither `tip` nor a kept attempt or the target has: amended, reset
    away, on another branch, or of an unfinished rebase. Only the newest of each line."""
    seen = set(_noted(tree))
    if tree.branch and (own := control.read_ref(f"refs/heads/{tree.branch}")):
        seen.add(own)
    wanted = sorted(seen - {tip, base})
    if not wanted:
        return ()
    given = "".join(f"{sha}\n" for sha in (*wanted, f"^{tip}", f"^{base}")).encode()
    kept = ("--not", "--glob=refs/target/*", "--glob=refs/ticketd/*", "--glob=refs/ticketd-extra/*")
    answer = control.git.ask("rev-list", "--ignore-missing", "--parents", "--stdin", *kept, stdin=given)
    lines = [line.split() for line in answer.out.splitlines()]
    parents = {parent for line in lines for parent in line[1:]}
    return tuple(line[0] for line in lines if line[0] not in parents)


def _noted(tree: Tree) -> Iterator[str]:
    for note in (tree.admin / name for name in _NOTES + _REBASE_NOTES):
        if note.is_file():
            for line in note.read_text(errors="replace").splitlines():
                yield from (sha for sha in _SHA.findall(line.partition("\t")[0]) if sha.strip("0"))


def differences(git: Git, base: str, tip: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths that differ, and those of them that are repositories now and were not."""
    answer = git.ask("diff-tree", "-r", "-z", "--raw", "--no-renames", base, tip)
    if not answer.ok:
        raise GitFailed(f"cannot compare {base} and {tip}", stderr=answer.err)
    fields = answer.out.split("\0")
    entries = list(zip(fields[0::2], fields[1::2], strict=False))
    nested = tuple(path for modes, path in entries if modes.split()[1] == "160000" and modes[1:7] != "160000")
    return tuple(path for _, path in entries), nested


def render_refs(key: AttemptKey, tip: str, extra: Sequence[str], taken: int) -> bytes:
    """Input for `update-ref --stdin`: the attempt's ref, and one for each commit that it has dropped."""
    lines = [f"update {key.ref} {tip}"]
    lines += [f"update {extra_ref(key)}/{taken + n} {sha}" for n, sha in enumerate(extra, start=1)]
    return "".join(f"{line}\n" for line in lines).encode()


def extra_ref(key: AttemptKey) -> str:
    return f"refs/ticketd-extra/{key.ticket}/{key.number}"


@contextmanager
def throw_away_objects(control: Control) -> Iterator[dict[str, str]]:
    """Variables that send new objects to a directory which goes at the end: a trial leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="trial-", dir=control.state) as scratch:
        objects = str(control.path / "objects").replace("\\", "\\\\").replace('"', '\\"')
        yield {"GIT_OBJECT_DIRECTORY": os.fspath(scratch), "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{objects}"'}
