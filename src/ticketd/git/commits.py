"""Commit objects as values: what is kept of one when it moves, and its bytes elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ticketd.git.door import Git
from ticketd.ports import Identity

_SOUND = re.compile(rb"[^<>\0]+ <[^<>\0]*> (?:0|[1-9][0-9]{0,11}) [+-][0-9]{4}")
"""Of a person's header what `git fsck` takes, and so every remote that checks what it is given."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What is kept of a commit when it moves. `author` is the header's value, name to time zone, and sound."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: bytes
    encoding: bytes | None
    message: bytes

    @property
    def date(self) -> bytes:
        """git's raw form: epoch seconds and time zone."""
        return b" ".join(self.author.rsplit(b" ", 2)[1:])


def resolve(git: Git, names: Sequence[str]) -> list[str | None] | None:
    """The object that each name (`HEAD^{commit}`, a ref) stands for, None where there is none; one process however
    many. None in all: this is no repository."""
    given = os.fsencode("".join(f"{name}\n" for name in names))
    answer = git.ask("cat-file", "--batch-check=%(objectname)", stdin=given)
    lines = answer.out.split("\n")[:-1]
    if not answer.ok or len(lines) != len(names):
        return None
    return [None if line.endswith((" missing", " ambiguous")) else line for line in lines]


def parse_commit(sha: str, content: bytes) -> Commit:
    head, _, message = content.partition(b"\n\n")
    tree, parents, author, encoding = "", [], sound(b""), None
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        match key:
            case b"tree":
                tree = value.decode()
            case b"parent":
                parents.append(value.decode())
            case b"author":
                author = sound(value)
            case b"encoding":
                encoding = value.replace(b"\0", b"")
    return Commit(sha, tree, tuple(parents), author, encoding, message)


def sound(person: bytes) -> bytes:
    """A person's header such that no remote refuses the commit for it: an agent may have written anything. What is
    wrong of name and address is left out; a wrong date becomes the epoch's."""
    if _SOUND.fullmatch(person):
        return person
    name, _, rest = person.partition(b"<")
    email, _, date = rest.rpartition(b">")
    name, email = (bytes(c for c in part if c not in b"<>\0").strip() for part in (name, email))
    fresh = (name or b"unknown") + b" <" + email + b">"
    dated = fresh + b" " + date.strip()
    return dated if _SOUND.fullmatch(dated) else fresh + b" 0 +0000"


def render_commit(tree: str, parents: Sequence[str], like: Commit, by: Identity, message: bytes) -> bytes:
    """The commit `like` with another place and message. Its committer date is the author's, so that the same input
    is the same commit however often a killed daemon makes it. Signatures are left out, as by `git rebase`."""
    lines = [b"tree " + tree.encode(), *(b"parent " + parent.encode() for parent in parents)]
    lines += [b"author " + like.author, b"committer " + _person(by) + b" " + like.date]
    if like.encoding is not None:
        lines.append(b"encoding " + like.encoding)
    return b"\n".join(lines) + b"\n\n" + message


def render_bare(tree: str, parents: Sequence[str]) -> bytes:
    """A commit that only serves as a merge base or a side of a merge in memory."""
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    who = "ticketd <ticketd@localhost> 0 +0000"
    return "\n".join([*lines, f"author {who}", f"committer {who}", "", "base\n"]).encode()


def _person(by: Identity) -> bytes:
    """Without the characters that end a field of the header (git strips them too)."""
    name, email = ("".join(c for c in part if c not in "<>\n\0").strip() for part in (by.name, by.email))
    return f"{name} <{email}>".encode(errors="surrogateescape")
