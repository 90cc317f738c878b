"""What a rebase of the trees of running attempts would meet. Nothing is touched, and no object stays.

It is asked at each move of the target, of all attempts that have written where the target has changed, and to take all
of a tree of 5,000 files and rebase it takes 60 ms. So only files that are known to be touched are read, and one `git
merge-tree --stdin` (git 2.39) merges for all trees at once, commit by commit. Where that is clean the rebase is clean;
where not, `rebase` itself is asked, for it is how the work would land.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from ticketd.domain.merging import MergeRules
from ticketd.errors import GitFailed
from ticketd.git import snapshot
from ticketd.git.attributes import load_attributes
from ticketd.git.commits import parse_commit, render_bare, resolve
from ticketd.git.contents import Folders, compose, is_new_or_gone, load_folders, read_changes
from ticketd.git.control import Control
from ticketd.git.door import Git
from ticketd.git.looks import as_it_stands
from ticketd.git.merging import MERGING
from ticketd.git.objects import Objects, objects_of
from ticketd.git.rebase import rebase
from ticketd.git.snapshot import commit_taken
from ticketd.git.tree import Tree
from ticketd.ports import Conflict

SIDE_BY_SIDE = 4
# Attributes that make a merge another one than the usual; `binary` stands for `-merge` among others.
_SPECIAL = (b"merge", b"binary", b"[attr]", b"conflict-marker-size")

# Where a file is in the way of a folder, git gives it the name of a commit, which is another one with each trial.
_LABEL = re.compile(r"~[0-9a-f]{40}(?:[0-9a-f]{24})?$")


@dataclass(frozen=True, slots=True)
class Case:
    """A tree, the base of its attempt, the paths it has touched, and those of them that lie where the target has
    changed."""

    tree: Tree
    base: str
    touched: tuple[str, ...]
    matter: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    """A commit that the target has not. `edited`: files that it has changed; `is_edit`: none of them is new, gone or
    renamed."""

    tree: str
    parents: tuple[str, ...]
    edited: frozenset[str]
    is_edit: bool

    def matters(self, case: Case) -> bool:
        """Whether it must be replayed by itself; a mere edit of files that only one side has changed need not."""
        return not (self.is_edit and self.edited.isdisjoint(case.matter))


class _Content(NamedTuple):
    """Of a working tree: its tree object, None if that is HEAD's; and whether files were only edited."""

    tree: str | None
    is_edit: bool


@dataclass(slots=True)
class _Course:
    """A tree on its way onto the target: `stops` are the contents to merge, oldest first; `ours` is the commit that has
    been come to, `stem` what it and the next stop both come from. `tip` is the commit of it all, if that is known."""

    tip: str | None
    stem: str
    ours: str
    stops: list[str]
    doubtful: bool = False


def try_all(control: Control, cases: Sequence[Case], onto: str, rules: MergeRules) -> tuple[tuple[str, ...], ...]:
    """The paths in conflict, for each case.

    Raises:
        GitFailed: `onto` or a base is missing, or git broke.
    """
    if not cases:
        return ()
    with snapshot.throw_away_objects(control) as env, ThreadPoolExecutor(min(SIDE_BY_SIDE, len(cases))) as threads:
        own = Git(control.git.cwd, env={**control.git.env, **env})
        trials = _Trials(control, own, env, objects_of(own), onto, rules)
        heads = trials.heads(cases)
        known = [head for head in heads if head is not None]
        making = threads.submit(trials.made, known)
        folders = trials.folders([(head, case) for head, case in zip(heads, cases, strict=True) if head is not None])
        contents = list(threads.map(trials.content, cases, heads, [folders] * len(cases)))
        courses = [trials.course(*each, making.result()) for each in zip(cases, heads, contents, strict=True)]
        trials.run([course for course in courses if course])
        return tuple(threads.map(trials.verdict, cases, courses))


@dataclass(frozen=True, slots=True)
class _Trials:
    """`own` is git that writes its objects to where `env` says, which is `scratch`."""

    control: Control
    own: Git
    env: Mapping[str, str]
    scratch: Objects
    onto: str
    rules: MergeRules

    def heads(self, cases: Sequence[Case]) -> Sequence[str | None]:
        """Where each HEAD stands; None for one that must be looked at closer."""
        names = [f"worktrees/{case.tree.admin.name}/HEAD^{{commit}}" for case in cases]
        return resolve(self.own, names) or [None] * len(names)

    def folders(self, cases: Sequence[tuple[str, Case]]) -> Mapping[tuple[str, Case], Folders]:
        return dict(zip(cases, load_folders(self.own, [(head, case.touched) for head, case in cases]), strict=True))

    def content(self, case: Case, head: str | None, known: Mapping[tuple[str, Case], Folders]) -> _Content | None:
        """As far as it matters or may have been renamed; None where only a whole look tells it."""
        if head is None or not case.tree.path.is_dir():
            return None
        root, folders = case.tree.path, known[head, case]
        paths = [path for path in case.touched if path in case.matter or is_new_or_gone(root, folders, path)]
        try:
            git = case.tree.git(self.control, self.env)
            changed = read_changes(git, self.scratch, root, folders, paths, head)
        except (GitFailed, OSError):
            return None
        if changed is None:
            return None
        is_edit = not any(is_new_or_gone(root, folders, path) for path in changed)
        return _Content(compose(self.scratch, folders, changed, head) if changed else None, is_edit)

    def made(self, heads: Sequence[str]) -> dict[str, _Made]:
        """What the target has not of all that these commits have behind them, in one process."""
        mark = secrets.token_hex(16)
        given = "".join(f"{name}\n" for name in (*heads, f"^{self.onto}")).encode()
        options = ("-z", f"--format={mark} %H %T %P", "--name-status", "--no-renames", "--no-show-signature", "--stdin")
        commits: list[tuple[list[str], list[str]]] = []
        for field in self.own.run("log", *options, stdin=given).split("\0"):
            if field.startswith(mark):
                commits.append((field.split()[1:], []))
            elif field:
                commits[-1][1].append(field.removeprefix("\n"))
        return {
            sha: _Made(tree, tuple(parents), frozenset(said[1::2]), set(said[0::2]) <= {"M"})
            for (sha, tree, *parents), said in commits
        }

    def course(
        self, case: Case, head: str | None, content: _Content | None, made: Mapping[str, _Made]
    ) -> _Course | None:
        """None where commits are not in a line on top of the target's, or the content is not known."""
        if head is None or content is None:
            return None
        below, stops = head, [content.tree] if content.tree else []
        while below in made:
            commit = made[below]
            if below == case.base or len(commit.parents) != 1:
                return None
            stops += [commit.tree] if commit.matters(case) else []
            (below,) = commit.parents
        tip = head if content.tree is None else self._commit(content.tree, head)
        return _Course(tip if content.is_edit else None, below, self.onto, stops[::-1])

    def run(self, courses: Sequence[_Course]) -> None:
        """Merge stop by stop until each course is through or in doubt."""
        if any(word in said for said in self._attributes() for word in _SPECIAL):
            for course in courses:
                course.doubtful = bool(course.stops)
        while ahead := [course for course in courses if course.stops and not course.doubtful]:
            theirs = [self._commit(course.stops.pop(0), course.stem) for course in ahead]
            merged = self._merge([(course.ours, their) for course, their in zip(ahead, theirs, strict=True)])
            for course, their, tree in zip(ahead, theirs, merged, strict=True):
                course.doubtful = tree is None
                if tree is not None and course.stops:
                    course.ours, course.stem = self._commit(tree, their), their

    def _attributes(self) -> Collection[bytes]:
        (content,) = self.scratch.load([self.onto])
        if content is None:
            raise GitFailed(f"commit {self.onto} is missing")
        return load_attributes(self.scratch, parse_commit(self.onto, content).tree).values()

    def verdict(self, case: Case, course: _Course | None) -> tuple[str, ...]:
        """In doubt it is rebased as if it were to land."""
        if course is not None and not course.doubtful:
            return ()
        tip = (course and course.tip) or self._whole(case)
        found = rebase(self.own, case.base, tip, self.onto, (), self.control.by, self.rules)
        return tuple(_LABEL.sub("", path) for path in found.paths) if isinstance(found, Conflict) else ()

    def _whole(self, case: Case) -> str:
        """All of the tree. Of files that are new or gone git has more to say: some are ignored, others left out."""
        at = snapshot.look(self.control, case.tree, case.base)
        taken = as_it_stands(self.control, self.own, case.tree, at, self.env)
        return commit_taken(self.own, taken, at, case.base, "as it stands", self.control.by)

    def _commit(self, tree: str, parent: str) -> str:
        """A commit that only serves a merge."""
        return self.scratch.save("commit", [render_bare(tree, (parent,))], tree)[0]

    def _merge(self, pairs: Sequence[tuple[str, str]]) -> list[str | None]:
        """The trees of these merges; None for a conflict."""
        given = "".join(f"{ours} {theirs}\n" for ours, theirs in pairs).encode()
        options = ("--write-tree", "--stdin", "--name-only", "--allow-unrelated-histories")
        return read_merges(self.own.with_config(MERGING).run("merge-tree", *options, stdin=given), len(pairs))


def read_merges(out: str, count: int) -> list[str | None]:
    """For each merge 1 (clean) or 0, the tree, and an empty field; before that one, of a conflict, the paths, another
    empty field, and the messages: count of paths, paths, kind, text."""
    fields, at, trees = out.split("\0"), 0, list[str | None]()
    for _ in range(count):
        clean = fields[at].strip() == "1"
        trees.append(fields[at + 1] if clean else None)
        at += 2
        while not clean and fields[at]:
            at += 1
        at += not clean
        while not clean and fields[at]:
            at += int(fields[at]) + 3
        at += 1
    return trees
