"""Values that nobody may read: found and replaced by the name of each in brackets, in bytes and in texts.

A value is found as it stands, and as the usual tools spell it: in base64 at any place within a longer text, in JSON, in
a URL. Whoever means to can spell it otherwise: this keeps accidents from spreading, it does not hold back an agent that
steals.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from json import dumps
from urllib.parse import quote

SHORTEST = 6
"""A shorter value would be found everywhere, and be guessed at once."""
SHORTEST_LINE = 16
LONGEST_FILE = 64 * 1024

# What the names of variables that hold a secret have in common; `env` of a profile passes on much else.
_TELLING = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|APIKEY|(?:^|_)(?:KEYS?|AUTH|PASS|PWD|PAT|DSN)(?:$|_)", re.IGNORECASE
)
_NAMED = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|'[^']*'|[^\n]*)""",
    re.ASCII | re.MULTILINE | re.DOTALL,
)
_FIRST_LINE = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(?:export[ \t]+)?[A-Za-z_]\w*[ \t]*=", re.ASCII)
_IN_URL = re.compile(r"://[^/\s:@]*:([^@/\s]+)@")
_ARMOUR = re.compile(r"-{5}")


def is_telling(name: str) -> bool:
    """Whether a variable of this name holds a secret, as far as its name tells."""
    return _TELLING.search(name) is not None


def values_of_file(name: str, text: str) -> Iterator[tuple[str, str]]:
    """The values of a file of `KEY=VALUE` lines by their names; else the file as a whole is one value, and `name` its
    name."""
    if _FIRST_LINE.match(text):
        for key, value in _NAMED.findall(text):
            yield from ((key, each) for each in _unquoted(value))
    else:
        yield name, text.strip()


def _unquoted(value: str) -> Iterator[str]:
    """As programs that read such files disagree: with and without what looks like a comment, escapes undone or not."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        yield value[1:-1]
        if value[0] == '"' and "\\" in value:
            yield value[1:-1].replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
    else:
        yield value.strip()
        yield value.partition(" #")[0].strip()


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is looked for; `short` names those whose values are too short for that."""

    names: Mapping[bytes, str] = field(default_factory=dict)
    short: tuple[str, ...] = ()
    _bytes: re.Pattern[bytes] | None = field(default=None, repr=False)
    _text: re.Pattern[str] | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return bool(self.names)

    def redact(self, content: bytes) -> bytes:
        return self.stream().feed(content, final=True)

    def redact_text(self, text: str) -> str:
        if self._text is None:
            return text
        return self._text.sub(lambda found: f"[{self.names[_encoded(found[0])]}]", text)

    def count(self, content: bytes) -> Counter[str]:
        """How often each is in there, by name."""
        found = self._bytes.findall(content) if self._bytes else []
        return Counter(self.names[each] for each in found)

    def stream(self, masks: bool = False) -> Redaction:
        return Redaction(self, masks)


NO_SECRETS = Secrets()


def secrets_of(values: Iterable[tuple[str, str]]) -> Secrets:
    """`values`: each with its name. Where two names have one value, the first by name stands for both."""
    known = sorted(set(values))
    short = {name for name, value in known if 0 < len(value.strip()) < SHORTEST}
    names: dict[bytes, str] = {}
    for name, value in known:
        for part in _parts(value):
            for spelled in _spellings(_encoded(part)):
                names.setdefault(spelled, name)
    if not names:
        return Secrets(short=tuple(sorted(short)))
    longest_first = sorted(names, key=lambda each: (-len(each), each))
    pattern = b"|".join(map(re.escape, longest_first))
    text = "|".join(re.escape(each.decode("utf-8", "surrogateescape")) for each in longest_first)
    return Secrets(names, tuple(sorted(short)), re.compile(pattern), re.compile(text))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _parts(value: str) -> Iterator[str]:
    """The value; of a URL its password too; and of a key of several lines each, but for those that all keys have."""
    value = value.strip()
    if len(value) >= SHORTEST:
        yield value
    yield from (each for each in _IN_URL.findall(value) if len(each) >= SHORTEST)
    if "\n" in value:
        lines = (line.strip() for line in value.split("\n"))
        yield from (line for line in lines if len(line) >= SHORTEST_LINE and not _ARMOUR.search(line))


def _spellings(value: bytes) -> set[bytes]:
    in_json = dumps(value.decode("utf-8", "surrogateescape"), ensure_ascii=False)[1:-1]
    return {value, _encoded(in_json), quote(value, safe="").encode(), *_in_base64(value)}


def _in_base64(value: bytes) -> Iterator[bytes]:
    """Of whatever text it stands in: three bytes are four characters, so where it begins counts; what characters share
    with the bytes beside it is left out."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + value).rstrip(b"=")
        shared_after = (before + len(value)) % 3 != 0
        own = whole[(0, 2, 3)[before] : len(whole) - shared_after]
        yield from {own, own.translate(_URL_SAFE)}


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Redaction:
    """Bytes in, in pieces of any size; the same bytes out but for secrets, wherever the pieces were cut. With `masks`
    there are as many as before, stars in the place of each value instead of its name."""

    def __init__(self, secrets: Secrets, masks: bool = False) -> None:
        self._secrets = secrets
        self._masks = masks
        self._rest = b""
        self.has_found = False

    def feed(self, piece: bytes, final: bool = False) -> bytes:
        pattern, names = self._secrets._bytes, self._secrets.names
        if pattern is None:
            return piece
        content = self._rest + piece
        decided = len(content) if final else self._decided(content)
        out, at = [], 0
        for found in pattern.finditer(content):
            if found.start() >= decided:
                break
            instead = b"*" * len(found[0]) if self._masks else f"[{names[found[0]]}]".encode()
            out += [content[at : found.start()], instead]
            at, self.has_found = found.end(), True
        end = max(at, decided)
        self._rest = content[end:]
        return b"".join([*out, content[at:end]])

    def _decided(self, content: bytes) -> int:
        """Where the first value begins that what comes next may complete; most often there is none, and nobody who
        follows a log waits for more than has been written."""
        first = len(content)
        for value in self._secrets.names:
            at = content.find(value[:1], max(0, len(content) - len(value) + 1), first)
            while at >= 0 and not value.startswith(content[at:]):
                at = content.find(value[:1], at + 1, first)
            first = at if at >= 0 else first
        return first
