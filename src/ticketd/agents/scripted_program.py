"""The scripted agent's program. Reads the brief on standard input and obeys each line `agent: VERB ARGUMENTS` of the
ticket's text: of what is fenced as `ticket`, or of all where nothing is.

    agent: sleep SECONDS            work for that long
    agent: wait-for PATH            until that file is there
    agent: append PATH TEXT         add a line to a file, made if it is not there
    agent: prepend PATH TEXT        add a line at the top of a file
    agent: write PATH TEXT          make the file hold just this line
    agent: delete PATH
    agent: commit MESSAGE           commit everything so far
    agent: say TEXT                 print a line
    agent: fail-first N             exit 1 in attempts 1 to N
    agent: exit CODE

Standard library only: it runs in the agent's environment, which need not have ticketd in it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PREFIX = "agent:"


def wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.02)


def append(path: str, *text: str) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(" ".join(text) + "\n")


def prepend(path: str, *text: str) -> None:
    file = Path(path)
    file.write_text(" ".join(text) + "\n" + file.read_text(encoding="utf-8"), encoding="utf-8")


def write(path: str, *text: str) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(" ".join(text) + "\n", encoding="utf-8")


def delete(path: str) -> None:
    Path(path).unlink()


def commit(*message: str) -> None:
    subprocess.run(["git", "add", "--all"], check=True)
    subprocess.run(["git", "commit", "--quiet", "--message", " ".join(message)], check=True)


def fail_first(times: str) -> None:
    if int(os.environ["TICKETD_ATTEMPT"]) <= int(times):
        print("failing, as told", flush=True)
        sys.exit(1)


VERBS: dict[str, Callable[..., object]] = {
    "sleep": lambda seconds: time.sleep(float(seconds)),
    "wait-for": wait_for,
    "append": append,
    "prepend": prepend,
    "write": write,
    "delete": delete,
    "commit": commit,
    "say": lambda *text: print(*text, flush=True),
    "fail-first": fail_first,
    "exit": lambda code: sys.exit(int(code)),
}


def texts_of_tickets(brief: list[str]) -> Iterator[str]:
    """What else is quoted, a page or a log, may have such lines too."""
    fence = kind = ""
    for line in brief:
        opens = re.fullmatch("(`{3,})([a-z]*)", line)
        if fence and line == fence:
            fence = kind = ""
        elif not fence and opens:
            fence, kind = opens[1], opens[2]
        elif kind == "ticket":
            yield line


def main() -> None:
    brief = sys.stdin.read().split("\n")
    for line in list(texts_of_tickets(brief)) or brief:
        if line.startswith(PREFIX):
            verb, *arguments = shlex.split(line.removeprefix(PREFIX))
            print("+", verb, *arguments, flush=True)
            VERBS[verb](*arguments)


if __name__ == "__main__":
    main()
