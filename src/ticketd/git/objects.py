"""Objects of a repository, read and written without a process where each is a file of its own (loose).

What has just been made is loose: an attempt's commits, what a small fetch has brought, what has landed. The rest is in
packs, and one `cat-file --batch` reads all of it that is asked for. Every object is held against its name: agents can
write into the control repository, and git itself does not look when it reads.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ticketd.errors import GitFailed
from ticketd.git.door import Git

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"|([^:"]+)')
_FASTEST = 1  # git's own choice for loose objects
_ATTEMPTS = 3
_REMEMBERED, _LARGEST = 1000, 50_000
# What came out of packs, by name, and so for good: the target's newest commit and its attributes are asked for again
# and again.
_PACKED: dict[str, bytes] = {}


@dataclass(frozen=True, slots=True)
class Objects:
    """Where the objects of `git`'s repository lie: new ones go to `home`, `others` are looked into as well. `durable`:
    what is saved is on the disk before it has its name, as with `core.fsync=objects`."""

    git: Git
    home: Path
    others: tuple[Path, ...] = ()
    durable: bool = True

    def load(self, names: Sequence[str]) -> list[bytes | None]:
        """The content of each object, by its full name; None where there is no such object. At most one process.

        Raises:
            GitFailed: an object is damaged.
        """
        found = {name: _PACKED.get(name) or self._loose(name) for name in names}
        packed = [name for name, content in found.items() if content is None]
        if packed:
            found.update(zip(packed, _from_git(self.git, packed), strict=True))
            _remember((name, found[name]) for name in packed)
        return [found[name] for name in names]

    def _loose(self, name: str) -> bytes | None:
        for home in (self.home, *self.others):
            with contextlib.suppress(OSError, zlib.error):  # not there, or for git to say what is wrong with it
                whole = zlib.decompress(_path(home, name).read_bytes())
                return _checked(name, whole)
        return None

    def save(self, kind: str, contents: Sequence[bytes], like: str) -> tuple[str, ...]:
        """Write objects of one kind; their names, in the hash that `like` is in. What is there already is left alone.

        Raises:
            GitFailed: the disk took not all of them.
        """
        wholes = [_whole(kind, content) for content in contents]
        names = tuple(_digest(whole, like) for whole in wholes)
        fresh = {name: whole for name, whole in zip(names, wholes, strict=True) if not self._has(name)}
        folders = {_path(self.home, name).parent for name in fresh}
        above = {self.home for folder in folders if not folder.exists()}
        try:
            for name, whole in fresh.items():
                _write(_path(self.home, name), zlib.compress(whole, _FASTEST), self.durable)
            if self.durable:
                for folder in folders | above:
                    _settle(folder)
        except OSError as error:
            raise GitFailed(f"cannot write objects into {self.home}: {error}") from error
        return names

    def _has(self, name: str) -> bool:
        return any(_path(home, name).exists() for home in (self.home, *self.others))


def objects_of(git: Git) -> Objects:
    """Where git in this environment (GIT_DIR set, to a repository and not to a linked tree) reads and writes."""
    own = Path(git.env["GIT_DIR"]) / "objects"
    elsewhere = git.env.get("GIT_OBJECT_DIRECTORY")
    others = tuple(_listed(git.env.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", "")))
    # What goes elsewhere is thrown away: nobody needs it after a crash.
    return Objects(git, Path(elsewhere or own), others, durable=elsewhere is None)


def with_others(git: Git, *homes: Path) -> Git:
    """git that also reads objects in these directories."""
    before = git.env.get("GIT_ALTERNATE_OBJECT_DIRECTORIES")
    listed = [*([before] if before else []), *(quoted(home) for home in homes)]
    return Git(git.cwd, git.config, {**git.env, "GIT_ALTERNATE_OBJECT_DIRECTORIES": ":".join(listed)})


def quoted(home: Path) -> str:
    """As GIT_ALTERNATE_OBJECT_DIRECTORIES wants it: a colon separates, but for within quotes."""
    return '"' + str(home).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _listed(value: str) -> Iterator[Path]:
    """An entry that this reads wrongly (git knows more escapes) holds no object; then git is asked."""
    for inside, plain in _QUOTED.findall(value):
        yield Path(re.sub(r"\\(.)", r"\1", inside) if inside else plain)


def name_of(kind: str, content: bytes, like: str) -> str:
    """The name of an object, in the hash that `like` is in."""
    return _digest(_whole(kind, content), like)


def _whole(kind: str, content: bytes) -> bytes:
    return b"%s %d\0" % (kind.encode(), len(content)) + content


def _digest(whole: bytes, like: str) -> str:
    return (hashlib.sha256 if len(like) == 64 else hashlib.sha1)(whole).hexdigest()


def _checked(name: str, whole: bytes) -> bytes:
    if _digest(whole, name) != name:
        raise GitFailed(f"object {name} is damaged: its content is another's")
    return whole[whole.index(b"\0") + 1 :]


def _path(home: Path, name: str) -> Path:
    return home / name[:2] / name[2:]


def _write(path: Path, content: bytes, durable: bool) -> None:
    """Under a name of the kind that git gives to unfinished ones: what a kill leaves is swept like those."""
    handle, fresh = _unfinished(path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(handle, 0o444)
            if durable:
                os.fsync(handle)
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise


def _unfinished(folder: Path) -> tuple[int, str]:
    """A `git gc` of an agent removes a folder that is empty just now, also between these two lines."""
    for _ in range(_ATTEMPTS - 1):
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return tempfile.mkstemp(prefix="tmp_obj_", dir=folder)
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.mkstemp(prefix="tmp_obj_", dir=folder)


def _settle(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remember(found: Iterable[tuple[str, bytes | None]]) -> None:
    if len(_PACKED) > _REMEMBERED:
        _PACKED.clear()
    _PACKED.update({name: content for name, content in found if content is not None and len(content) <= _LARGEST})


def _from_git(git: Git, names: Sequence[str]) -> Iterator[bytes | None]:
    for name, found in zip(names, ask_objects(git, names), strict=True):
        yield None if found is None else _checked(name, _whole(*found))


def ask_objects(git: Git, names: Sequence[str]) -> Iterator[tuple[str, bytes] | None]:
    """Kind and content of what each name stands for (`COMMIT:FOLDER` too), None where there is no such object; one
    process."""
    answer = git.ask("cat-file", "--batch", stdin=os.fsencode("".join(f"{name}\n" for name in names)))
    if not answer.ok:
        raise GitFailed("git cat-file failed", stderr=answer.err)
    out, at = os.fsencode(answer.out), 0
    for _ in names:
        end = out.index(b"\n", at)
        head = out[at:end]
        if head.endswith((b" missing", b" ambiguous")):
            yield None
            at = end + 1
            continue
        _, kind, size = head.split(b" ")
        at = end + 1 + int(size)
        yield kind.decode(), out[end + 1 : at]
        at += 1
