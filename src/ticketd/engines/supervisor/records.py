"""Records: read without trust, written whole, and the exit's so that no full disk can lose it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    Record: TypeAlias = dict[str, int | float | str | None]

READ_LIMIT = 64 * 1024
SPEC_LIMIT = 8 * 1024 * 1024
PRIVATE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def read_small(path: str, limit: int = READ_LIMIT) -> bytes | None:
    """A whole small file; None when it is missing, longer than `limit` bytes, a link or unreadable."""
    try:
        fd = os.open(path, os.O_RDONLY | PRIVATE)
    except OSError:
        return None
    try:
        data = os.read(fd, limit + 1)
    except OSError:
        return None
    finally:
        os.close(fd)
    return data if len(data) <= limit else None


def parse(text: str) -> Any:
    """JSON without the `json` package, whose import takes longer than all else here. ValueError if malformed."""
    try:
        from _json import make_scanner

        return make_scanner(_Reading)(text, 0)[0]  # type: ignore[arg-type]
    except (ImportError, AttributeError, TypeError):
        import json

        return json.loads(text)
    except (StopIteration, RecursionError, SystemError) as err:  # SystemError: its JSONDecodeError is not imported
        raise ValueError("malformed JSON") from err


class _Reading:
    """What the C scanner asks of a decoder."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int, parse_constant = float, int, float
    memo: dict[str, str] = {}


def dump(record: Mapping[str, int | float | str | None]) -> bytes:
    """A flat record as one line of ASCII JSON."""
    return ("{" + ", ".join(f'"{key}": {_literal(value)}' for key, value in record.items()) + "}\n").encode("ascii")


def _literal(value: int | float | str | None) -> str:
    if value is None:
        return "null"
    if not isinstance(value, str):
        return repr(value)
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json import dumps

        return dumps(value)
    return encode_basestring_ascii(value)


def replace(name: str, data: bytes, durable: bool) -> None:
    """Put a whole file in its place at once; `durable`: it and its name survive a power cut. OSError if it cannot."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | PRIVATE
    fd = os.open(f"{name}.tmp", flags, 0o600)
    try:
        write_whole(fd, data)
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(f"{name}.tmp", name)
    if durable:
        sync_directory()


def write_whole(fd: int, data: bytes) -> None:
    """A disk may have room for a part; half a record is none."""
    if os.write(fd, data) != len(data):
        raise OSError(28, "No space left on device")


def sync_directory() -> None:
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
