"""What git and its `proc-receive` hook say to each other (gitformat: pkt-line, version 1).

The hook decides about each ref of a push by itself: git moves none of them, and prints to the person who pushes what
the hook says has become of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

LONGEST_REASON = 500
_FLUSH = b"0000"


@dataclass(frozen=True, slots=True)
class Received:
    """One ref of a push: the commit that it stands at as the client believes, and the one it is to have."""

    old: str
    new: str
    ref: str

    @property
    def deletes(self) -> bool:
        return not self.new.strip("0")


@dataclass(frozen=True, slots=True)
class Taken:
    """What has become of it: `ref` now stands at `new`, and stood at `old` (None: it is new)."""

    ref: str
    old: str | None
    new: str


@dataclass(frozen=True, slots=True)
class Declined:
    """Why not, and what to do instead, in one line."""

    why: str


Decide = Callable[[Sequence[Received]], Sequence[Taken | Declined]]


def converse(source: BinaryIO, sink: BinaryIO, decide: Decide) -> None:
    """The whole conversation. `decide` answers for all refs, in their order; should it raise, all are declined: a push
    must never hang, nor be told that its work is safe when it may not be.

    Raises:
        EOFError: git has gone.
        ValueError: what it says is not the protocol.
    """
    offered = b"".join(_section(source)).partition(b"\0")[2].split()
    options = b"push-options" in offered
    _say(sink, [b"version=1\0push-options" if options else b"version=1"])
    received = [_parse(line) for line in _section(source)]
    if options:
        list(_section(source))
    _say(sink, [line for one, answer in _decided(received, decide) for line in _answer(one, answer)])


def _decided(received: Sequence[Received], decide: Decide) -> list[tuple[Received, Taken | Declined]]:
    try:
        return list(zip(received, decide(received), strict=True))
    except Exception as error:  # a bug, a broken repository: the person is told, and nothing is taken
        declined = Declined(f"the gate failed ({type(error).__name__}: {error}); your commits stay where they are")
        return [(one, declined) for one in received]


def _parse(line: bytes) -> Received:
    old, new, ref = os.fsdecode(line).split(" ", 2)
    return Received(old, new, ref)


def _answer(received: Received, answer: Taken | Declined) -> Iterator[bytes]:
    ref = os.fsencode(received.ref)
    if isinstance(answer, Declined):
        why = " ".join(answer.why.split())[:LONGEST_REASON]
        yield b"ng " + ref + b" " + os.fsencode(why)
        return
    yield b"ok " + ref
    yield b"option refname " + os.fsencode(answer.ref)
    yield b"option old-oid " + (answer.old or "0" * len(answer.new)).encode()
    yield b"option new-oid " + answer.new.encode()


def _section(source: BinaryIO) -> Iterator[bytes]:
    """The lines up to a flush."""
    while (size := int(_exactly(source, 4), 16)) != 0:
        if size < 4:
            raise ValueError(f"a packet of {size} bytes")
        yield _exactly(source, size - 4).rstrip(b"\n")


def _exactly(source: BinaryIO, count: int) -> bytes:
    found = source.read(count)
    if len(found) < count:
        raise EOFError("git has gone")
    return found


def _say(sink: BinaryIO, lines: Sequence[bytes]) -> None:
    sink.write(b"".join(b"%04x%s\n" % (len(line) + 5, line) for line in lines) + _FLUSH)
    sink.flush()


def say(line: str) -> None:
    """git shows a hook's stderr to who pushes, as lines of the remote."""
    print(f"ticketd: {line}", file=sys.stderr, flush=True)
