"""The agent that chaos is made with: does what its ticket's lines `do: …` say, and writes down what it has made.

    chaos_agent.py MADE

    do: make PATH TEXT      a new file with this line, for this attempt alone: @ in PATH stands for ticket and attempt
    do: add PATH TEXT       one line more, at the end of a file
    do: put PATH TEXT       one line in front of a file
    do: commit
    do: drop                commit, and then reset that commit away
    do: detach              leave the branch
    do: branch NAME         another branch
    do: sleep SECONDS
    do: fork SECONDS        leave a process in a session of its own that sleeps for that long
    do: fail-first N        exit 1 in attempts 1 to N
    do: later-first N       exit 75 in attempts 1 to N
    do: crash-first N       kill -9 itself in attempts 1 to N
    do: deaf                ignore SIGTERM
    do: nest                make a repository within
    do: chat KIB             print so much
    do: tell                print the secret that it was given
    do: leak PATH           write it into a file, and commit that
    do: tamper KIND         meddle with what is not its own (chaos_tamper.py)
    do: sh COMMAND          have a shell do something
    do: once COMMAND        likewise, only where none of its attempts has done it

It complains, in MADE/complaints, where it is one of two: the same attempt run twice, or two attempts of one ticket.
Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

MADE = Path(sys.argv[1])
TICKET, ATTEMPT = os.environ["TICKETD_TICKET"], int(os.environ["TICKETD_ATTEMPT"])


def write_down(line: str) -> None:
    with (MADE / f"{TICKET}@{ATTEMPT}").open("a") as out:
        out.write(line + "\n")


def complain(what: str) -> None:
    with (MADE / "complaints").open("a") as out:
        out.write(f"{what} of {TICKET}@{ATTEMPT}\n")


def be_the_only_one() -> int:
    """The lock goes to what is forked, too: it says whether anything of an earlier attempt lives."""
    try:
        (MADE / f"{TICKET}@{ATTEMPT}").touch(exist_ok=False)
    except FileExistsError:
        complain("a second run")
    (MADE / "where").mkdir(exist_ok=True)
    (MADE / "where" / Path.cwd().name).write_text(f"{TICKET}@{ATTEMPT}")
    lock = os.open(MADE / f"{TICKET}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        complain("something of an earlier attempt is alive beside the run")
    return lock


def git(*args: str) -> str:
    return subprocess.run(["git", *args], check=True, capture_output=True, text=True).stdout.strip()


def note_file(path: str) -> None:
    content = Path(path).read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    write_down(f"file {blob} {path}")


def make(path: str, *text: str) -> None:
    path = path.replace("@", f"{TICKET}-{ATTEMPT}")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(" ".join(text) + f" {TICKET} {ATTEMPT}\n")
    note_file(path)


def add(path: str, *text: str, front: bool = False) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    before, line = file.read_text() if file.exists() else "", f"{' '.join(text)}\n"
    file.write_text(line + before if front else before + line)


def commit() -> None:
    git("add", "--all")
    if git("status", "--porcelain"):
        git("commit", "--quiet", "--message", f"{TICKET} at {ATTEMPT}")
        write_down(f"commit {git('rev-parse', 'HEAD')}")


def drop() -> None:
    commit()
    git("reset", "--quiet", "--hard", "HEAD~1")


def fork(seconds: str) -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(float(seconds))
        os._exit(0)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def nest() -> None:
    git("init", "--quiet", "inner")
    make("inner/x.txt", "within")


def leak(path: str) -> None:
    make(path, os.environ.get("CHAOS_SECRET", "none"))
    commit()


def meddle(kind: str) -> None:
    from chaos_tamper import tamper  # only here: elsewhere this file is run by itself (`python -I`)

    tamper(kind, MADE)


def shell(command: str, *, once: bool = False) -> None:
    done = MADE / f"{TICKET}.once"
    if once and done.exists():
        return
    if once:
        done.touch()
    subprocess.run(["sh", "-c", command], check=False)


def mend() -> None:
    """What was sent back: take both sides of a conflict, and what was bad out of one's own files."""
    for path in git("diff", "--name-only", "--diff-filter=U").splitlines():
        lines = Path(path).read_text().splitlines(keepends=True)
        marks = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")
        Path(path).write_text("".join(line for line in lines if not line.startswith(marks)))
    for file in Path("work").glob(f"{TICKET}-*"):
        file.write_text(file.read_text().replace("BAD", "mended"))


def main() -> int:
    os.set_inheritable(be_the_only_one(), False)
    text = sys.stdin.read()
    if os.environ.get("TICKETD_REPAIR"):
        mend()
        return 0
    for line in text.splitlines():
        if not line.startswith("do: "):
            continue
        verb, _, rest = line.removeprefix("do: ").partition(" ")
        said = [] if verb in ("sh", "once") else shlex.split(rest)
        early = int(said[0]) >= ATTEMPT if verb.endswith("-first") else False
        match verb:
            case "make":
                make(*said)
            case "add":
                add(*said)
            case "put":
                add(*said, front=True)
            case "commit":
                commit()
            case "drop":
                drop()
            case "detach":
                git("checkout", "--quiet", "--detach")
            case "branch":
                git("checkout", "--quiet", "-B", f"own/{TICKET}/{ATTEMPT}")
            case "nest":
                nest()
            case "chat":
                print("all is well\n" * (int(said[0]) * 1024 // 12), flush=True)
            case "tell":
                print("the secret is", os.environ.get("CHAOS_SECRET"), flush=True)
            case "leak":
                leak(*said)
            case "tamper":
                meddle(*said)
            case "sh" | "once":
                shell(line.removeprefix(f"do: {verb} "), once=verb == "once")
            case "sleep":
                time.sleep(float(said[0]))
            case "fork":
                fork(*said)
            case "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            case "fail-first" if early:
                return 1
            case "later-first" if early:
                return 75
            case "crash-first" if early:
                crash()
    return 0


if __name__ == "__main__":
    sys.exit(main())
