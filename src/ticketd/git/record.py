"""Where ticketd itself has put the refs that keep work: what an agent has moved since shows against it.

A journal beside ticketd's own configuration, a line for each move: `REF COMMIT`, or `REF -` for one that went. A move
is written down before it is made, so that after a crash a ref stands where it was or where it is said to be going. All
processes that move such refs share it; who compares holds them off for that moment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ticketd import failpoints
from ticketd.errors import GitFailed
from ticketd.git.door import Answer, Git

WATCHED = ("refs/ticketd/", "refs/ticketd-extra/", "refs/published/", "refs/rewound/", "refs/target/")
NAME = "recorded"
_LINE = re.compile(r"^(\S+) ([0-9a-f]{40}|[0-9a-f]{64}|-)$", re.MULTILINE)
_MOVE = re.compile(r"^(?:update (?P<ref>\S+) (?P<to>\S+)|delete (?P<gone>\S+))")
_LARGE = 1 << 20
_PAUSE_S = 0.003


@dataclass(frozen=True, slots=True)
class Record:
    """`patience_s`: a hook of an agent's push takes part in this, and may have been stopped just now."""

    file: Path
    patience_s: float = 5.0

    def move(self, git: Git, lines: Sequence[str]) -> Answer:
        """`update-ref --stdin` with these lines, all or none. It does not wait for long: what keeps work goes first."""
        with self._held(fcntl.LOCK_SH) as file:
            before = file.read()
            meant = _meant(lines)
            _append(file, meant)
            answer = git.ask("update-ref", "--no-deref", "--stdin", stdin=_input(lines))
            if not answer.ok and meant:
                known = _parse(before)
                _append(file, {ref: known.get(ref) for ref in meant})
        return answer

    @contextmanager
    def compared(self) -> Iterator[Comparison]:
        """What is recorded, while nobody else moves any of it.

        Raises:
            GitFailed: somebody does, and does not come to an end.
        """
        with self._held(fcntl.LOCK_EX) as file:
            yield Comparison(_parse(file.read()), file)

    def begin(self, git: Git) -> None:
        """Take what is there for right if nothing is recorded yet; and forget what has been moved again since, if
        nobody is in the way."""
        with contextlib.suppress(GitFailed), self._held(fcntl.LOCK_EX) as file:
            content = file.read()
            if content and len(content) < _LARGE:
                return
            known = _parse(content) if content else list_refs(git)
            fresh = self.file.with_name(f"{NAME}.new")
            fresh.unlink(missing_ok=True)
            with fresh.open("a+b") as new:
                _append(cast("BinaryIO", new), {ref: sha for ref, sha in known.items() if sha}, heading="# moves")
            fresh.replace(self.file)
            failpoints.hit("file/record.begin")

    @contextmanager
    def _held(self, how: int) -> Iterator[BinaryIO]:
        """The file, under a lock: that of the path, not of one that has just been replaced."""
        until = time.monotonic() + self.patience_s
        while True:
            with self.file.open("a+b") as file:
                has_lock = _lock(file.fileno(), how, until)
                if not has_lock and how == fcntl.LOCK_EX:
                    raise GitFailed(f"{self.file} is held by somebody")
                if not has_lock or _is_at(self.file, file.fileno()):
                    file.seek(0)
                    yield cast("BinaryIO", file)
                    return


@dataclass(frozen=True, slots=True)
class Comparison:
    """`known`: where each ref should be, None for one that is gone."""

    known: Mapping[str, str | None]
    _file: BinaryIO

    def move(self, git: Git, lines: Sequence[str]) -> Answer:
        """As `Record.move`, by who holds the others off."""
        answer = git.ask("update-ref", "--no-deref", "--stdin", stdin=_input(lines))
        if answer.ok:
            _append(self._file, _meant(lines))
        return answer


def list_refs(git: Git) -> dict[str, str]:
    """Each ref's commit; one that only points to another is none of its own."""
    lines = git.ask("for-each-ref", "--format=%(objectname) %(refname) %(symref)").out.splitlines()
    fields = (line.split(" ", 2) for line in lines)
    return {ref: sha if not leads_to else "" for sha, ref, leads_to in fields}


def _lock(handle: int, how: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(_PAUSE_S)
        else:
            return True


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _input(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _meant(lines: Sequence[str]) -> dict[str, str | None]:
    found = (match for line in lines if (match := _MOVE.match(line)))
    moves = {match["ref"] or match["gone"]: match["to"] for match in found}
    return {ref: to for ref, to in moves.items() if ref.startswith(WATCHED)}


def _append(file: BinaryIO, moves: Mapping[str, str | None], heading: str = "") -> None:
    """Durable, like the refs themselves: after a power loss an older word would take work back. The line break comes
    first, since a kill may have cut the line before."""
    if moves or heading:
        text = "".join(f"\n{ref} {to or '-'}" for ref, to in moves.items())
        file.write(f"{heading}{text}\n".encode())
        file.flush()
        os.fdatasync(file.fileno())
        failpoints.hit("file/record.append")


def _parse(content: bytes) -> dict[str, str | None]:
    lines = _LINE.findall(content.decode(errors="replace"))
    return {ref: None if to == "-" else to for ref, to in lines}
