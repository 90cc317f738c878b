"""Checked values from words that a person wrote, shared by ticket files and `ticketd.toml`.

Each function takes one text and returns its value, or raises `Fault` with what is wrong and how to mend it.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar

from ticketd.domain import globs
from ticketd.domain.problems import nearest
from ticketd.domain.ticket import ID_PATTERN, Priority

MAX_BYTES = 1 << 20
MAX_ID = 64
MAX_TITLE = 200
MAX_RETRIES = 100
MAX_BUDGET_USD = 1e6
MIN_AMOUNT, MAX_AMOUNT = 10**6, 10**15
MAX_TEXT = 10**6
MAX_DURATION_S = 366 * 24 * 3600

PRIORITY_ALIASES = {f"p{p.rank}": p.value for p in Priority}

E = TypeVar("E", bound=StrEnum)

_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_AMOUNT = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?([kmgt])b", re.ASCII | re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REF_BAD = re.compile(r"\s|\.\.|@\{|//|[~^:?*\[\\]")
# Whoever sets one of these runs code of their own in git, the loader or an interpreter, or speaks in ticketd's name.
_ENV_REFUSED_PREFIXES = ("LD_", "DYLD_", "GIT_", "PYTHON", "TICKETD_")
_ENV_REFUSED = frozenset(
    {
        *("BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "IFS", "ZDOTDIR"),
        *("NODE_OPTIONS", "PERL5LIB", "PERL5OPT", "PERL5DB", "RUBYLIB", "RUBYOPT", "LUA_INIT"),
        *("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "GCONV_PATH", "GLIBC_TUNABLES"),
    }
)
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Fault(Exception):
    """What is wrong with one value, and how to mend it."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


class FaultAt(Fault):
    """A fault that ends the reading of a file; `line` counts from 1, 0 is the file as a whole."""

    def __init__(self, line: int, what: str, mend: str) -> None:
        super().__init__(what, mend)
        self.line = line


# --- files ----------------------------------------------------------------------------------------------------------


def decode(raw: bytes) -> str:
    """A file's text with `\n` line ends and without a byte order mark."""
    if len(raw) > MAX_BYTES:
        raise FaultAt(0, f"the file has more than {MAX_BYTES:,} bytes", "shorten it")
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise FaultAt(line, f"the file is not UTF-8: byte {error.start} cannot be read", "save it as UTF-8") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise FaultAt(0, "the file is empty", "write something into it, or remove it")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise FaultAt(line, "the file has a NUL character, so it is not text", "take it out")
    return text


# --- words ----------------------------------------------------------------------------------------------------------


def shown(text: str, limit: int = 60) -> str:
    """The text in backquotes, fit for one line of a message."""
    if not text:
        return '`""`'
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "`" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut) + "`"


def or_list(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean …?`, or all there is to choose from."""
    known = list(known)
    near = nearest(word[:100], known)
    if near:
        return f"did you mean `{near}`?"
    return f"known: {', '.join(f'`{k}`' for k in known)}" if known else ""


def is_control(char: str) -> bool:
    """Control characters, lone surrogates, line separators, and marks that turn the direction of writing."""
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _BIDI


def control_in(text: str) -> str | None:
    """The first such character; a text that Python could print has none, and that is quick to ask."""
    return None if text.isprintable() else next(filter(is_control, text), None)


def one_line(text: str) -> str:
    """A text without line breaks or control characters, trimmed."""
    text = text.strip()
    if not text:
        raise Fault("the text is empty", "write a text, or leave out the key")
    bad = control_in(text)
    if bad in ("\n", "\r"):
        raise Fault("the text has more than one line", "write it on one line")
    if bad is not None:
        raise Fault(f"the text has the control character U+{ord(bad):04X}", "take it out")
    return text


def title(text: str) -> str:
    text = one_line(text)
    if len(text) > MAX_TITLE:
        raise Fault(f"the title has {len(text)} characters", f"keep it under {MAX_TITLE} and put the rest in the body")
    return text


def argument(text: str) -> str:
    """One argument of a command: anything the system can pass."""
    bad = next((c for c in text if c == "\0" or unicodedata.category(c) == "Cs"), None) if control_in(text) else None
    if bad is not None:
        raise Fault(f"the argument has the character U+{ord(bad):04X}, which no command can be given", "take it out")
    return text


def choice(kinds: type[E], text: str, aliases: Mapping[str, str] | None = None) -> E:
    """One of an enum's words, in any case."""
    word = text.strip().casefold()
    word = (aliases or {}).get(word, word)
    for kind in kinds:
        if kind.value.casefold() == word:
            return kind
    near = nearest(word[:100], [k.value for k in kinds])
    hint = f"did you mean `{near}`? Write" if near else "write"
    raise Fault(f"{shown(text)} is not a value it takes", f"{hint} {or_list(f'`{k.value}`' for k in kinds)}")


def priority(text: str) -> Priority:
    return choice(Priority, text, PRIORITY_ALIASES)


# --- durations and numbers ------------------------------------------------------------------------------------------

_DURATION_MEND = "write days, hours, minutes and seconds like `90s`, `45m`, `2h`, `1h30m` or `30d`"
_AMOUNT_MEND = "write an amount like `500 MB`, `20 GB` or `1.5 TB`"


def duration(text: str) -> float:
    """Seconds of `90s`, `45m`, `2h`, `1h30m`, `30d`."""
    word = text.strip()
    found = _DURATION.fullmatch(word)
    if not word or not found:
        if re.fullmatch(r"\d+", word, re.ASCII):
            raise Fault(f"{shown(word)} has no unit", f"write `{word[:9]}s` for seconds or `{word[:9]}m` for minutes")
        raise Fault(f"{shown(text)} is not a duration", _DURATION_MEND)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    total = days * 86400 + hours * 3600 + minutes * 60 + seconds
    if total == 0:
        raise Fault(f"{shown(text)} is no time at all", "write a duration above zero")
    if total > MAX_DURATION_S:
        raise Fault(f"{shown(text)} is longer than a year", _DURATION_MEND)
    return float(total)


def amount(text: str) -> int:
    """Bytes of `500 MB`, `20 GB`, `1.5 TB`."""
    total = _bytes(text, _AMOUNT_MEND)
    if not MIN_AMOUNT <= total <= MAX_AMOUNT:
        raise Fault(f"{shown(text)} is out of range", "write an amount from `1 MB` to `1000 TB`")
    return total


def amount_of_text(text: str) -> int:
    """Bytes of `16 kB`, for what an agent is to read."""
    total = _bytes(text, "write an amount like `16 kB` or `0.5 MB`")
    if total > MAX_TEXT:
        raise Fault(f"{shown(text)} is out of range", "write an amount of at most `1 MB`")
    return total


def _bytes(text: str, mend: str) -> int:
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise Fault(f"{shown(text)} is not an amount", mend)
    return int(float(found[1]) * 1000 ** (" KMGT".index(found[2].upper())))


# --- names ----------------------------------------------------------------------------------------------------------


def slug(text: str) -> str:
    """An id from a title; `ticket` where nothing of it can be kept."""
    plain = unicodedata.normalize("NFKD", text[:1000]).encode("ascii", "ignore").decode().lower()
    words = [w for w in re.split(r"[^a-z0-9]+", re.sub(r"'(?=[a-z])", "", plain)) if w]
    made = ""
    for word in words:
        longer = f"{made}-{word}" if made else word[:MAX_ID]
        if len(longer) > MAX_ID:
            break
        made = longer
    return made or "ticket"


def ticket_id(text: str) -> str:
    """A ticket's id. It becomes part of a git ref, so what git refuses there is refused here."""
    if not text:
        raise Fault("the id is empty", "write a ticket's id")
    if "/" in text or text.endswith(".md"):
        stem = text.rsplit("/", 1)[-1].removesuffix(".md")
        raise Fault(f"{shown(text)} is a path, not an id", f"write `{slug(stem) if not is_id(stem) else stem}`")
    if is_id(text):
        return text
    suggestion = f"write `{slug(text)}`"
    if not ID_PATTERN.fullmatch(text):
        rule = f"at most {MAX_ID} of a-z, 0-9, `.`, `_` and `-`, and begins with a letter or digit"
        raise Fault(f"{shown(text)} cannot be an id: an id has {rule}", suggestion)
    raise Fault(f"{shown(text)} cannot be an id: git refuses `..`, and `.` or `.lock` at the end", suggestion)


def is_id(text: str) -> bool:
    return bool(ID_PATTERN.fullmatch(text)) and ".." not in text and not text.endswith((".lock", "."))


def name(text: str) -> str:
    """The name of a scope or an agent profile."""
    if not _NAME.fullmatch(text) or ".." in text:
        rule = "up to 64 letters, digits, `.`, `_` and `-`, not beginning with `.` or `-`"
        raise Fault(f"{shown(text)} cannot be a name", f"use {rule}")
    return text


def variable(text: str) -> str:
    """The name of an environment variable."""
    if not _ENV_NAME.fullmatch(text):
        mend = "write the name only; its value comes from the environment of the daemon"
        raise Fault(f"{shown(text)} is not the name of an environment variable", mend)
    return text


def secret_name(text: str) -> str:
    """What a secret is called: a variable's name, or the path of a file that is one as a whole."""
    return text if _ENV_NAME.fullmatch(text) else relative_path(text)


def env_name(text: str) -> str:
    """The name of an environment variable that an agent may be given."""
    variable(text)
    if text.startswith(_ENV_REFUSED_PREFIXES) or text in _ENV_REFUSED:
        raise Fault(f"`{text}` is never passed to agents: it changes how git and other programs run", "take it out")
    return text


def _ref_part(text: str, kind: str, mend: str) -> str:
    bad = _REF_BAD.search(text) or next((c for c in text if is_control(c)), None)
    parts = text.split("/")
    if (
        bad
        or not text
        or text.startswith("-")
        or text.endswith(".")
        or text in ("@", "HEAD")
        or any(not p or p.startswith(".") or p.endswith(".lock") for p in parts)
        or len(text.encode("utf-8", "replace")) > 200
    ):
        raise Fault(f"{shown(text)} cannot be the name of a {kind}", mend)
    return text


def branch(text: str) -> str:
    """A branch, as git would take it and a command line can carry it."""
    mend = "write a branch like `main`, without spaces, `..`, `~^:?*[\\`, a leading `-` or a `.lock` ending"
    if text.startswith("refs/"):
        raise Fault(f"{shown(text)} is a full ref", f"write {shown(text.removeprefix('refs/').removeprefix('heads/'))}")
    return _ref_part(text, "branch", mend)


def remote(text: str) -> str:
    """A remote's name; empty stands for the local branch."""
    return text and _ref_part(text, "remote", 'write a name that `git remote` lists, or "" for the local branch')


# --- paths and commands ---------------------------------------------------------------------------------------------


def pattern(text: str) -> str:
    """A gitignore pattern that stays inside the repository."""
    bad = control_in(text)
    fault = f"it has the control character U+{ord(bad):04X}" if bad else globs.fault(text)
    if fault is not None:
        raise Fault(f"{shown(text)}: {fault}", "write a gitignore pattern relative to the repository root")
    return text


def relative_path(text: str) -> str:
    """A path inside the repository, spelled from its root."""
    mend = "write a path relative to the repository root, without `..`"
    if not text or text.strip() != text or any(is_control(c) for c in text):
        raise Fault(f"{shown(text)} is not a path", mend)
    if text.startswith(("/", "~", "-")) or "\\" in text or re.match(r"[A-Za-z]:", text):
        raise Fault(f"{shown(text)} does not begin at the repository root", mend)
    parts = text.rstrip("/").split("/")
    if any(p in ("", ".", "..") for p in parts):
        raise Fault(f"{shown(text)} has an empty, `.` or `..` part", mend)
    if any(p.casefold() == ".git" for p in parts):
        raise Fault(f"{shown(text)} lies in git's own directory", "take it out")
    return text.rstrip("/")


def shown_path(text: str) -> str:
    """A path that a sandbox shows: absolute, or from the home directory."""
    mend = "write a path that begins with `/` or `~/`, without `..`"
    if text.strip() != text or any(is_control(c) for c in text) or not text.startswith(("/", "~/")):
        raise Fault(f"{shown(text)} is neither absolute nor in the home directory", mend)
    if any(part in (".", "..") for part in text.split("/")):
        raise Fault(f"{shown(text)} has a `.` or `..` part", mend)
    if not text.strip("/~"):
        raise Fault(f"{shown(text)} is everything", 'name what is needed of it; `home = "shared"` shows the whole home')
    return text.rstrip("/")


@lru_cache(maxsize=4096)
def split_command(text: str) -> tuple[str, ...]:
    """A command line split into arguments as a POSIX shell would; nothing is expanded."""
    try:
        argv = tuple(argument(a) for a in shlex.split(text))
    except ValueError as error:
        raise Fault(f"the command cannot be split: {str(error).lower()}", "close the quotation") from None
    return check_argv(argv)


def check_argv(argv: tuple[str, ...]) -> tuple[str, ...]:
    if not argv:
        raise Fault("the command is empty", "write a command, or leave out the key")
    if not argv[0].strip():
        raise Fault("the command's first argument is empty", "write the program to run first")
    return argv


_QUOTED = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.""", re.DOTALL)
_SHELL = re.compile(r"&&|\|\||\$\(|\$\{?\w+\}?|[|;<>&`\n]")


def shell_operator(text: str) -> str | None:
    """The first thing outside quotes that only a shell would understand."""
    found = _SHELL.search(_QUOTED.sub("x", text.strip()))
    return found[0] if found else None


_ESCAPES = {'"': '\\"', "\\": "\\\\"}


def quoted(text: str) -> str:
    """A string in double quotes on one line, as YAML and TOML both read it."""
    return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in text) + '"'
