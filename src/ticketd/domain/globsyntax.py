"""One file pattern in gitignore syntax: from its text to its automaton, just as pathspec reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import takewhile

from ticketd.domain.automata import ALL, END, LINE, NOT_SLASH, SLASH, Item, Ranges, Strand, complement, holds, single

LONGEST = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WILD = re.compile(r"(?:[^*?\[\\]|\\.)*[*?\[]", re.DOTALL)
SPECIAL = re.compile(r"[*?\[\\]")


class BadPattern(ValueError):
    """The text is not an acceptable pattern."""


class Glob:
    """A pattern as pathspec normalises it: `**` or a segment glob per component, and how it ends."""

    __slots__ = ("_strands", "everything", "hull", "include", "leading", "least", "level", "segments", "strict", "tree")

    def __init__(self, include: bool, segments: tuple[str, ...], only_dirs: bool) -> None:
        self.include = include
        self.segments = segments
        # Components that each path begins with, one for each segment; a bracket may take a '/' and so two of them.
        self.leading = tuple(takewhile(lambda segment: segment != "**" and "[" not in segment, segments))
        self.everything = segments in (("**",), ("**", "*")) and not only_dirs
        # Whether it matches paths as files, by a directory above ("dir"), or each in turn ("both").
        self.level = "dir" if only_dirs else "file" if self.everything or segments[-1] == "**" else "both"
        fixed = _literal_start(segments)
        # Every path that the pattern matches is the hull or lies under it.
        self.hull = "/".join(fixed)
        # Whether all that lies under the hull is matched: not the hull itself if `strict`.
        self.strict = bool(fixed) and segments[len(fixed) :] == ("**",)
        self.tree = self.everything or self.strict or len(fixed) == len(segments)
        # No path that it matches is shorter.
        self.least = len(self.hull) if len(fixed) == len(segments) else _least(segments)
        self._strands: tuple[Strand, Strand] | None = None

    def strand(self, as_file: bool) -> Strand:
        """The automaton of all that it matches, or of what it matches `as_file`: not by a directory above."""
        if self._strands is None:
            items, whole, outright = _translation(self)
            self._strands = Strand(items, whole), Strand(items, outright)
        return self._strands[as_file]


def _least(segments: Iterable[str]) -> int:
    sizes = [max(1, sum(token is not None for token in _tokens(segment))) for segment in segments if segment != "**"]
    return max(1, sum(sizes) + len(sizes) - 1)


@lru_cache(maxsize=65536)
def parse(pattern: str) -> Glob:
    """The pattern of this text; raises BadPattern."""
    text = _stripped(pattern)
    include = not text.startswith("!")
    body = text if include else text[1:]
    if not body.strip("/"):
        raise BadPattern("it names no file")
    parts = body.split("/")
    only_dirs = not parts[-1]
    segments = _normalised(parts)
    _check_segments(segments, only_dirs)
    if ".git" in (_literal_text(parts[0]), _literal_text(segments[0])):
        raise BadPattern("it names the .git directory")
    return Glob(include, segments, only_dirs)


def _stripped(pattern: str) -> str:
    if len(pattern) > LONGEST:
        raise BadPattern(f"it is longer than {LONGEST} characters")
    if _CONTROL.search(pattern):
        raise BadPattern("it has a control character or line break")
    text = pattern if pattern.endswith("\\ ") else pattern.rstrip()
    if not text:
        raise BadPattern("it is empty")
    if text.startswith("#"):
        raise BadPattern("it is a comment; write \\# for a name that begins so")
    return text


def _normalised(parts: Sequence[str]) -> tuple[str, ...]:
    """The segments, with a `**` wherever the syntax implies one."""
    segments = list(parts)
    if not segments[0]:
        del segments[0]
    elif segments[0] != "**" and not any(segments[1:]):
        segments.insert(0, "**")
    if not segments[-1]:
        segments[-1] = "**"
    pairs = zip(segments, ["", *segments], strict=False)
    return tuple(segment for segment, before in pairs if not segment == before == "**")


def _check_segments(segments: Iterable[str], only_dirs: bool) -> None:
    crossings = 0
    for segment in segments:
        if segment in ("", ".", "..") or _literal_text(segment) in (".", ".."):
            raise BadPattern("it has an empty, '.' or '..' component")
        crossings += _crossings(_tokens(segment)) if SPECIAL.search(segment) else 0
    # Which of two such matches the reference prefers then hangs on the order in which its regex backtracks.
    if crossings > 1 and not only_dirs:
        raise BadPattern("it has several [...] within names that can match a '/'")


def _literal_text(segment: str) -> str | None:
    """The one text that a segment glob matches, or None if it has wildcards."""
    if _WILD.match(segment):
        return None
    return re.sub(r"\\(.)", r"\1", segment) if "\\" in segment else segment


def _literal_start(segments: Iterable[str]) -> list[str]:
    return [text for text in takewhile(lambda text: text is not None, map(_literal_text, segments)) if text]


def are_apart(one: Glob, other: Glob) -> bool:
    """Whether their first components alone keep them from matching a common path. A quick look: False says nothing."""
    return any(_never_alike(*pair) for pair in zip(one.leading, other.leading, strict=False) if pair[0] != pair[1])


@lru_cache(maxsize=65536)
def _never_alike(segment: str, other: str) -> bool:
    """Whether the literal beginnings or ends of two segment globs, or their lengths, exclude each other."""
    one, two = _tokens(segment), _tokens(other)
    if _STAR not in one and sum(token is not _STAR for token in two) > len(one):
        return True
    if _STAR not in two and sum(token is not _STAR for token in one) > len(two):
        return True
    return _clash(one, two) or _clash(one[::-1], two[::-1])


def _clash(one: Sequence[Ranges | None], two: Sequence[Ranges | None]) -> bool:
    for pair in zip(one, two, strict=False):
        if _STAR in pair:
            return False
        if pair[0] != pair[1] and NOT_SLASH not in pair:
            return True
    return False


# ---- from pattern to automaton

_STAR = None


def _tokens(segment: str) -> list[Ranges | None]:
    """A segment glob as sets of characters, and None for each `*`."""
    tokens: list[Ranges | None] = []
    at = 0
    while at < len(segment):
        char = segment[at]
        at += 1
        if char == "[":
            ranges, at = _bracket(segment, at)
            tokens.append(ranges)
        elif char == "\\":
            if at == len(segment):
                raise BadPattern("it has a backslash with nothing to escape")
            tokens.append(single(segment[at]))
            at += 1
        else:
            tokens.append(_STAR if char == "*" else NOT_SLASH if char == "?" else single(char))
    return tokens


def _bracket(segment: str, start: int) -> tuple[Ranges, int]:
    """The set of characters of a bracket expression, and where the text after it begins."""
    negated = segment[start : start + 1] in ("!", "^")
    first = start + negated
    # A bracket that closes right at the start stands for itself.
    end = segment.find("]", first + 1)
    if end < 0:
        raise BadPattern("it has a '[' without its ']'")
    ranges = _members(segment[first:end])
    return (complement(ranges) if negated else ranges), end + 1


def _members(text: str) -> Ranges:
    # Python's regex warns of these: it may come to read them as operations on sets.
    if "[" in text or re.search(r"--|&&|~~|\|\|", text):
        raise BadPattern("it has a '[', '--', '&&', '~~' or '||' within [...]")
    members: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        last = at + 2 if text[at + 1 : at + 2] == "-" and at + 2 < len(text) else at
        members.append((ord(text[at]), ord(text[last])))
        at = last + 1
    if any(low > high for low, high in members):
        raise BadPattern("it has a range in [...] that ends before it begins")
    return tuple(members)


def _crossings(tokens: Sequence[Ranges | None]) -> int:
    """How many tokens can match a '/' at once; none at either end can, as no component is empty."""
    count, last = 0, -1
    for at in range(1, len(tokens) - 1):
        ranges = tokens[at]
        if ranges and holds(ranges, ord("/")) and (last < 0 or at > last + 1):
            count, last = count + 1, at
    return count


def _translation(glob: Glob) -> tuple[tuple[Item, ...], frozenset[int], frozenset[int]]:
    """The states of a pattern, those that accept, and of these the ones that accept a path as a file."""
    if glob.everything or glob.segments in (("**",), ("**", "*", "**")):
        items = [Item(LINE if glob.everything else SLASH, ALL)]
    else:
        items, loops = _body(glob.segments)
        items.append(Item(SLASH, loops))
    here, below = len(items) - 1, len(items)
    whole = {"dir": (below,), "file": (below,), "both": (here, below)}[glob.level]
    outright = {"dir": (), "file": (below,), "both": (here,)}[glob.level]
    return (*items, END), frozenset(whole), frozenset(outright)


def _body(segments: Sequence[str]) -> tuple[list[Item], Ranges]:
    """The states of all but the end of a pattern, and what the end may loop on."""
    items: list[Item] = []
    loops: Ranges = ()
    for at, segment in enumerate(segments):
        if at and segments[at - 1] != "**" and (segment != "**" or at < len(segments) - 1):
            items.append(Item(SLASH, loops))
            loops = ()
        if segment == "**" and at < len(segments) - 1:
            items += [Item(LINE, skips=True), Item(SLASH, LINE)]
        elif segment != "**":
            # A whole component is never empty, unlike the `*` in a longer one.
            for token in _tokens(segment) if segment != "*" else [NOT_SLASH, _STAR]:
                if token is None:
                    loops = NOT_SLASH
                else:
                    items.append(Item(token, loops))
                    loops = ()
    return items, loops
