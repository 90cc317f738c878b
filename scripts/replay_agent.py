"""The agent of `scripts/replay`: makes one step of a real history in the worktree it was given, as a commit.

It is strict: it fails if a path of the step is not, in the commit it starts from, exactly what it was before the real
step. So an order that is not kept between steps that touch the same path comes to light, whatever the diff would do.

    replay_agent.py STEPS SOURCE

STEPS is the directory with one JSON file for each ticket, SOURCE the git directory of the real repository. Standard
library only; git is asked by plumbing, so that no path name, file content, filter or ignore rule makes a difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ABSENT = ("000000", "0" * 40)
GITLINK = "160000"


def git(*args: str, given: bytes = b"", **env: str) -> bytes:
    return subprocess.run(["git", *args], input=given, env={**os.environ, **env}, stdout=-1, check=True).stdout


def raw(out: bytes) -> Iterator[tuple[bytes, tuple[str, str], tuple[str, str]]]:
    """Path, old and new (mode, object) of each line of `diff-tree -z --raw`."""
    fields = out.split(b"\0")
    for head, path in zip(fields[0::2], fields[1::2], strict=False):
        old_mode, new_mode, old, new, _ = head.decode().removeprefix(":").split(" ")
        yield path, (old_mode, old), (new_mode, new)


def check_start(step: dict[str, Any], base: str, source: str) -> None:
    """That all paths of the step are what they were."""
    borrowed = json.dumps(f"{source}/objects", ensure_ascii=False)
    command = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", step["parent"], base)
    differing = {path: now for path, _, now in raw(git(*command, GIT_ALTERNATE_OBJECT_DIRECTORIES=borrowed))}
    for name, was, before, _ in step["changes"]:
        found = differing.get(os.fsencode(name), tuple(was))
        if found[0] != before[0] or found[1].strip("0") != before[1].strip("0"):
            sys.exit(f"not as it was before the step: {name!r} is {' '.join(found)}, not {' '.join(before)}")


def bring_objects(step: dict[str, Any], source: str) -> None:
    """The contents that the step needs, as an agent's own `git add` would write them."""
    wanted = sorted({new[1] for *_, new in step["changes"] if new[0] not in (ABSENT[0], GITLINK)})
    if wanted:
        names = "".join(f"{name}\n" for name in wanted).encode()
        git("unpack-objects", "-q", given=git(f"--git-dir={source}", "pack-objects", "-q", "--stdout", given=names))


def make_tree(step: dict[str, Any], base: str) -> str:
    """The base's tree with the changes, by an index of our own; what goes comes first: a file may become a folder."""
    changes = sorted(step["changes"], key=lambda change: change[3][0] != ABSENT[0])
    lines = b"".join(f"{mode} {name}\t".encode() + os.fsencode(path) + b"\0" for path, *_, (mode, name) in changes)
    with tempfile.TemporaryDirectory() as scratch:
        index = str(Path(scratch) / "index")
        git("read-tree", base, GIT_INDEX_FILE=index)
        git("update-index", "-z", "--index-info", given=lines, GIT_INDEX_FILE=index)
        return git("write-tree", GIT_INDEX_FILE=index).decode().strip()


def commit(step: dict[str, Any], tree: str, base: str) -> str:
    """By the step's author and in its words, whatever encoding they are in."""
    head = f"tree {tree}\nparent {base}\n".encode()
    content = head + step["text"].encode("latin-1")
    return git("hash-object", "-t", "commit", "-w", "--stdin", given=content).decode().strip()


def main() -> None:
    steps, source = sys.argv[1:]
    step = json.loads((Path(steps) / f"{os.environ['TICKETD_TICKET']}.json").read_text())
    base = os.environ["TICKETD_BASE"]
    time.sleep(step["think"])
    check_start(step, base, source)
    bring_objects(step, source)
    git("reset", "--quiet", "--hard", commit(step, make_tree(step, base), base))


if __name__ == "__main__":
    main()
