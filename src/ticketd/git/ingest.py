"""What an agent has made in its clone, brought into the control repository.

Its `.git` is the agent's: any file of it may be a link, a pipe, a lie, or gone. So git is never started there. The
files are read one by one (no link is followed, sizes are capped), and what is fetched from is a repository of our own
that holds hard links to the clone's objects: none of the agent's configuration, hooks or alternates takes part, and
nothing can be swapped between the look and the fetch. What comes in is checked as from any stranger (fsck).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ticketd.errors import GitFailed
from ticketd.git.clones import borrowed
from ticketd.git.commits import resolve
from ticketd.git.control import Control
from ticketd.git.door import Git
from ticketd.git.snapshot import NOTED
from ticketd.git.target import FETCH
from ticketd.git.tree import Tree, remove, write_whole

INCOMING = ("fetch.fsckObjects=true", "transfer.fsckObjects=true", "protocol.version=2", "fetch.prune=false")
LARGEST_NOTE = 16 * 2**20
LARGEST_INDEX = 512 * 2**20
MOST_ENTRIES = 200_000
# What is wrong with this machine, whoever meets it: no sign of an agent that means harm.
OURS = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.EROFS}
OUR_WORDS = tuple(os.strerror(number) for number in sorted(OURS))
MOST_SINGLY = 200
"""Where a clone has commits that cannot be fetched all at once, how many are tried one by one."""

_SHA = re.compile(rb"\b[0-9a-f]{40}(?:[0-9a-f]{24})?\b")
_HEAD = re.compile(rb"ref: (refs/[^\0-\x20\x7f]+)\n?")
_TOP_NOTES = re.compile(r"[A-Z_]+|packed-refs")
_NOTES = ("refs", "logs", "worktrees", "rebase-merge", "rebase-apply", "sequencer")
_SHARED_INDEX = re.compile(r"sharedindex\.[0-9a-f]{40,64}")
_FAN = re.compile(r"[0-9a-f]{2}")
_LOOSE = re.compile(r"[0-9a-f]{38}(?:[0-9a-f]{24})?")
_PACK = re.compile(r"pack-[0-9a-f]{40,64}\.(?:pack|idx)")


def ingest(control: Control, tree: Tree, *, everything: bool) -> str:
    """Make the tree's git directory say what its clone says (HEAD, index, an unfinished merge), with all objects there.
    `everything`: with all other commits that the clone knows. Returns why that cannot be done or is not to be believed,
    empty if it is well: then the tree's git directory says what was last known.

    Raises:
        GitFailed: nothing is wrong with the clone, but with us: the disk is full, git was killed.
    """
    with alone(tree):
        return _ingest(control, tree, everything)


def _ingest(control: Control, tree: Tree, everything: bool) -> str:
    if not os.path.lexists(tree.path / ".git"):
        return "its repository (.git) is gone"
    try:
        with _opened(tree.path / ".git") as clone:
            return _Ingest(control, tree, clone).run(everything)
    except (OSError, _Odd) as error:
        if getattr(error, "errno", None) in OURS:
            raise GitFailed(f"{tree.path.name} could not be read: {error}") from error
        return f"its repository (.git) cannot be read: {getattr(error, 'strerror', None) or error}"


@contextmanager
def alone(tree: Tree) -> Iterator[None]:
    """One hand at a time, of all threads and processes, for what a clone and the tree's git directory say of each
    other: a look that is late must not undo what has been made ready for the next. Not re-entrant."""
    with tree.note.with_suffix(".lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def read_noted(tree: Tree) -> tuple[str, ...]:
    """The commits that its clone has mentioned so far, and each that a look has found checked out: an agent may amend
    that and prune it before it ends."""
    file = tree.admin / NOTED
    return tuple(file.read_text().split()) if file.is_file() else ()


def rescue(control: Control, tree: Tree) -> None:
    """Before a clone is made anew: whatever it has that was not kept is kept now. There should be nothing. The caller
    is `alone` with it."""
    before = set(read_noted(tree))
    _ingest(control, tree, everything=True)
    for sha in set(read_noted(tree)) - before:
        if (commit := control.read_ref(sha)) and not control.is_safe(commit):
            control.keep(f"refs/ticketd-extra/branches/{commit}", commit)


class _Odd(Exception):
    """The clone is no repository that git has made."""


@dataclass(frozen=True, slots=True)
class _Ingest:
    """`clone` is an open directory: what the name stands for meanwhile does not matter."""

    control: Control
    tree: Tree
    clone: int

    def run(self, everything: bool) -> str:
        head = self._head()
        last = (self.tree.admin / "HEAD").read_text(errors="replace").strip()
        before = read_noted(self.tree)
        noted, known = self._noted() if everything else (), {last, *before}
        wanted = self._unknown([sha for sha in dict.fromkeys((head, *noted)) if sha and sha not in known])
        failed = self._bring(wanted, first=head) if wanted else ()
        same = _read(self.clone, "objects/info/alternates") == os.fsencode(borrowed(self.control))
        if same and head not in failed:
            self._mirror(head, last)
        seen = dict.fromkeys((*before, last, *(sha for sha in (head, *noted) if sha and sha not in failed)))
        if len(seen) > len(before):
            write_whole(self.tree.admin / NOTED, "".join(f"{sha}\n" for sha in seen if _name(sha.encode())))
        if failed:
            return f"its commits are not sound, or not all there: {failed[0]}"
        return "" if same else "its repository (.git) is not the one that it was given"

    # --- what the clone says ---

    def _head(self) -> str | None:
        """The commit of its HEAD; that of the branch it was given where HEAD is on none that exists, or damaged."""
        text = _read(self.clone, "HEAD") or b""
        named = _HEAD.fullmatch(text)
        found = self._ref(os.fsdecode(named[1])) if named else _name(text)
        return found or (self._ref(f"refs/heads/{self.tree.branch}") if self.tree.branch else None)

    def _ref(self, ref: str) -> str | None:
        if found := _name(_read(self.clone, ref) or b""):
            return found
        for line in (_read(self.clone, "packed-refs") or b"").splitlines():
            sha, _, name = line.partition(b" ")
            if name == os.fsencode(ref):
                return _name(sha)
        return None

    def _noted(self) -> tuple[str, ...]:
        """Names of all commits that are mentioned anywhere: branches, tags, the stash, reflogs, what is under way."""
        names = [entry.name for entry in os.scandir(self.clone) if _TOP_NOTES.fullmatch(entry.name)]
        texts = [_read(self.clone, name) for name in names]
        texts += [text for folder in _NOTES for text in _texts(self.clone, folder)]
        lines = (line.partition(b"\t")[0] for text in texts if text for line in text.splitlines())
        found = dict.fromkeys(sha.decode() for line in lines for sha in _SHA.findall(line) if sha.strip(b"0"))
        if len(found) > MOST_ENTRIES:
            raise _Odd(f"it mentions {len(found)} commits")
        return tuple(found)

    # --- what comes in ---

    def _unknown(self, names: Sequence[str]) -> list[str]:
        if not names:
            return []
        found = _found(self.control.git, names)
        return [name for name, known in zip(names, found, strict=True) if known is None]

    def _bring(self, wanted: Sequence[str], first: str | None) -> tuple[str, ...]:
        """Fetch them; those that are there and could not be. What a clone mentions but has not (any more) is nothing,
        unless HEAD is there."""
        with self._door() as door:
            own = Git(door, env={"GIT_DIR": str(door)})
            there = _found(own, [f"{name}^{{commit}}" for name in wanted])
            names = [name for name, found in zip(wanted, there, strict=True) if found]
            lost = tuple(name for name in wanted if name == first and name not in names)
            if not names or self._fetch(door, names):
                return lost
            singly = sorted(names, key=lambda name: name != first)
            failed = [name for name in singly[:MOST_SINGLY] if not self._fetch(door, [name])]
            return (*lost, *failed, *singly[MOST_SINGLY:])

    def _fetch(self, door: Path, names: Sequence[str]) -> bool:
        given = "".join(f"{name}\n" for name in names).encode()
        with self.control.exclusive():
            git = self.control.git.with_config(*INCOMING)
            answer = git.ask(*FETCH, "--stdin", "--", str(door), stdin=given)
        if answer.code < 0 or any(word in answer.err for word in OUR_WORDS):
            raise GitFailed(f"what {self.tree.path.name} has committed could not be fetched", stderr=answer.err)
        return answer.ok

    @contextmanager
    def _door(self) -> Iterator[Path]:
        """A repository of ours with the clone's objects, as hard links."""
        with tempfile.TemporaryDirectory(prefix="ingest-", dir=self.control.state) as scratch:
            door = Path(scratch)
            for folder in ("objects/info", "objects/pack", "refs"):
                (door / folder).mkdir(parents=True)
            (door / "HEAD").write_text("ref: refs/heads/none\n")
            form = "sha256" if len((self.tree.admin / "HEAD").read_text().strip()) == 64 else "sha1"
            (door / "config").write_text(_CONFIG.format(format=form))
            (door / "objects/info/alternates").write_text(borrowed(self.control))
            if (shallow := self.control.own / "shallow").is_file():
                (door / "shallow").write_bytes(shallow.read_bytes())
            _link_objects(self.clone, door / "objects")
            yield door

    # --- what the tree's git directory says then ---

    def _mirror(self, head: str | None, last: str) -> None:
        admin = self.tree.admin
        if head and head != last:
            self.tree.point_head(head, None)
        merging = _read(self.clone, "MERGE_HEAD")
        if merging is None:
            remove(admin / "MERGE_HEAD")
        else:
            (admin / "MERGE_HEAD").write_bytes(merging)
        for entry in os.scandir(self.clone):
            if entry.name == "index" or _SHARED_INDEX.fullmatch(entry.name):
                self._mirror_index(entry.name)

    def _mirror_index(self, name: str) -> None:
        """With its times, and only if it has changed. What an agent has staged and not committed is brought too: git
        would not make a tree of an index whose objects it lacks."""
        held, ours = _open_file(self.clone, name, LARGEST_INDEX), self.tree.admin / name
        if held is None:
            return
        with os.fdopen(held, "rb") as file:
            found = os.fstat(file.fileno())
            if ours.is_file() and (found.st_mtime_ns, found.st_size) == _times(ours.stat()):
                return
            draft = ours.with_name(f"{name}.ingest")
            draft.write_bytes(file.read(LARGEST_INDEX))
        os.utime(draft, ns=(found.st_atime_ns, found.st_mtime_ns))
        if name == "index" and not self._has_all_of(draft):
            remove(draft)
            remove(ours)  # what stands in the tree is read anew, on top of HEAD
        else:
            draft.replace(ours)

    def _has_all_of(self, index: Path) -> bool:
        """Whether all that the index lists is in the control repository by now. One that git cannot read is for who
        comes next to find out."""
        git = self.tree.git(self.control, {"GIT_INDEX_FILE": str(index)})
        answer = git.ask("ls-files", "--stage", "-z")
        if not answer.ok:
            return True
        entries = [entry.split(" ", 2) for entry in answer.split0()]
        listed = dict.fromkeys(sha for mode, sha, _ in entries if mode != "160000" and sha.strip("0"))
        wanted = self._unknown(list(listed))
        if not wanted:
            return True
        with self._door() as door:
            return self._fetch(door, wanted)


def _found(git: Git, names: Sequence[str]) -> list[str | None]:
    """As `resolve`; but a repository of ours is one, so git was kept from answering."""
    found = resolve(git, names)
    if found is None:
        raise GitFailed(f"git could not look for commits in {git.cwd}")
    return found


_CONFIG = """\
[core]
\trepositoryFormatVersion = 1
\tbare = true
\tcommitGraph = false
\tmultiPackIndex = false
[extensions]
\tobjectFormat = {format}
[uploadpack]
\tallowAnySHA1InWant = true
"""


def _times(found: os.stat_result) -> tuple[int, int]:
    return found.st_mtime_ns, found.st_size


def _name(text: bytes) -> str | None:
    found = _SHA.fullmatch(text.strip())
    return found[0].decode() if found else None


# --- files of somebody who may mean harm ---

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def _opened(folder: str | Path, at: int | None = None) -> Iterator[int]:
    fd = os.open(folder, _FOLDER, dir_fd=at)
    try:
        yield fd
    finally:
        os.close(fd)


def _open_file(at: int, path: str, limit: int) -> int | None:
    """A plain file of at most `limit` bytes, no link on the way to it; None if there is no such."""
    *folders, name = path.split("/")
    if not all(part not in ("", ".", "..") for part in (*folders, name)):
        return None
    held = os.dup(at)
    try:
        for folder in folders:
            deeper = os.open(folder, _FOLDER, dir_fd=held)
            os.close(held)
            held = deeper
        file = os.open(name, _FILE, dir_fd=held)
    except OSError:
        return None
    finally:
        os.close(held)
    found = os.fstat(file)
    if stat.S_ISREG(found.st_mode) and found.st_size <= limit:
        return file
    os.close(file)
    return None


def _read(at: int, path: str) -> bytes | None:
    file = _open_file(at, path, LARGEST_NOTE)
    if file is None:
        return None
    with os.fdopen(file, "rb") as opened:
        return opened.read(LARGEST_NOTE)


def _texts(at: int, folder: str) -> Iterator[bytes]:
    """The content of each file below a folder."""
    waiting, seen = [folder], 0
    while waiting:
        here = waiting.pop()
        try:
            with _opened(here, at) as fd:
                entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in os.scandir(fd)]
        except (FileNotFoundError, NotADirectoryError):
            continue
        seen += len(entries)
        if seen > MOST_ENTRIES:
            raise _Odd(f"it has more than {MOST_ENTRIES} files in {folder}")
        waiting += [f"{here}/{name}" for name, is_folder in entries if is_folder]
        yield from filter(None, (_read(at, f"{here}/{name}") for name, is_folder in entries if not is_folder))


def _link_objects(clone: int, into: Path) -> None:
    """Links to its objects and packs; what else lies there, a lying commit-graph for one, stays out."""
    with _opened("objects", clone) as objects:
        for folder in [entry.name for entry in os.scandir(objects)]:
            wanted = _LOOSE if _FAN.fullmatch(folder) else _PACK if folder == "pack" else None
            if wanted is None:
                continue
            (into / folder).mkdir(exist_ok=True)
            with _opened(folder, objects) as inside:
                for entry in os.scandir(inside):
                    if wanted.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                        os.link(entry.name, into / folder / entry.name, src_dir_fd=inside, follow_symlinks=False)
                        if not stat.S_ISREG((into / folder / entry.name).lstat().st_mode):
                            raise _Odd("its objects are not files")
